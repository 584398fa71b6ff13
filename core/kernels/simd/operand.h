/* Packing an operand that is computed itself, and scaling one, in the panels of simd/gemm.h, which includes this. */
#ifndef INFOMASK_KERNELS_SIMD_OPERAND_H
#define INFOMASK_KERNELS_SIMD_OPERAND_H

/* What a panel is padded with is read and multiplied, and lies behind the bias that is all zeros. */
static size_t simd_operand_bytes(int k, int n)
{
    const size_t columns = (size_t)round_up(n, PANEL);
    return aligned_round((columns * (size_t)k + columns) * sizeof(float));
}

/* Rows of B as they lie: a row's part of a panel is a line. */
static void operand_rows(const struct kernel_operand *o, int first, int columns, int width, float *to)
{
    const vec scale = vec_set(o->scale);
    const float *from = o->b + first;

    for (int k = 0; k < o->k; k++, from += o->row, to += width)
        for (int n = 0; n < width; n += LANES) {
            const vmask in = mask_first(columns - n < LANES ? columns - n : LANES);
            const vmask out = mask_first(width - n < LANES ? width - n : LANES);
            vec_store_mask(to + n, vec_mul(vec_load_mask(from + n, columns > n ? in : mask_first(0)), scale), out);
        }
}

/* Columns of B side by side: each is a column of the panel. */
static void operand_columns(const struct kernel_operand *o, int first, int columns, int width, float *to)
{
    for (int n = 0; n < width; n++) {
        const float *from = o->b + (ptrdiff_t)(first + n) * o->column;
        if (n < columns)
            for (ptrdiff_t k = 0; k < o->k; k++)
                to[k * width + n] = from[k] * o->scale;
        else
            for (ptrdiff_t k = 0; k < o->k; k++)
                to[k * width + n] = 0;
    }
}

static void simd_pack_operand(struct kernel_weights *w, const struct kernel_operand *o, void *memory)
{
    const size_t columns = (size_t)round_up(o->n, PANEL);

    *w = (struct kernel_weights){.type = KERNEL_F32, .segments = 1, .segment_k = o->k, .n = o->n, .step = 1,
                                 .panels = panels_of(o->n), .panel_columns = PANEL, .data = memory,
                                 .bytes = columns * (size_t)o->k * sizeof(float), .moved = true};
    w->bias = (float *)memory + columns * (size_t)o->k;
    memset(w->bias, 0, columns * sizeof *w->bias);
    for (int panel = 0; panel < w->panels; panel++) {
        float *to = (float *)memory + (size_t)panel * PANEL * (size_t)o->k;
        if (o->column == 1)
            operand_rows(o, panel * PANEL, panel_columns(w, panel), panel_width(w, panel), to);
        else
            operand_columns(o, panel * PANEL, panel_columns(w, panel), panel_width(w, panel), to);
    }
}

static void simd_scale_inputs(const struct kernel_weights *w, const float *factor, struct kernel_weights *scaled,
                              void *memory)
{
    const float *from = w->data;
    float *to = memory;

    *scaled = *w;
    scaled->data = memory;
    scaled->moved = true;
    for (int panel = 0; panel < w->panels; panel++) {
        const int width = panel_width(w, panel);
        for (int k = 0; k < w->segment_k; k++, from += width, to += width) {
            const vec by = vec_set(factor[k]);
            for (int n = 0; n < width; n += LANES) {
                const vmask mask = mask_first(width - n < LANES ? width - n : LANES);
                vec_store_mask(to + n, vec_mul(vec_load_mask(from + n, mask), by), mask);
            }
        }
    }
}

/* G g for three numbers of a filter. */
INLINE void winograd_filter_line(const vec *g, vec *u)
{
    const vec half = vec_set(.5F), even = vec_mul(half, vec_add(g[0], g[2])), odd = vec_mul(half, g[1]);

    u[0] = g[0];
    u[1] = vec_add(even, odd);
    u[2] = vec_sub(even, odd);
    u[3] = g[2];
}

/* Columns [n, n + LANES) of a channel, or as many as the mask has; lines of taps and of elements are so far apart. */
INLINE void winograd_filter(const float *from, ptrdiff_t taps_apart, float *to, ptrdiff_t elements_apart, vmask mask)
{
    vec column[3], half[3][4], line[3], u[4];

    for (int x = 0; x < 3; x++) {
        for (int y = 0; y < 3; y++)
            column[y] = vec_load_mask(from + (3 * y + x) * taps_apart, mask);
        winograd_filter_line(column, half[x]);
    }
    for (int row = 0; row < 4; row++) {
        for (int x = 0; x < 3; x++)
            line[x] = half[x][row];
        winograd_filter_line(line, u);
        for (int i = 0; i < 4; i++)
            vec_store_mask(to + (4 * row + i) * elements_apart, u[i], mask);
    }
}

static void simd_winograd_filters(const struct kernel_weights *w, int panel, struct kernel_weights *u, float *memory)
{
    const int c = w->segment_k / 3, width = panel_width(w, panel);
    const ptrdiff_t apart = (ptrdiff_t)c * width;
    const float *from = (const float *)w->data + (ptrdiff_t)panel * PANEL * 9 * c;

    for (int k = 0; k < c; k++)
        for (int n = 0; n < width; n += LANES)
            winograd_filter(from + k * width + n, apart, memory + k * width + n, apart,
                            mask_first(width - n < LANES ? width - n : LANES));
    for (int i = 0; i < 16; i++)
        u[i] = (struct kernel_weights){.type = KERNEL_F32, .segments = 1, .segment_k = c, .n = panel_columns(w, panel),
                                       .panels = 1, .panel_columns = PANEL, .step = w->step, .data = memory + i * apart,
                                       .bytes = (size_t)apart * sizeof(float), .moved = true, .bias = w->bias};
}

#endif
