/* Packing for tiles. */
#include "core/kernels/amx/amx.h"

static int step_of(const struct kernel_weights *w, const int8_t *s8)
{
    (void)s8;
    return step_elements(w->type);
}

#include "core/kernels/simd/pack.h"

static bool packed_words(const struct kernel_weights *weights, size_t *words)
{
    const struct amx_walk walk = amx_walk_of(weights);
    size_t tiles;

    return checked_mul((size_t)panels_of(weights->n) * 2, (size_t)walk.parts, &tiles) &&
           checked_mul(tiles, (size_t)walk.steps, &tiles) && checked_mul(tiles, TILE_BYTES / 4, words);
}

/* Where the elements of column n of one part are, tile after tile. */
static void pack_part(const struct kernel_weights *weights, const struct amx_walk *walk, int n, struct column *from,
                      char *tile, int tiles, int32_t *sum)
{
    const int per = weights->step, whole = 16 * per;

    for (int k = 0; k < walk->part_k; k++) {
        const int step = k / whole, at = k - (step == walk->steps - 1 ? walk->last : step * whole);
        const float value = column_next(from, weights, n);
        put(weights, tile + (size_t)step * (size_t)tiles * TILE_BYTES + at / per * TILE_ROW_BYTES, at % per,
            value);
        if (weights->type == KERNEL_U8)
            *sum += (int32_t)value;
    }
}

static void pack_column(const struct kernel_weights *weights, int n, struct column from)
{
    const struct amx_walk walk = amx_walk_of(weights);
    const int panel = n / PANEL, tiles = amx_panel_tiles(weights, panel);
    const size_t part_bytes = (size_t)walk.steps * (size_t)tiles * TILE_BYTES;
    char *tile = (char *)weights->data + panel * amx_panel_bytes(&walk);
    int32_t sum = 0;

    tile += n % PANEL / 16 * TILE_BYTES + n % 16 * 4;
    for (int part = 0; part < walk.parts; part++, tile += part_bytes)
        pack_part(weights, &walk, n, &from, tile, tiles, &sum);
    if (weights->type == KERNEL_U8)
        amx_column_sums(weights, &walk)[n] = sum;
}

static enum infomask_status amx_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                     struct infomask_error *err)
{
    if (!amx_takes(matrix->type, matrix->segments, matrix->segment_k))
        return kernels_get(KERNEL_AVX512)->pack(weights, matrix, err);
    return simd_pack(weights, matrix, err);
}

static enum infomask_status amx_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                        struct infomask_error *err)
{
    if (!amx_takes(KERNEL_U8, matrix->segments, matrix->segment_k))
        return kernels_get(KERNEL_AVX512)->pack_s8(weights, matrix, err);
    return simd_pack_s8(weights, matrix, err);
}

void amx_pack_fill(struct kernel_table *table)
{
    table->pack = amx_pack;
    table->pack_s8 = amx_pack_s8;
}
