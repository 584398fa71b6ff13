/* Timing a network alone, and what this processor could do at best. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"
#include "core/base/random.h"
#include "core/graph/graph.h"
#include "core/infomask_lab.h"
#include "core/pipeline/pipeline.h"

#define MOST_RUNS 100000
#define LEAST_RUNS 3

const char *infomask_openblas_core(const char **better)
{
    const char *taken = kernels_core_type();

    if (better != NULL)
        *better = kernels_better_core_type(taken, cpu_features());
    return taken;
}

void infomask_worker_start(void *context, int worker)
{
    (void)context;
    (void)worker;
    kernels_warm_up();
}

const char *infomask_isa(const char *name, struct infomask_error *err)
{
    const struct kernel_table *table = kernels_best();

    if (name != NULL && strcmp(name, "auto") != 0 && kernels_named(name, &table, err) != INFOMASK_OK)
        return NULL;
    return table->name;
}

const char *infomask_precision_name(enum infomask_precision precision)
{
    return precision == INFOMASK_AUTO ? "auto" : engine_precision_name((enum engine_precision)precision);
}

enum infomask_status infomask_precision_check(enum infomask_precision precision, const char *isa,
                                              struct infomask_error *err)
{
    const struct kernel_table *table = kernels_best();
    enum infomask_status status = INFOMASK_OK;

    if (isa != NULL && strcmp(isa, "auto") != 0)
        status = kernels_named(isa, &table, err);
    if (status == INFOMASK_OK && precision != INFOMASK_AUTO)
        status = engine_precision_check((enum engine_precision)precision, table, err);
    return status;
}

/* ---- Work in a network ------------------------------------------------------------------------------------------- */

static double elements(const struct graph_tensor *tensor)
{
    double product = 1;
    for (int i = 1; i < tensor->rank; i++) /* of one item: the first dimension is the batch */
        product *= (double)tensor->dims[i];
    return product;
}

/* A multiplication and an addition are two. */
static double node_flops(const struct graph *graph, const struct graph_node *node)
{
    const struct graph_tensor *y = &graph->tensors[node->output], *w;

    if (node->op != GRAPH_CONV && node->op != GRAPH_LINEAR)
        return 0;
    w = &graph->tensors[graph_input(node, 1)];
    return 2 * elements(y) * elements(w); /* [M, C/groups, kh, kw] or [N, K]: what one output element takes */
}

enum infomask_status infomask_model_flops(const struct infomask_model_spec *spec, int height, int width, double *flops,
                                          struct infomask_error *err)
{
    const struct onnx_size size = {.height = height, .width = width};
    struct graph *graph = NULL;
    enum infomask_status status = onnx_read_for(spec->path, spec->output, size, &graph, err);

    if (status == INFOMASK_OK) {
        struct graph_tensor *x = &graph->tensors[graph->input];
        int first = spec->nhwc ? 1 : 2;
        if (x->rank == 4) {
            x->dims[first] = height;
            x->dims[first + 1] = width;
        }
        status = graph_infer_shapes(graph, err);
    }
    *flops = 0;
    for (int i = 0; status == INFOMASK_OK && i < graph->node_count; i++)
        *flops += node_flops(graph, &graph->nodes[i]);
    graph_free(graph);
    return status;
}

/* ---- The network's time ------------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum infomask_status time_run(struct infomask_session *session, const struct infomask_bench_options *options,
                                     const float *values, size_t count, double *ms, struct infomask_error *err)
{
    float *input;
    enum infomask_status status =
        engine_prepare(session->engine, options->batch, options->height, options->width, false, &input, err);
    double start;

    if (status != INFOMASK_OK)
        return status;
    memcpy(input, values, count * sizeof *input); /* the run may overwrite its input */
    start = clock_ms();
    status = engine_run(session->engine, err);
    *ms = clock_ms() - start;
    return status;
}

static enum infomask_status time_runs(struct infomask_session *session, const struct infomask_bench_options *options,
                                      const float *values, size_t count, double *times,
                                      struct infomask_bench_result *result, struct infomask_error *err)
{
    double warm, end;
    enum infomask_status status = time_run(session, options, values, count, &warm, err);

    end = clock_ms() + options->seconds * 1e3;
    result->runs = 0;
    while (status == INFOMASK_OK && result->runs < MOST_RUNS && (result->runs < LEAST_RUNS || clock_ms() < end))
        status = time_run(session, options, values, count, &times[result->runs++], err);
    if (status != INFOMASK_OK)
        return status;
    qsort(times, (size_t)result->runs, sizeof *times, compare_doubles);
    result->min_ms = times[0];
    result->median_ms = (times[(result->runs - 1) / 2] + times[result->runs / 2]) / 2;
    return INFOMASK_OK;
}

/* ---- The processor's best ---------------------------------------------------------------------------------------- */

#define PEAK_K 256
#define PEAK_N 192
#define PEAK_ROUNDS 20
#define PEAK_FLOPS 4e7 /* of a chunk: about a millisecond */

