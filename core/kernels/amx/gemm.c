/* The loops over blocks, and the block's product on tile registers: 0 to 3 hold C (two rows of tiles by two columns), 4
 * and 5 A, 6 and 7 W. */
#include <string.h>

#include "core/kernels/amx/amx.h"
#include "core/kernels/amx/finish.h"
#include "core/kernels/simd/ahead.h"

/* By hand: the compiler's own tile loads do not say that they read memory. */
#define TILE_LOAD(tile, p, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(p), "r"((ptrdiff_t)(stride)) : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::: "memory")
#define TILE_STORE(tile, p, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(p), "r"((ptrdiff_t)(stride)) : "memory")
#define TILE_MULTIPLY(type, sum, a, w)                                                   \
    do {                                                                                 \
        if ((type) == KERNEL_BF16)                                                       \
            __asm__ volatile("tdpbf16ps %%tmm" #w ", %%tmm" #a ", %%tmm" #sum :: : "memory"); \
        else                                                                             \
            __asm__ volatile("tdpbusd %%tmm" #w ", %%tmm" #a ", %%tmm" #sum :: : "memory");   \
    } while (0)

/* One block of C. */
struct block {
    const struct amx_walk *walk;
    const char *a; /* strides in bytes */
    ptrdiff_t a_row, a_part;
    const char *w;
    int rows;
};

/* Rows of the first of the two tiles, one above the other, that `rows` are cut into. */
static int upper_rows(int rows) { return rows > TILE_ROWS ? (rows + 1) / 2 : rows; }

/* What LDTILECFG reads (Intel's manual, palette 1). */
struct __attribute__((packed, aligned(64))) tile_config {
    uint8_t palette, start_row, none[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static void tiles_configure(const struct amx_walk *walk, int rows)
{
    const uint8_t upper = (uint8_t)upper_rows(rows), lower = (uint8_t)(rows - upper), w_rows = (uint8_t)walk->w_rows;
    const uint16_t a_bytes = (uint16_t)(4 * w_rows), under = lower > 0 ? TILE_ROW_BYTES : 0;
    const struct tile_config config = {
        .palette = 1,
        .row_bytes = {TILE_ROW_BYTES, TILE_ROW_BYTES, under, under, a_bytes, lower > 0 ? a_bytes : 0, TILE_ROW_BYTES,
                      TILE_ROW_BYTES},
        .rows = {upper, upper, lower, lower, upper, lower, w_rows, w_rows}};

    __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

/* tall, wide: two rows, two columns of tiles. */
INLINE void multiply_block(enum kernel_type type, bool tall, bool wide, const struct block *b, float *sums)
{
    const int size = type == KERNEL_BF16 ? 2 : 1, steps = b->walk->steps;
    const ptrdiff_t under = upper_rows(b->rows) * b->a_row, last = (ptrdiff_t)b->walk->last * size;
    const char *a = b->a, *w = b->w;
    float *sums_under = sums + upper_rows(b->rows) * PANEL_WIDE;

    TILE_ZERO(0);
    TILE_ZERO(1);
    if (tall)
        TILE_ZERO(2);
    if (tall)
        TILE_ZERO(3);
    for (int part = 0; part < b->walk->parts; part++, a += b->a_part) {
        for (int step = 0; step < steps; step++) {
            const char *at = a + (step == steps - 1 ? last : (ptrdiff_t)step * TILE_ROW_BYTES);
            TILE_LOAD(6, w, TILE_ROW_BYTES);
            TILE_LOAD(4, at, b->a_row);
            TILE_MULTIPLY(type, 0, 4, 6);
            if (tall) {
                TILE_LOAD(5, at + under, b->a_row);
                TILE_MULTIPLY(type, 2, 5, 6);
            }
            if (wide) {
                TILE_LOAD(7, w + TILE_BYTES, TILE_ROW_BYTES);
                TILE_MULTIPLY(type, 1, 4, 7);
            }
            if (tall && wide)
                TILE_MULTIPLY(type, 3, 5, 7);
            w += wide ? 2 * TILE_BYTES : TILE_BYTES;
        }
    }
    TILE_STORE(0, sums, PANEL_WIDE * sizeof *sums);
    if (wide)
        TILE_STORE(1, sums + 16, PANEL_WIDE * sizeof *sums);
    if (tall)
        TILE_STORE(2, sums_under, PANEL_WIDE * sizeof *sums);
    if (tall && wide)
        TILE_STORE(3, sums_under + 16, PANEL_WIDE * sizeof *sums);
}

INLINE void run_block(enum kernel_type type, int tiles, const struct block *b, const struct tile *t, float *sums)
{
    const bool tall = b->rows > TILE_ROWS, wide = tiles > 1;

    if (tall && wide)
        multiply_block(type, true, true, b, sums);
    else if (tall)
        multiply_block(type, true, false, b, sums);
    else if (wide)
        multiply_block(type, false, true, b, sums);
    else
        multiply_block(type, false, false, b, sums);
    finish(type, b->rows, t, sums);
}

/* Segments of each row side by side; the zeros behind them are there. */
static void stage(const struct kernel_gemm *g, const char *a, int rows, ptrdiff_t to_row, char *to)
{
    const ptrdiff_t size = element_size(g->weights->type), bytes = g->weights->segment_k * size;
    const __mmask64 mask = (1ull << bytes) - 1; /* less than a tile's row */

    for (int s = 0; s < g->weights->segments; s++)
        for (int r = 0; r < rows; r++)
            _mm512_mask_storeu_epi8(
                to + r * to_row + s * bytes, mask,
                _mm512_maskz_loadu_epi8(mask, a + r * g->a_row * size + s * g->a_segment * size));
}

/* Rows [m, m + b->rows) of panels [panel0, panel1). */
static void block_panels(const struct kernel_gemm *g, struct block *b, struct ahead *ahead, int m, int panel0,
                         int panel1)
{
    const struct kernel_weights *w = g->weights;
    const ptrdiff_t size = element_size(g->out), panel_bytes = amx_panel_bytes(b->walk);
    struct tile t = {.a_scale = g->a_scale, .a_zero = g->a_zero, .c_row = g->c_row * size,
                     .residual_row = g->residual_row * size, .out = g->out, .epilogue = &g->epilogue,
                     .out_scale = g->c_scale, .out_zero = g->c_zero};
    _Alignas(64) float sums[BLOCK_ROWS * PANEL_WIDE];

    for (int panel = panel0; panel < panel1; panel++) {
        const ptrdiff_t column = (ptrdiff_t)panel * PANEL;
        t.columns = w->n - (int)column < PANEL ? w->n - (int)column : PANEL;
        t.bias = w->bias + column;
        t.scale = w->scale == NULL ? NULL : w->scale + column;
        t.column_sum = amx_column_sums(w, b->walk) + column;
        t.c = (char *)g->c + m * t.c_row + column * size;
        t.residual = g->residual == NULL ? NULL : (const char *)g->residual + m * t.residual_row + column * size;
        b->w = (const char *)w->data + panel * panel_bytes;
        if (w->type == KERNEL_BF16)
            run_block(KERNEL_BF16, amx_panel_tiles(w, panel), b, &t, sums);
        else
            run_block(KERNEL_U8, amx_panel_tiles(w, panel), b, &t, sums);
        ahead_fetch(ahead);
    }
}

/* The block that begins at row m, its rows staged and the tiles configured for it.  Blocks are of nearly equal height:
 * a last one of few rows would take its panels as long as a full one. */
static void block_begin(const struct kernel_gemm *g, struct block *b, int m, char *staged)
{
    const int left = g->m - m, blocks = (left + BLOCK_ROWS - 1) / BLOCK_ROWS, rows = (left + blocks - 1) / blocks;

    b->a = (const char *)g->a + m * g->a_row * element_size(g->weights->type);
    if (b->walk->staged) {
        stage(g, b->a, rows, b->a_row, staged);
        b->a = staged;
    }
    if (rows != b->rows)
        tiles_configure(b->walk, rows);
    b->rows = rows;
}

#define PANELS_FIRST_BYTES (256 << 10)

/* Weights that a second-level cache shares with nothing else are read once, for all rows of a panel; smaller ones stay
 * there while A and C are walked once. */
static bool panels_first(const struct kernel_gemm *g, const struct amx_walk *walk)
{
    return !walk->staged && g->m > BLOCK_ROWS &&
           amx_panel_bytes(walk) * (g->panel1 - g->panel0) > PANELS_FIRST_BYTES;
}

static void multiply(const struct kernel_gemm *g)
{
    const struct amx_walk walk = amx_walk_of(g->weights);
    const ptrdiff_t size = element_size(g->weights->type), staged_row = (ptrdiff_t)walk.steps * TILE_ROW_BYTES;
    const int panels = panels_first(g, &walk) ? 1 : g->panel1 - g->panel0;
    struct ahead ahead = ahead_of(g, BLOCK_ROWS);
    struct block b = {
        .walk = &walk, .a_row = walk.staged ? staged_row : g->a_row * size, .a_part = g->a_segment * size};
    _Alignas(64) char staged[BLOCK_ROWS * AMX_STAGED_BYTES];

    if (walk.staged)
        memset(staged, 0, (size_t)(BLOCK_ROWS * staged_row));
    for (int panel = g->panel0; panel < g->panel1; panel += panels) {
        for (int m = 0; m < g->m; m += b.rows) {
            block_begin(g, &b, m, staged);
            block_panels(g, &b, &ahead, m, panel, panel + panels);
        }
    }
    __asm__ volatile("tilerelease");
}

static void amx_gemm(const struct kernel_gemm *gemm)
{
    const struct kernel_weights *w = gemm->weights;

    if (!amx_takes(w->type, w->segments, w->segment_k))
        kernels_get(KERNEL_AVX512)->gemm(gemm);
    else if (gemm->m > 0 && gemm->panel1 > gemm->panel0)
        multiply(gemm);
}

void amx_gemm_fill(struct kernel_table *table) { table->gemm = amx_gemm; }
