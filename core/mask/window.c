/* Window PMI: what the head would say of each neighbourhood on its own. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"
#include "core/base/checked.h"
#include "core/info/info.h"
#include "core/mask/exponential.h"
#include "core/mask/mask.h"

#define BLOCK_FLOATS (1 << 20) /* of logits at a time */
#define LANES 16

static int reflect(int i, int n)
{
    int period = 2 * n;

    i = (i % period + period) % period;
    return i < n ? i : period - 1 - i;
}

/* out[i] = mean over the k lines around i of in (`lines` lines of `size`, `stride` apart). */
CPU_CLONES static void mean_lines(const float *in, float *out, int lines, size_t stride, size_t size, int k)
{
    float part = 1.0F / (float)k;

    for (int i = 0; i < lines; i++) {
        float *o = out + (size_t)i * stride;
        memset(o, 0, size * sizeof(float));
        for (int s = -(k / 2); s <= k / 2; s++) {
            const float *line = in + (size_t)reflect(i + s, lines) * stride;
            for (size_t j = 0; j < size; j++)
                o[j] += line[j];
        }
        for (size_t j = 0; j < size; j++)
            o[j] *= part;
    }
}

/* f [h, w, d] -> its k x k means; rows is scratch of the same size. */
static void window_means(const float *f, int h, int w, int d, int k, float *rows, float *out)
{
    size_t line = (size_t)w * (size_t)d;

    mean_lines(f, rows, h, line, line, k);
    for (int y = 0; y < h; y++)
        mean_lines(rows + (size_t)y * line, out + (size_t)y * line, w, (size_t)d, (size_t)d, k);
}

/* z = scale z + offset, and log sum exp of it. */
CPU_CLONES static double finish_row(const struct mask_head *head, const float *offset, float *z)
{
    float scale = (float)head->scale, most = -FLT_MAX, part[LANES] = {0};
    int k = head->classes, i = 0;
    double sum = 0;

    for (int c = 0; c < k; c++)
        z[c] = scale * z[c] + (offset != NULL ? offset[c] : 0.0F);
    for (int c = 0; c < k; c++)
        most = z[c] > most ? z[c] : most;
    for (; i + LANES <= k; i += LANES)
        for (int l = 0; l < LANES; l++)
            part[l] += exponential(z[i + l] - most);
    for (; i < k; i++)
        part[i % LANES] += exponential(z[i] - most);
    for (int l = 0; l < LANES; l++)
        sum += (double)part[l];
    return (double)most + log(sum);
}

/* log p_y from the raw logits of a network trained with label smoothing: smoothing inverted, then each class times
 * exp(offset), renormalised. */
static double unsmoothed(const float *z, double lse, const struct mask_window *window, int k,
                         const struct mask_set *set)
{
    double total = 0, mine = 0;
    int next = 0; /* members come in order */

    for (int c = 0; c < k; c++) {
        double p = info_unsmoothed(exp((double)z[c] - lse), window->smoothing, (size_t)k);
        p *= window->offset != NULL ? exp((double)window->offset[c]) : 1.0;
        total += p;
        if (next < set->count && set->members[next] == c) {
            mine += p;
            next++;
        }
    }
    return log(mine / total);
}

static double set_log_p(const float *z, double lse, const struct mask_set *set)
{
    double sum = 0;

    if (set->count == 1)
        return (double)z[set->members[0]] - lse;
    for (int i = 0; i < set->count; i++)
        sum += exp((double)z[set->members[i]] - lse);
    return log(fmax(sum, DBL_MIN));
}

/* i = log p(G) - log t(G); of one class log t_y = offset_y + log r_y. */
static float row_pmi(const struct mask_head *head, const struct mask_window *window, const float *z, double lse,
                     const struct mask_set *set)
{
    double log_p = window->smoothing > 0 ? unsmoothed(z, lse, window, head->classes, set) : set_log_p(z, lse, set);
    int y = set->members[0];
    double log_r = window->log_r != NULL ? window->log_r[y] : -log((double)head->classes);

    if (set->count > 1)
        return (float)(log_p - set->log_prior);
    return (float)(log_p - (window->offset != NULL ? (double)window->offset[y] : 0.0) - log_r);
}