struct peak {
    const struct kernel_table *table;
    struct kernel_weights weights;
    int rows, repeats, chunks;
    size_t a_bytes, c_bytes, scratch_bytes;
    unsigned char *memory; /* per chunk: A, C, scratch */
};

static struct kernel_gemm peak_gemm(const struct peak *peak, int chunk)
{
    size_t one = peak->a_bytes + peak->c_bytes + peak->scratch_bytes;
    unsigned char *a = peak->memory + (size_t)chunk * one;

    return (struct kernel_gemm){
        .weights = &peak->weights,
        .a = a,
        .a_row = PEAK_K,
        .m = peak->rows,
        .c = a + peak->a_bytes,
        .c_row = PEAK_N,
        .out = KERNEL_F32,
        .panel1 = peak->weights.panels,
        .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY},
        .a_scale = 1,
        .scratch = peak->scratch_bytes > 0 ? (float *)(void *)(a + peak->a_bytes + peak->c_bytes) : NULL};
}

static void peak_chunk(void *context, int chunk, int worker)
{
    struct peak *peak = context;
    struct kernel_gemm gemm = peak_gemm(peak, chunk);

    (void)worker;
    for (int i = 0; i < peak->repeats; i++)
        peak->table->gemm(&gemm);
}

/* A product that stays in the cache, on every thread at once; the best of a few rounds. */
static double peak_rate(struct peak *peak, struct pool *pool)
{
    double flops = 2.0 * peak->rows * PEAK_K * PEAK_N, best = 0;

    peak->repeats = (int)(PEAK_FLOPS / flops) + 1;
    for (int round = 0; round < PEAK_ROUNDS; round++) {
        double start = clock_ms(), ms;
        pool_for(pool, peak->chunks, peak_chunk, peak);
        ms = clock_ms() - start;
        best = fmax(best, flops * peak->repeats * peak->chunks / (ms * 1e6));
    }
    return best;
}

/* Raises *gflops to what is measured. */
static enum infomask_status measure_peak(const struct infomask_model *model, struct pool *pool, double *gflops,
                                         struct infomask_error *err)
{
    static const enum kernel_type types[] = {KERNEL_F32, KERNEL_BF16, KERNEL_U8};
    enum kernel_type type = types[model->network->precision];
    struct peak peak = {.chunks = pool_threads(pool) * 8};
    float *w = calloc((size_t)PEAK_K * PEAK_N, sizeof *w);
    const struct kernel_matrix matrix = {.type = type, .w = w, .segments = 1, .segment_k = PEAK_K, .n = PEAK_N};
    enum infomask_status status = w != NULL ? kernels_named(model->info.isa, &peak.table, err)
                                            : error_set(err, INFOMASK_MEMORY, "out of memory");
    struct kernel_gemm gemm;

    if (status == INFOMASK_OK)
        status = peak.table->pack(&peak.weights, &matrix, err);
    if (status == INFOMASK_OK) {
        peak.rows = peak.table->gemm_tile[type] * (96 / peak.table->gemm_tile[type] + 1);
        peak.a_bytes = aligned_round((size_t)peak.rows * PEAK_K * kernel_type_bytes(type) + ALIGNED_BYTES);
        peak.c_bytes = aligned_round((size_t)peak.rows * PEAK_N * sizeof(float));
        gemm = peak_gemm(&peak, 0);
        peak.scratch_bytes = aligned_round(peak.table->gemm_scratch(&gemm) * sizeof(float));
        peak.memory = aligned_new((size_t)peak.chunks * (peak.a_bytes + peak.c_bytes + peak.scratch_bytes));
        if (peak.memory == NULL)
            status = error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    if (status == INFOMASK_OK) {
        memset(peak.memory, 0, (size_t)peak.chunks * (peak.a_bytes + peak.c_bytes + peak.scratch_bytes));
        *gflops = fmax(*gflops, peak_rate(&peak, pool));
    }
    aligned_free(peak.memory);
    kernel_weights_fini(&peak.weights);
    free(w);
    return status;
}

enum infomask_status infomask_bench(struct infomask_session *session, const struct infomask_bench_options *options,
                                    struct infomask_bench_result *result, struct infomask_error *err)
{
    size_t count = (size_t)options->batch * (size_t)options->height * (size_t)options->width *
                   (size_t)session->model->network->channels;
    float *values = calloc(count, sizeof *values);
    double *times = calloc(MOST_RUNS, sizeof *times);
    struct random_stream stream = random_stream(0, 0);
    enum infomask_status status = INFOMASK_OK;

    if (values == NULL || times == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; status == INFOMASK_OK && i < count; i++)
        values[i] = (float)(2 * random_unit(&stream) - 1);
    *result = (struct infomask_bench_result){0};
    if (status == INFOMASK_OK) /* before and after: other work on the machine spoils one of the two at most */
        status = measure_peak(session->model, session->pool, &result->peak_gflops, err);
    if (status == INFOMASK_OK)
        status = time_runs(session, options, values, count, times, result, err);
    if (status == INFOMASK_OK)
        status = measure_peak(session->model, session->pool, &result->peak_gflops, err);
    free(values);
    free(times);
    return status;
}
