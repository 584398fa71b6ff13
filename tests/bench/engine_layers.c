/* Where a network's time goes: each step's least time on one thread, its GFLOP/s and what share of a product that stays in
 * the caches that is.
 *
 *     engine_layers MODEL ISA PRECISION SIZE [RUNS [apart]]
 *
 * ISA auto: the best of this processor.  apart: steps that would run together run alone.  With BENCH_CLOCK in the
 * environment it is the processor's time, for a machine that others use.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/engine/internal.h"
#include "core/quant/quant.h"

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(getenv("BENCH_CLOCK") != NULL ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The weights that `make quantize` leaves beside the network: model.int8 for model.onnx. */
static struct quant *read_int8(const char *path, struct infomask_error *err)
{
    const char *end = strrchr(path, '.');
    int length = end != NULL ? (int)(end - path) : (int)strlen(path);
    struct quant *quant = NULL;
    char file[4096];

    (void)snprintf(file, sizeof file, "%.*s.int8", length, path);
    return quant_read(file, NULL, &quant, err) == INFOMASK_OK ? quant : NULL;
}

static struct engine_model *load(const char *path, const char *isa, const char *precision, struct infomask_error *err)
{
    struct engine_options options = {.arena_limit = (size_t)4 << 30, .kernels = kernels_best()};
    struct engine_model *model = NULL;
    struct graph *graph = NULL;
    struct quant *quant = NULL;

    for (int p = 0; p < ENGINE_PRECISIONS; p++)
        if (strcmp(precision, engine_precision_name((enum engine_precision)p)) == 0)
            options.precision = (enum engine_precision)p;
    if (options.precision == ENGINE_INT8) {
        quant = read_int8(path, err);
        if (quant == NULL)
            return NULL;
        options.int8 = &quant->int8;
    }
    if ((strcmp(isa, "auto") == 0 || kernels_named(isa, &options.kernels, err) == INFOMASK_OK) &&
        onnx_read(path, NULL, &graph, err) == INFOMASK_OK && graph_infer_shapes(graph, err) == INFOMASK_OK &&
        graph_fold_constants(graph, err) == INFOMASK_OK && graph_fuse(graph, err) == INFOMASK_OK &&
        graph_prune(graph, err) == INFOMASK_OK) {
        if (engine_model_create(&model, graph, &options, err) != INFOMASK_OK)
            model = NULL;
    } else {
        graph_free(graph);
    }
    quant_free(quant);
    return model;
}

/* Of Winograd's way what the convolution itself would be: its share can be above the whole. */
static double flops(const struct engine_model *model, const struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    const struct graph_window *w = &model->graph->nodes[s->node].window;

    if (layer->way == WAY_DEPTHWISE)
        return 2.0 * s->rows * s->out_c * w->kernel_h * w->kernel_w;
    if (layer->way == WAY_OTHER)
        return (double)s->h * s->w * s->c;
    return 2.0 * s->rows * layer->weights->segments * layer->weights->segment_k * layer->weights->n * layer->groups *
           (layer->way == WAY_WINOGRAD ? 9 : 1);
}

/* GFLOP/s of a float32 product that stays in the caches: the best of many runs. */
static double peak_of(const struct kernel_table *kernels)
{
    enum { M = 84, K = 256, N = 32, REPEATS = 2000 };
    static float w[N * K], a[M * K + 64], c[M * N + 64], scratch[M * K];
    struct kernel_weights weights;
    double least = 1e9;

    if (kernels->pack(&weights, &(struct kernel_matrix){.w = w, .segments = 1, .segment_k = K, .n = N}, NULL) != INFOMASK_OK)
        return NAN;
    for (int i = 0; i < REPEATS; i++) {
        struct kernel_gemm g = {.weights = &weights, .a = a, .a_row = K, .m = M, .c = c, .c_row = N,
                                .panel1 = weights.panels, .epilogue = {KERNEL_CLAMP, 0, 6}, .scratch = scratch};
        double start = now_us(), time;
        kernels->gemm(&g);
        time = now_us() - start;
        least = time < least ? time : least;
    }
    kernel_weights_fini(&weights);
    return 2.0 * M * K * N / least / 1e3;
}

static void measure(struct engine_session *session, int runs)
{
    const double peak = peak_of(session->model->kernels);
    const struct engine_model *model = session->model;
    const struct plan *plan = session->area.plan;
    struct run run = area_run(&session->area, session);
    double *least = calloc((size_t)plan->step_count, sizeof *least), total = 0, all = 0;

    for (int r = 0; least != NULL && r < runs; r++) {
        for (int i = 0; i < plan->step_count; i += plan->steps[i].members) {
            struct task task = {.run = &run, .step = &plan->steps[i], .lane = run.lanes};
            double start = now_us(), time;
            step_run(&task);
            time = now_us() - start;
            least[i] = r == 0 || time < least[i] ? time : least[i];
        }
    }
    for (int i = 0; least != NULL && i < plan->step_count; i += plan->steps[i].members)
        total += least[i];
    for (int i = 0; least != NULL && i < plan->step_count; i += plan->steps[i].members) {
        const struct step *s = &plan->steps[i], *last = s + s->members - 1;
        double f = 0;
        for (int j = 0; j < s->members; j++)
            f += flops(model, s + j);
        printf("%3d + %d %-14s way %d %4d x %4d x %4d -> %4d x %4d x %4d chunks %2d%s %8.1f us %4.1f %% %6.1f GF/s %3.0f %%\n", i,
               s->members - 1, graph_op_name(model->graph->nodes[s->node].op), (int)model->layers[s->node].way, s->h,
               s->w, s->c, last->out_h, last->out_w, last->out_c, s->cut.chunks, s->by_panels ? " panels" : "       ",
               least[i], 100 * least[i] / total, f / least[i] / 1e3, 100 * f / least[i] / 1e3 / peak);
        all += f;
    }
    printf("sum of least times %.1f us, %.1f GF/s, %.0f %% of %.1f GF/s\n", total, all / total / 1e3,
           100 * all / total / 1e3 / peak, peak);
    free(least);
}

int main(int argc, char **argv)
{
    struct infomask_error err = {0};
    struct engine_model *model;
    struct engine_session *session = NULL;
    float *input;
    int side;

    if (argc < 5)
        return 2;
    kernels_warm_up();
    side = (int)strtol(argv[4], NULL, 10);
    model = load(argv[1], argv[2], argv[3], &err);
    if (model != NULL)
        model->apart = argc > 6;
    if (model == NULL || engine_session_create(&session, model, NULL, &err) != INFOMASK_OK ||
        engine_prepare(session, 1, side, side, false, &input, &err) != INFOMASK_OK) {
        (void)fprintf(stderr, "engine_layers: %s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < (size_t)side * (size_t)side * (size_t)engine_model_info(model)->channels; i++)
        input[i] = (float)(i % 255) / 128 - 1;
    measure(session, argc > 5 ? (int)strtol(argv[5], NULL, 10) : 100);
    engine_session_free(session);
    engine_model_free(model);
    return 0;
}