/* log p - log t of a class that is a question of its own. */
static float binary_pmi(const struct mask_head *head, const struct mask_window *window, const float *z,
                        const struct mask_set *set)
{
    int y = set->members[0];
    double x = head->scale * (double)z[y] + (window->offset != NULL ? (double)window->offset[y] : 0);

    return (float)((x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x))) - set->log_prior);
}

static int block_rows(int n, int classes)
{
    int rows = BLOCK_FLOATS / classes;
    return rows < 1 ? 1 : rows < n ? rows : n;
}

/* What the head's product needs, for rows of means into z [rows, K]. */
static struct kernel_gemm head_product(const struct mask_head *head, float *z)
{
    return (struct kernel_gemm){.weights = head->packed, .a_row = head->features, .c = z, .c_row = head->classes,
                                .out = KERNEL_F32, .panel1 = head->packed->panels,
                                .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
}

/* PMI of each set from a row of logits, which it changes. */
static void finish(const struct mask_head *head, const struct mask_window *window, float *z,
                   const struct mask_set *sets, int count, float *const *out, int at)
{
    const float *offset = window->smoothing > 0 ? NULL : window->offset;
    double lse = head->binary ? 0 : finish_row(head, offset, z);

    for (int t = 0; t < count; t++)
        out[t][at] = head->binary ? binary_pmi(head, window, z, &sets[t]) : row_pmi(head, window, z, lse, &sets[t]);
}

static enum infomask_status window_rows(const struct mask_head *head, const struct kernel_table *kernels,
                                        const struct mask_window *window, const float *mean, int n, float *z,
                                        float *scratch, const struct mask_set *sets, int count, float *const *out,
                                        struct infomask_error *err)
{
    int rows = block_rows(n, head->classes), k = head->classes;
    enum infomask_status status = INFOMASK_OK;

    for (int first = 0; first < n && status == INFOMASK_OK; first += rows) {
        int m = n - first < rows ? n - first : rows;
        const float *a = mean + (size_t)first * (size_t)head->features;
        if (window->logits != NULL) {
            status = window->logits(window->context, a, m, z, err);
        } else {
            struct kernel_gemm product = head_product(head, z);
            product.a = a;
            product.m = m;
            product.scratch = scratch;
            kernels->gemm(&product);
        }
        for (int i = 0; i < m && status == INFOMASK_OK; i++)
            finish(head, window, z + (size_t)i * (size_t)k, sets, count, out, first + i);
    }
    return status;
}

static size_t scratch_floats(const struct mask_head *head, const struct kernel_table *kernels,
                             const struct mask_window *window, int n)
{
    struct kernel_gemm largest;

    if (window->logits != NULL)
        return 0;
    largest = head_product(head, NULL);
    largest.m = block_rows(n, head->classes);
    return kernels->gemm_scratch(&largest);
}

enum infomask_status mask_window_pmi(const struct mask_head *head, const struct kernel_table *kernels,
                                     const struct mask_window *window, const float *f, int h, int w,
                                     const struct mask_set *sets, int count, float *const *out,
                                     struct infomask_error *err)
{
    int n = h * w;
    size_t size, block;
    float *mean = NULL, *rows = NULL, *z = NULL, *scratch = NULL;
    enum infomask_status status = INFOMASK_OK;
    bool made = checked_mul3((size_t)n, (size_t)head->features, sizeof(float), &size) &&
                checked_mul3((size_t)block_rows(n, head->classes), (size_t)head->classes, sizeof(float), &block);

    if (made) {
        mean = aligned_new(size);
        rows = aligned_new(size);
        z = aligned_new(block);
        scratch = aligned_new((scratch_floats(head, kernels, window, n) + 1) * sizeof(float));
        made = mean != NULL && rows != NULL && z != NULL && scratch != NULL;
    }
    if (made) {
        window_means(f, h, w, head->features, window->window, rows, mean);
        status = window_rows(head, kernels, window, mean, n, z, scratch, sets, count, out, err);
    }
    aligned_free(mean);
    aligned_free(rows);
    aligned_free(z);
    aligned_free(scratch);
    return made ? status : error_set(err, INFOMASK_MEMORY, "no memory for the window PMI");
}

void mask_gate(const float *win, int n, double most, float *gate)
{
    float g = (float)fmin(1.0, most / 2);

    for (int i = 0; i < n; i++) {
        float v = win[i] / g;
        gate[i] = v > 0 ? v < 1 ? v : 1.0F : 0.0F;
    }
}
