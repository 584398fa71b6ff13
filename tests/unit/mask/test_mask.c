/* Class maps, gate, graph, thresholds, regions: against NumPy's results (tests/data/mask) and by their identities. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/info/info.h"
#include "core/mask/mask.h"
#include "golden.h"

#define H 4
#define W 5
#define N (H * W)
#define D 24
#define K 12
#define TARGET 3

struct maps {
    float *data, *f, *w, *b, *t, *golden;
    float mean_w[D], out[N];
    struct mask_head head;
    const struct kernel_table *kernels;
    struct kernel_weights packed;
};

static void maps_open(struct maps *m, enum kernel_isa isa)
{
    m->data = golden_load("tests/data/mask/class_maps.f32", N * D + K * D + K + K + 6 * N);
    m->f = m->data;
    m->w = m->f + N * D;
    m->b = m->w + K * D;
    m->t = m->b + K;
    m->golden = m->t + K;
    m->head = (struct mask_head){.w = m->w, .b = m->b, .classes = K, .features = D, .scale = 1, .mean_w = m->mean_w};
    m->head.mean_b = mask_head_mean(m->w, m->b, K, D, m->mean_w);
    m->kernels = kernels_get(isa);
    assert_int_equal(m->kernels->pack(&m->packed,
                                      &(struct kernel_matrix){.w = m->w, .bias = m->b, .segments = 1, .segment_k = D, .n = K},
                                      NULL),
                     INFOMASK_OK);
    m->head.packed = &m->packed;
}

static void maps_close(struct maps *m)
{
    kernel_weights_fini(&m->packed);
    free(m->data);
}

static const int target_class = TARGET;
static const struct mask_set one = {.members = &target_class, .count = 1};

static void class_maps_as_defined(void **state)
{
    static const enum mask_method methods[] = {MASK_INFOCAM, MASK_CAM, MASK_GRADCAM_PP, MASK_LAYERCAM};
    struct maps m;

    (void)state;
    maps_open(&m, KERNEL_REF);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        assert_int_equal(mask_class_map(&m.head, methods[i], &one, 0, NULL, m.f, N, m.out, NULL), INFOMASK_OK);
        assert_close(m.out, m.golden + i * N, N, 3e-6);
    }
    maps_close(&m);
}

static void window(struct maps *m, int k, const float *offset, const double *log_r, double smoothing)
{
    float *out = m->out;
    struct mask_window options = {.window = k, .offset = offset, .log_r = log_r, .smoothing = smoothing};

    assert_int_equal(mask_window_pmi(&m->head, m->kernels, &options, m->f, H, W, &one, 1, &out, NULL),
                     INFOMASK_OK);
}

static void window_pmi_as_defined(void **state)
{
    struct maps m;
    float offset[K];

    (void)state;
    maps_open(&m, KERNEL_REF);
    window(&m, 3, NULL, NULL, 0);
    assert_close(m.out, m.golden + 4 * N, N, 3e-6);
    for (int c = 0; c < K; c++)
        offset[c] = logf(m.t[c] * K);
    window(&m, 3, offset, NULL, 0);
    assert_close(m.out, m.golden + 5 * N, N, 3e-6);
    maps_close(&m);
}

/* sum_y t_y exp(i(y)) = 1 in every window (A3), for any prior, logit prior, temperature and smoothing. */
static void window_pmi_is_normalised(void **state)
{
    struct maps m;
    int targets[K];
    struct mask_set sets[K];
    float offset[K], values[K][N], *out[K];
    double log_r[K], total = 0;

    (void)state;
    maps_open(&m, KERNEL_BLAS);
    for (int c = 0; c < K; c++)
        total += c + 1;
    for (int c = 0; c < K; c++) {
        log_r[c] = log((c + 1) / total);
        offset[c] = (float)(log((double)m.t[c]) - log_r[c]);
        targets[c] = c;
        sets[c] = mask_set_one(&targets[c]);
        out[c] = values[c];
    }
    m.head.scale = 1 / 1.7;
    for (int smooth = 0; smooth < 2; smooth++)
        for (int k = 1; k <= 13; k += 6) { /* also wider than the map */
            struct mask_window options = {.window = k, .offset = offset, .log_r = log_r, .smoothing = smooth == 1 ? 0.1 : 0};
            assert_int_equal(mask_window_pmi(&m.head, m.kernels, &options, m.f, H, W, sets, K, out, NULL),
                             INFOMASK_OK);
            for (int u = 0; u < N; u++) {
                double sum = 0;
                for (int c = 0; c < K; c++)
                    sum += (double)m.t[c] * exp((double)values[c][u]);
                assert_float_equal(sum, 1, 1e-5);
            }
        }
    maps_close(&m);
}

