/* The micro-kernels of u8 x s8 by AVX-VNNI: AVX2's, with one instruction for four products and their sum. */
#include "core/kernels/avx2/avx2.h"

TILE_WAY(tiles_vnni, BY_VNNI)

tile_function *const avx2_tiles_vnni[] = {tiles_vnni_8, tiles_vnni_16, tiles_vnni_24};
