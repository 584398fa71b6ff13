/* Runs a model file and tells how long: the half of tests/bench/engines.py that is ours.
 *
 *     engine_bench MODEL ISA PRECISION THREADS BATCH SIZE [INPUT [OUTPUT]]
 *
 * BENCH_CLOCK=cpu in the environment: processor time instead of the wall's, for one thread on a machine that others use.
 *
 * INPUT is raw float32 in the file's N, C, H, W order (default: a fixed pattern), OUTPUT gets the raw outputs.  Each
 * line on stdin is a number of runs; each is answered by the microseconds of those runs on one line.  The first line
 * printed is "load MILLISECONDS arena BYTES rss KIBIBYTES outputs COUNT isa KERNELS". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/engine/engine.h"
#include "core/quant/quant.h"

struct bench {
    const char *isa; /* of the kernels in use */
    struct engine_model *model;
    struct engine_session *session;
    struct pool *pool;
    int batch, size;
    long runs;
    float *input;
};

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(getenv("BENCH_CLOCK") != NULL ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static long rss_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (file != NULL)
        (void)fclose(file);
    return kib;
}

/* The weights that `make quantize` leaves beside the network: model.int8 for model.onnx. */
static enum infomask_status read_int8(const char *path, struct quant **quant, struct infomask_error *err)
{
    const char *end = strrchr(path, '.');
    int length = end != NULL ? (int)(end - path) : (int)strlen(path);
    char file[4096];

    (void)snprintf(file, sizeof file, "%.*s.int8", length, path);
    return quant_read(file, NULL, quant, err);
}

static enum infomask_status load(struct bench *b, const char *path, const char *isa, const char *precision,
                                 struct infomask_error *err)
{
    struct engine_options options = {.arena_limit = (size_t)4 << 30,
                                     .precision = strcmp(precision, "bf16") == 0   ? ENGINE_BF16
                                                  : strcmp(precision, "int8") == 0 ? ENGINE_INT8
                                                                                   : ENGINE_F32};
    struct graph *graph = NULL;
    struct quant *quant = NULL;
    enum infomask_status status = INFOMASK_OK;

    if (strcmp(isa, "auto") == 0)
        options.kernels = kernels_best();
    else
        status = kernels_named(isa, &options.kernels, err);
    b->isa = status == INFOMASK_OK ? options.kernels->name : "";
    if (status == INFOMASK_OK)
        status = onnx_read(path, NULL, &graph, err);
    if (status == INFOMASK_OK)
        status = graph_infer_shapes(graph, err);
    if (status == INFOMASK_OK)
        status = graph_fold_constants(graph, err);
    if (status == INFOMASK_OK)
        status = graph_fuse(graph, err);
    if (status == INFOMASK_OK)
        status = graph_prune(graph, err);
    if (status != INFOMASK_OK) {
        graph_free(graph);
        return status;
    }
    if (options.precision == ENGINE_INT8)
        status = read_int8(path, &quant, err);
    if (status != INFOMASK_OK) {
        graph_free(graph);
        return status;
    }
    options.int8 = quant != NULL ? &quant->int8 : NULL;
    status = engine_model_create(&b->model, graph, &options, err);
    quant_free(quant);
    return status;
}

/* NCHW floats of a file, or a pattern, into the engine's input. */
static int fill(struct bench *b, const char *path)
{
    size_t c = (size_t)engine_model_info(b->model)->channels, pixels = (size_t)b->size * (size_t)b->size;
    size_t n = (size_t)b->batch * c * pixels;
    float *data = malloc(n * sizeof *data);
    FILE *file = path == NULL ? NULL : fopen(path, "rb");

    if (data == NULL || (path != NULL && (file == NULL || fread(data, sizeof *data, n, file) != n))) {
        free(data);
        return -1;
    }
    for (size_t i = 0; path == NULL && i < n; i++)
        data[i] = (float)((i * 2654435761u >> 7) % 2001) / 1000 - 1;
    for (size_t i = 0; i < n; i++) {
        size_t image = i / (c * pixels), channel = i / pixels % c, pixel = i % pixels;
        b->input[(image * pixels + pixel) * c + channel] = data[i];
    }
    free(data);
    if (file != NULL)
        (void)fclose(file);
    return 0;
}

static void write_output(const struct bench *b, const char *path)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL)
        return;
    (void)fwrite(engine_output(b->session), sizeof(float),
                 (size_t)b->batch * engine_model_info(b->model)->outputs, file);
    (void)fclose(file);
}

/* On a thread of the pool, as a request runs. */
static void timed_runs(void *context)
{
    struct bench *b = context;

    for (long i = 0; i < b->runs; i++) {
        double start = now_us();
        bool ran = engine_run(b->session, NULL) == INFOMASK_OK;
        printf("%.1f%c", ran ? now_us() - start : NAN, i + 1 == b->runs ? '\n' : ' ');
    }
}

static void serve(struct bench *b)
{
    char line[64];

    while (fgets(line, sizeof line, stdin) != NULL) {
        b->runs = strtol(line, NULL, 10);
        pool_run(b->pool, timed_runs, b);
        (void)fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct infomask_error err = {0};
    double start = now_us(), loaded;

    if (argc < 7) {
        (void)fprintf(stderr, "usage: engine_bench MODEL ISA PRECISION THREADS BATCH SIZE [INPUT [OUTPUT]]\n");
        return 2;
    }
    b.batch = (int)strtol(argv[5], NULL, 10);
    b.size = (int)strtol(argv[6], NULL, 10);
    kernels_warm_up();
    if (load(&b, argv[1], argv[2], argv[3], &err) != INFOMASK_OK ||
        pool_create(&b.pool, (int)strtol(argv[4], NULL, 10), NULL, NULL, &err) != INFOMASK_OK ||
        engine_session_create(&b.session, b.model, b.pool, &err) != INFOMASK_OK ||
        engine_prepare(b.session, b.batch, b.size, b.size, false, &b.input, &err) != INFOMASK_OK) {
        (void)fprintf(stderr, "engine_bench: %s\n", err.text);
        return 1;
    }
    loaded = now_us();
    if (fill(&b, argc > 7 ? argv[7] : NULL) != 0)
        return 1;
    if (engine_run(b.session, NULL) != INFOMASK_OK)
        return 1;
    if (argc > 8)
        write_output(&b, argv[8]);
    printf("load %.2f arena %zu rss %ld outputs %zu isa %s\n", (loaded - start) / 1e3, engine_session_bytes(b.session),
           rss_kib(), engine_model_info(b.model)->outputs, b.isa);
    (void)fflush(stdout);
    serve(&b);
    engine_session_free(b.session);
    engine_model_free(b.model);
    pool_free(b.pool);
    return 0;
}