/* A window of one cell: smoothing is undone as it is for a whole photo, here of a network so sure that most classes lie
 * below the floor. */
static void window_pmi_undoes_smoothing(void **state)
{
    struct maps m;
    double log_p[K];

    (void)state;
    maps_open(&m, KERNEL_REF);
    m.head.scale = 30;
    window(&m, 1, NULL, NULL, 0.1);
    for (int u = 0; u < N; u++) {
        for (int c = 0; c < K; c++) {
            log_p[c] = (double)m.b[c];
            for (int j = 0; j < D; j++)
                log_p[c] += (double)m.w[c * D + j] * (double)m.f[u * D + j];
            log_p[c] *= 30;
        }
        info_log_softmax(log_p, K, log_p);
        info_unsmooth(log_p, 0.1, K, log_p);
        assert_float_equal(m.out[u], (float)(log_p[TARGET] + log(K)), 1e-3);
        assert_true(m.out[u] > log(INFO_UNSMOOTH_RESOLUTION * 0.1 / 2) - 0.01);
    }
    maps_close(&m);
}

/* The mean of the cells is the PMI of the pass (F3), and a contrast's mean is that of the logits (F2). */
static void cells_average_to_the_pmi(void **state)
{
    struct maps m;
    double cells[N], mean = 0, contrast = 0, z[2] = {0};

    (void)state;
    maps_open(&m, KERNEL_BLAS);
    m.head.scale = 0.8;
    assert_int_equal(mask_information(&m.head, &one, m.f, N, -2.5, cells, NULL), INFOMASK_OK);
    assert_int_equal(mask_class_map(&m.head, MASK_INFOCAM_PLUS, &one, 7, NULL, m.f, N, m.out, NULL), INFOMASK_OK);
    for (int u = 0; u < N; u++) {
        mean += cells[u] / N;
        contrast += (double)m.out[u] / N;
        for (int j = 0; j < D; j++) {
            z[0] += 0.8 * (double)m.w[TARGET * D + j] * (double)m.f[u * D + j] / N;
            z[1] += 0.8 * (double)m.w[7 * D + j] * (double)m.f[u * D + j] / N;
        }
    }
    assert_true(fabs(mean + 2.5) < 1e-12);
    assert_true(fabs(contrast - (z[0] - z[1] + 0.8 * ((double)m.b[TARGET] - (double)m.b[7]))) < 1e-5);
    maps_close(&m);
}

static int other_of(const float *z, int classes, int target)
{
    struct mask_set set = mask_set_one(&target);
    return mask_other_class(z, classes, &set);
}

/* ---- Sets of classes: identities to rounding, of any set under any prior ------------------------------------------- */

struct whole { /* of the whole photo's pass, in double */
    double log_t[K], shifted[K], log_p[K], lse;
};

static double lse_of(const double *z, const int *members, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += exp(z[members[i]]);
    return log(sum);
}

static struct whole pass_of(const struct maps *m, const int *all)
{
    struct whole p;
    double total = 0;

    for (int c = 0; c < K; c++)
        total += (double)m->t[c];
    for (int c = 0; c < K; c++) {
        p.log_t[c] = log((double)m->t[c] / total);
        p.shifted[c] = (double)m->b[c] * m->head.scale + p.log_t[c] + log(K);
        for (int u = 0; u < N; u++)
            for (int j = 0; j < D; j++)
                p.shifted[c] += m->head.scale * (double)m->w[c * D + j] * (double)m->f[u * D + j] / N;
    }
    p.lse = lse_of(p.shifted, all, K);
    for (int c = 0; c < K; c++)
        p.log_p[c] = p.shifted[c] - p.lse;
    return p;
}

static void sets_are_asked_about_exactly(void **state)
{
    struct random_stream random = random_stream(20, 0);
    struct maps m;
    int all[K];

    (void)state;
    maps_open(&m, KERNEL_BLAS);
    m.head.scale = .7;
    for (int c = 0; c < K; c++)
        all[c] = c;
    for (int trial = 0; trial < 200; trial++) {
        struct whole p = pass_of(&m, all);
        double share[K], cells[N], entropy = 0, mean = 0, log_g, pmi;
        int members[K], count = 0;
        struct mask_set set;
        for (int c = 0; c < K; c++)
            if (random_below(&random, 3) == 0 || (count == 0 && c == K - 1))
                members[count++] = c;
        set = (struct mask_set){.members = members, .count = count, .share = share};
        log_g = lse_of(p.log_t, members, count);
        mask_set_share(&set, p.log_p, share);
        assert_true(fabs(mask_set_log_sum(&set, p.log_p) - (lse_of(p.shifted, members, count) - p.lse)) < 1e-9);
        pmi = mask_set_log_sum(&set, p.log_p) - log_g;
        assert_true(pmi <= -log_g + 1e-9);
        for (int i = 0; i < count; i++)
            entropy -= share[i] * log(share[i]);
        assert_int_equal(mask_information(&m.head, &set, m.f, N, pmi, cells, NULL), INFOMASK_OK);
        for (int u = 0; u < N; u++) { /* sum_k a_k l'_k(u) + H(a) - LSE(z') - log t(G) */
            double want = entropy - p.lse - log_g;
            for (int i = 0; i < count; i++) {
                int c = members[i];
                double local = (double)m.b[c];
                for (int j = 0; j < D; j++)
                    local += (double)m.w[c * D + j] * (double)m.f[u * D + j];
                want += share[i] * (m.head.scale * local + p.log_t[c] + log(K));
            }
            assert_true(fabs(cells[u] - want) < 1e-9);
            mean += cells[u] / N;
        }
        assert_true(fabs(mean - pmi) < 1e-9);
    }
    maps_close(&m);
}

/* Of a set and of the rest: exp(i(G)) t(G) + exp(i(rest)) t(rest) = 1, in every window; a set of one is the class. */
static void windows_of_sets_are_normalised(void **state)
{
    static const int some[] = {1, 4, 5, 11}, rest[] = {0, 2, 3, 6, 7, 8, 9, 10};
    struct maps m;
    float offset[K], values[2][N], *out[2] = {values[0], values[1]};
    double log_r[K];

    (void)state;
    maps_open(&m, KERNEL_BLAS);
    for (int c = 0; c < K; c++) {
        log_r[c] = -log(K);
        offset[c] = logf(m.t[c] * K);
    }
    for (int smooth = 0; smooth < 2; smooth++) {
        struct whole p = pass_of(&m, (int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
        struct mask_window options = {.window = 3, .offset = offset, .log_r = log_r, .smoothing = smooth == 1 ? .1 : 0};
        struct mask_set sets[2] = {{.members = some, .count = 4}, {.members = rest, .count = 8}};
        for (int i = 0; i < 2; i++)
            sets[i].log_prior = mask_set_log_sum(&sets[i], p.log_t);
        assert_int_equal(mask_window_pmi(&m.head, m.kernels, &options, m.f, H, W, sets, 2, out, NULL), INFOMASK_OK);
        for (int u = 0; u < N; u++)
            assert_true(fabs(exp(sets[0].log_prior + (double)values[0][u]) +
                                   exp(sets[1].log_prior + (double)values[1][u]) - 1) < 1e-5);
    }
    maps_close(&m);
}

/* Against the mean of the classes outside, not of kinds of the same thing; and the closed forms by gradients. */
static void maps_of_sets_as_defined(void **state)
{
    static const int members[] = {2, 3, 9};
    struct maps m;
    struct whole p;
    double share[3];
    struct mask_set set = {.members = members, .count = 3, .share = share};

    (void)state;
    maps_open(&m, KERNEL_BLAS);
    p = pass_of(&m, (int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    mask_set_share(&set, p.log_p, share);
    for (int layer = 0; layer < 2; layer++) {
        double v[D], bias = 0;
        assert_int_equal(mask_class_map(&m.head, layer ? MASK_LAYERCAM : MASK_INFOCAM, &set, -1, p.log_p, m.f, N, m.out, NULL),
                         INFOMASK_OK);
        for (int j = 0; j < D; j++) {
            v[j] = 0;
            for (int i = 0; i < 3; i++)
                v[j] += share[i] * (double)m.w[members[i] * D + j];
            for (int c = 0; c < K; c++)
                v[j] -= (layer ? exp(p.log_p[c]) : mask_set_has(&set, c) ? 0 : 1.0 / (K - 3)) * (double)m.w[c * D + j];
            v[j] = layer ? fmax(v[j], 0) : v[j];
        }
        for (int c = 0; c < K && !layer; c++)
            bias -= mask_set_has(&set, c) ? 0 : (double)m.b[c] / (K - 3);
        for (int i = 0; i < 3 && !layer; i++)
            bias += share[i] * (double)m.b[members[i]];
        for (int u = 0; u < N; u++) {
            double want = bias;
            for (int j = 0; j < D; j++)
                want += v[j] * (double)m.f[u * D + j];
            assert_true(fabs((double)m.out[u] - (layer ? fmax(want, 0) : want)) < 2e-5);
        }
    }
    maps_close(&m);
}

static void the_other_class_is_the_least_likely_of_the_best(void **state)
{
    float z[300];

    (void)state;
    for (int c = 0; c < 300; c++)
        z[c] = (float)(c * 7 % 300); /* a permutation */
    assert_float_equal(z[other_of(z, 300, 5)], 100, 0);
    assert_int_equal(other_of(z, 2, 0), 1);
    assert_int_equal(other_of(z, 2, 1), 0);
    assert_float_equal(z[other_of(z, 300, other_of(z, 300, 5))], 101, 0);
}

/* ---- The graph ---------------------------------------------------------------------------------------------------- */

#define CELLS 48
#define PARTS 24

static void graph_and_its_solution_as_numpy(void **state)
{
    size_t n = CELLS;
    float *data = golden_load("tests/data/mask/graph.f32", n * (10 + 14 + 3 + 1 + PARTS + CELLS + 1));
    const float *lab = data + n * PARTS, *seeds = lab + n * 3, *vectors = seeds + n;
    const float *affinity = vectors + n * PARTS, *solution = affinity + n * n;
    float *x = malloc(n * PARTS * sizeof *x), *a = calloc(n * n, sizeof *a), p[CELLS], planes[3 * CELLS];
    int steps;

    (void)state;
    assert_int_equal(mask_cells_part(data, CELLS, 10, 1, x, PARTS, 0, NULL), INFOMASK_OK);
    assert_int_equal(mask_cells_part(data + n * 10, CELLS, 14, 0.5, x, PARTS, 10, NULL), INFOMASK_OK);
    mask_cells_unit(x, CELLS, PARTS);
    assert_close(x, vectors, n * PARTS, 2e-6);
    for (size_t i = 0; i < 3 * n; i++)
        planes[i % 3 * n + i / 3] = lab[i];
    mask_affinity(kernels_get(KERNEL_BLAS), x, CELLS, PARTS, planes, a);
    for (size_t i = 0; i < n; i++)
        assert_close(a + i * n + i, affinity + i * n + i, n - i, 5e-6);
    assert_int_equal(mask_spread(a, CELLS, seeds, 0.45, p, &steps, NULL), INFOMASK_OK);
    assert_close(p, solution, n, 2e-3);
    assert_true(steps > 0 && steps < 60);
    free(x);
    free(a);
    free(data);
}

/* Two separate groups of cells: each takes its own seeds' side. */
static void seeds_do_not_cross_a_gap(void **state)
{
    float a[6 * 6] = {0}, p[6];
    const float seeds[6] = {1, 0.5F, 0.5F, 0.5F, 0.5F, 0};

    (void)state;
    for (int i = 0; i < 6; i++)
        for (int j = i; j < 6; j++)
            a[6 * i + j] = (i < 3) == (j < 3) ? 1.0F : 0.0F;
    assert_int_equal(mask_spread(a, 6, seeds, 0.45, p, NULL, NULL), INFOMASK_OK);
    for (int i = 0; i < 3; i++)
        assert_true(p[i] > 0.9F && p[3 + i] < 0.1F);
}

static void seeds_that_are_all_alike_stay(void **state)
{
    float a[6 * 6], p[6];
    const float seeds[6] = {1, 1, 1, 1, 1, 1};

    (void)state;
    for (int i = 0; i < 36; i++)
        a[i] = 1.0F / (float)(i + 1);
    assert_int_equal(mask_spread(a, 6, seeds, 0.45, p, NULL, NULL), INFOMASK_OK);
    assert_memory_equal(p, seeds, sizeof p);
}

/* ---- Values ------------------------------------------------------------------------------------------------------- */

enum { SHADES = 40000, BRIGHT = 500 };

/* A small bright object with the seeds, and `faint` values of ground that looks a bit like it. */
static double shades(size_t faint, float faint_seed)
{
    static float soft[SHADES], seeds[SHADES];

    for (size_t i = 0; i < SHADES; i++) {
        bool bright = i < BRIGHT, ground = i >= BRIGHT + faint;
        float ripple = .04F * (float)(i * 7919 % 101) / 101;
        soft[i] = (bright ? .9F : ground ? .02F : .3F) + ripple;
        seeds[i] = bright ? .9F : ground ? 0 : faint_seed;
    }
    return mask_object_threshold(soft, seeds, SHADES);
}

static void ground_like_the_object_is_left_out_unless_it_tells(void **state)
{
    (void)state;
    double without = shades(30 * BRIGHT, .1F), telling = shades(30 * BRIGHT, .4F), small = shades(5 * BRIGHT, .1F);

    assert_true(without > .35 && without < .9);
    assert_true(telling > .06 && telling < .3); /* the rest of an object whose head tells most */
    assert_true(small > .06 && small < .3);
}

static void otsu_as_numpy(void **state)
{
    float *data = golden_load("tests/data/mask/otsu.f32", 401);

    (void)state;
    assert_float_equal(mask_otsu(data, 400), data[400], 1e-7);
    free(data);
}

static void sigmoids_are_sigmoids(void **state)
{
    float m[2001];

    (void)state;
    for (int i = 0; i <= 2000; i++)
        m[i] = (float)(i - 1000) / 100;
    mask_sigmoid(m, 2001, 15, 0.25F);
    for (int i = 0; i <= 2000; i++) {
        double x = (double)((float)(i - 1000) / 100), expected = 1 / (1 + exp(-15 * (x - 0.25)));
        if (expected > 1e-35)
            assert_true(fabs((double)m[i] - expected) <= (3e-7 + 2e-7 * fabs(15 * x)) * expected);
    }
    m[0] = -1;
    m[1] = 4;
    m[2] = 2;
    mask_normalise(m, 3);
    assert_true(m[0] == 0 && m[1] == 1 && m[2] == 0.5F);
}

static void gate_is_scaled_by_the_prior(void **state)
{
    const float win[4] = {-3, 0.25F, 0.5F, 9};
    float gate[4];

    (void)state;
    mask_gate(win, 4, log(1000), gate);
    assert_true(gate[0] == 0 && gate[1] == 0.25F && gate[3] == 1);
    mask_gate(win, 4, log(2), gate); /* log(2) / 2 = 0.3466 */
    assert_true(fabs((double)gate[1] - 0.25 / (log(2) / 2)) < 1e-6);
    assert_true(gate[2] == 1);
}

static void share_takes_the_fewest_cells(void **state)
{
    const float m[6] = {-5, 4, 1, 3, 2, 0}, none[2] = {0, -1};
    double t;

    (void)state;
    assert_int_equal(mask_share_threshold(m, 6, 0.7, &t, NULL), INFOMASK_OK);
    assert_float_equal(t, 3, 0);
    assert_int_equal(mask_share_threshold(m, 6, 0.71, &t, NULL), INFOMASK_OK);
    assert_float_equal(t, 2, 0);
    assert_int_equal(mask_share_threshold(m, 6, 1, &t, NULL), INFOMASK_OK);
    assert_float_equal(t, 1, 0);
    assert_int_equal(mask_share_threshold(none, 2, 0.5, &t, NULL), INFOMASK_OK);
    assert_true(isinf(t));
}

/* ---- Regions ------------------------------------------------------------------------------------------------------ */

#define RH 19
#define RW 23

static void value_row(void *context, int y, float *row) { memcpy(row, (float *)context + y * RW, RW * sizeof *row); }

static size_t flood(const uint8_t *mask, uint8_t *seen, int y, int x, const float *value, double *sum)
{
    size_t pixels = 1;

    if (y < 0 || x < 0 || y >= RH || x >= RW || mask[y * RW + x] == 0 || seen[y * RW + x] != 0)
        return 0;
    seen[y * RW + x] = 1;
    *sum += (double)value[y * RW + x];
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            pixels += flood(mask, seen, y + dy, x + dx, value, sum);
    return pixels;
}

static void check_regions(const uint8_t *mask, float *value)
{
    struct mask_regions found;
    uint8_t seen[RH * RW] = {0};
    size_t all = 0;
    int count = 0;

    assert_int_equal(mask_regions_find(mask, RH, RW, value_row, value, 1000, &found, NULL), INFOMASK_OK);
    for (int i = 0; i < found.count; i++) {
        const struct mask_region *r = &found.region[i];
        double sum = 0;
        assert_true(mask[r->peak_y * RW + r->peak_x] != 0);
        assert_true(value[r->peak_y * RW + r->peak_x] == r->peak);
        assert_int_equal(flood(mask, seen, r->peak_y, r->peak_x, value, &sum), r->pixels);
        assert_float_equal(sum, r->signed_sum, 1e-4);
        assert_true(r->x >= 0 && r->y >= 0 && r->x + r->width <= RW && r->y + r->height <= RH);
        assert_true(i == 0 || r->pixels <= r[-1].pixels);
        all += r->pixels;
    }
    for (int i = 0; i < RH * RW; i++)
        count += mask[i] != 0;
    assert_int_equal(all, count);
    assert_int_equal(found.pixels, count);
    mask_regions_fini(&found);
}

static void regions_as_by_flooding(void **state)
{
    struct random_stream random = random_stream(2, 0);
    uint8_t mask[RH * RW];
    float value[RH * RW];

    (void)state;
    for (int round = 0; round < 200; round++) {
        uint32_t density = 1 + random_below(&random, 9);
        for (int i = 0; i < RH * RW; i++) {
            mask[i] = random_below(&random, 10) < density ? 255 : 0;
            value[i] = (float)random_unit(&random) - 0.5F;
        }
        check_regions(mask, value);
    }
}

static void regions_have_boxes_peaks_and_shares(void **state)
{
    uint8_t mask[RH * RW] = {0};
    float value[RH * RW] = {0};
    struct mask_regions found;

    (void)state;
    mask[2 * RW + 3] = mask[3 * RW + 4] = mask[4 * RW + 3] = 1; /* joined by corners */
    mask[10 * RW + 22] = 1;
    value[3 * RW + 4] = 2;
    value[4 * RW + 3] = -7;
    value[0] = 6;
    assert_int_equal(mask_regions_find(mask, RH, RW, value_row, value, 1, &found, NULL), INFOMASK_OK);
    assert_int_equal(found.count, 1); /* `most` keeps the largest */
    assert_int_equal(found.pixels, 4);
    assert_int_equal(found.region[0].x, 3);
    assert_int_equal(found.region[0].y, 2);
    assert_int_equal(found.region[0].width, 2);
    assert_int_equal(found.region[0].height, 3);
    assert_int_equal(found.region[0].peak_x, 4);
    assert_int_equal(found.region[0].peak_y, 3);
    assert_true(fabs(found.inside / found.total - 0.25) < 1e-9);
    mask_regions_fini(&found);
    memset(mask, 0, sizeof mask);
    assert_int_equal(mask_regions_find(mask, RH, RW, NULL, NULL, 9, &found, NULL), INFOMASK_OK);
    assert_int_equal(found.count, 0);
    mask_regions_fini(&found);
}

static void strokes_are_found_and_taken_whole(void **state)
{
    static const bool taken[] = {false, true};
    uint8_t mask[RH * RW] = {0}, out[RH * RW];
    float value[RH * RW];
    struct mask_strokes found;

    (void)state;
    for (int i = 0; i < RH * RW; i++)
        value[i] = i % RW < 12 ? 1.0F : -1.0F;
    for (int x = 5; x < 17; x++)
        mask[4 * RW + x] = MASK_STROKE;
    for (int x = 9; x < 20; x++)
        mask[(9 + (x > 14)) * RW + x] = MASK_STROKE; /* goes on one row below, by a corner */
    assert_int_equal(mask_strokes_find(mask, RH, RW, value_row, value, &found, NULL), INFOMASK_OK);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.runs, 3);
    assert_float_equal(found.region[0].signed_sum, 7 - 5, 1e-9);
    assert_float_equal(found.region[0].sum_x / 12, 10.5, 1e-9);
    assert_float_equal(found.region[0].sum_y / 12, 4, 1e-9);
    assert_int_equal(found.region[1].y, 9);
    assert_int_equal(found.region[1].height, 2);
    assert_float_equal(found.region[1].sum_y, 9 * 6 + 10 * 5, 1e-9);
    assert_int_equal(mask_strokes_paint(&found, mask, RH, RW, taken, out, NULL), INFOMASK_OK);
    for (int i = 0; i < RH * RW; i++)
        assert_int_equal(out[i], mask[i] != 0 && i / RW >= 9 ? 255 : 0);
    assert_int_equal(mask_strokes_paint(&found, mask, RH, RW, taken, mask, NULL), INFOMASK_OK);
    assert_memory_equal(mask, out, sizeof out); /* in place */
    mask_strokes_fini(&found);
}

/* Rim pixels go with the stroke that they touch, round corners too; those that touch none are left. */
static void rims_go_with_their_stroke(void **state)
{
    static const bool taken[] = {true, false};
    uint8_t mask[RH * RW] = {0}, out[RH * RW];
    float value[RH * RW] = {0};
    struct mask_strokes found;

    (void)state;
    for (int y = 2; y < 9; y++)
        for (int x = 3; x < 9; x++)
            mask[y * RW + x] = mask[y * RW + x + 12] = MASK_RIM;
    mask[5 * RW + 5] = mask[5 * RW + 17] = MASK_STROKE;
    mask[12 * RW + 3] = MASK_RIM;
    assert_int_equal(mask_strokes_find(mask, RH, RW, value_row, value, &found, NULL), INFOMASK_OK);
    assert_int_equal(found.count, 2);
    assert_int_equal(mask_strokes_paint(&found, mask, RH, RW, taken, out, NULL), INFOMASK_OK);
    for (int i = 0; i < RH * RW; i++)
        assert_int_equal(out[i], mask[i] != 0 && i % RW < 12 && i / RW < 9 ? 255 : 0);
    mask_strokes_fini(&found);
}

static void specks_and_pinholes_go(void **state)
{
    uint8_t mask[RH * RW] = {0}, want[RH * RW];

    (void)state;
    for (int y = 3; y < 12; y++)
        memset(mask + y * RW + 4, 255, 10);
    memcpy(want, mask, sizeof want);
    mask[RW + 18] = mask[2 * RW + 19] = 255;           /* a speck of two */
    mask[6 * RW + 6] = mask[7 * RW + 7] = 0;           /* a hole of two */
    for (int x = 16; x < 19; x++)
        mask[9 * RW + x] = want[9 * RW + x] = 255;     /* as many as asked: stays */
    for (int y = 8; y < 11; y++)
        mask[y * RW + 9] = want[y * RW + 9] = 0;
    assert_int_equal(mask_tidy(mask, RH, RW, 3, NULL), INFOMASK_OK);
    assert_memory_equal(mask, want, sizeof mask);
    memset(mask, 0, sizeof mask);
    mask[5 * RW + 5] = 255; /* the largest that there is */
    assert_int_equal(mask_tidy(mask, RH, RW, 3, NULL), INFOMASK_OK);
    assert_int_equal(mask[5 * RW + 5], 255);
    memset(mask, 0, sizeof mask);
    assert_int_equal(mask_tidy(mask, RH, RW, 3, NULL), INFOMASK_OK);
    assert_int_equal(mask[5 * RW + 5], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_maps_as_defined),
        cmocka_unit_test(window_pmi_as_defined),
        cmocka_unit_test(window_pmi_is_normalised),
        cmocka_unit_test(window_pmi_undoes_smoothing),
        cmocka_unit_test(cells_average_to_the_pmi),
        cmocka_unit_test(sets_are_asked_about_exactly),
        cmocka_unit_test(windows_of_sets_are_normalised),
        cmocka_unit_test(maps_of_sets_as_defined),
        cmocka_unit_test(the_other_class_is_the_least_likely_of_the_best),
        cmocka_unit_test(graph_and_its_solution_as_numpy),
        cmocka_unit_test(seeds_do_not_cross_a_gap),
        cmocka_unit_test(seeds_that_are_all_alike_stay),
        cmocka_unit_test(ground_like_the_object_is_left_out_unless_it_tells),
        cmocka_unit_test(otsu_as_numpy),
        cmocka_unit_test(sigmoids_are_sigmoids),
        cmocka_unit_test(gate_is_scaled_by_the_prior),
        cmocka_unit_test(share_takes_the_fewest_cells),
        cmocka_unit_test(regions_as_by_flooding),
        cmocka_unit_test(regions_have_boxes_peaks_and_shares),
        cmocka_unit_test(strokes_are_found_and_taken_whole),
        cmocka_unit_test(rims_go_with_their_stroke),
        cmocka_unit_test(specks_and_pinholes_go),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
