/* Runs ONNX files on raw tensors, for comparison with other engines:
 *
 *     netrun [--isa NAME] [--precision P] [--plain] [--small] FILE INPUT OUTPUT COUNT [HEIGHT WIDTH] ...
 *
 * INPUT holds COUNT items in the file's own order (N, C, H, W or N, H, W, C ...), float32; OUTPUT gets the output in the
 * file's own order.  "-" for them: some numbers, and nothing is written.  Any number of such calls may come on standard input instead, one a line; each is answered by a line
 * "ok LOAD SECONDS WORDS", or "failed REASON".  The words say what was found: "concrete", the head ("pooled", "layers",
 * "flat", those two with "piecewise" or "smooth"), "softmax", "sigmoid", "fixed" or "any-size"; and with a head
 * "cells=E", how far the mean of what the cells say is from the logits, by their spread.
 * --plain: the graph as it was read, each step alone.
 * --small: with the memory that the service gives a session.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/engine/internal.h"
#include "core/kernels/kernels.h"

struct call {
    char file[1024], input[1024], output[1024];
    int count, height, width;
};

struct settings {
    struct engine_options options;
    bool plain;
};

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum infomask_status read_graph(const struct call *call, bool plain, bool fixed, struct graph **graph,
                                       struct infomask_error *err)
{
    const struct onnx_size size = {call->height, call->width, fixed};
    enum infomask_status status = onnx_read_for(call->file, NULL, size, graph, err);

    if (status == INFOMASK_OK)
        status = graph_infer_shapes(*graph, err);
    if (status == INFOMASK_OK)
        status = graph_fold_constants(*graph, err);
    if (status == INFOMASK_OK && !plain)
        status = graph_fuse(*graph, err);
    if (status == INFOMASK_OK)
        status = graph_prune(*graph, err);
    return status;
}

static float *read_floats(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    float *data = NULL;
    long size = 0;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
        data = malloc((size_t)size);
    if (data != NULL && fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        data = NULL;
    }
    if (file != NULL)
        fclose(file);
    *n = (size_t)size / sizeof *data;
    return data;
}

static float *some_floats(size_t n)
{
    float *x = n < (size_t)1 << 28 ? malloc((n + 1) * sizeof *x) : NULL;

    for (size_t i = 0; x != NULL && i < n; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    return x;
}

/* A map's items between N, C, H, W and N, H, W, C. */
static void turn(const float *from, float *to, size_t items, size_t outer, size_t inner)
{
    for (size_t n = 0; n < items; n++, from += outer * inner, to += outer * inner)
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++)
                to[i * outer + o] = from[o * inner + i];
}

static bool write_output(const struct engine_session *session, const struct call *call)
{
    const struct engine_model *model = session->model;
    const struct shape *s = &session->area.plan->values[model->output].shape;
    size_t n = engine_model_info(model)->outputs * (size_t)call->count;
    float *out = malloc(n * sizeof *out);
    FILE *file = strcmp(call->output, "-") == 0 ? tmpfile() : fopen(call->output, "wb");
    bool fine = out != NULL && file != NULL;

    if (fine && shape_is_map(s))
        turn(engine_output(session), out, (size_t)call->count * (size_t)s->d[0] / (size_t)model_batch(model),
             (size_t)(s->d[2] * s->d[3]), (size_t)s->d[1]);
    else if (fine)
        memcpy(out, engine_output(session), n * sizeof *out);
    fine = fine && fwrite(out, sizeof *out, n, file) == n;
    if (file != NULL)
        fine = fclose(file) == 0 && fine;
    free(out);
    return fine;
}

/* The logits of item 0, read back from what the file's end makes of them. */
static double logit(const struct engine_info *info, double y)
{
    double p = y < 1e-30 ? 1e-30 : y > 1 - 1e-7 ? 1 - 1e-7 : y;

    return info->softmax_output ? log(p) : info->squashed ? log(p) - log1p(-p) : y;
}

/* Largest difference between the cells' mean and the logits, up to one number for all classes (but under a sigmoid), by
 * the logits' spread; -1: there is no head. */
static double cells_error(const struct engine_session *session)
{
    const struct engine_info *info = engine_model_info(session->model);
    struct engine_tap f = engine_features(session);
    size_t n = (size_t)(f.h * f.w), k = info->outputs;
    float *l = f.data != NULL ? malloc(n * k * sizeof *l) : NULL;
    double shift = 0, most = 0, low = INFINITY, high = -INFINITY;
    double *d = malloc(k * sizeof *d);

    if (l == NULL || d == NULL || engine_head_cells(session->model, f.data, (int)n, l, NULL) != INFOMASK_OK) {
        free(l);
        free(d);
        return -1;
    }
    for (size_t c = 0; c < k; c++) {
        double mean = 0, z = logit(info, (double)engine_output(session)[c]);
        for (size_t u = 0; u < n; u++)
            mean += (double)l[u * k + c] / (double)n;
        d[c] = mean - z;
        shift += info->squashed ? 0 : d[c] / (double)k;
        low = fmin(low, z);
        high = fmax(high, z);
    }
    for (size_t c = 0; c < k; c++)
        most = fmax(most, fabs(d[c] - shift));
    free(l);
    free(d);
    return most / (high > low ? high - low : 1);
}

static enum infomask_status run(struct engine_model *model, const struct call *call, double *seconds,
                                double *cells, struct infomask_error *err)
{
    const struct engine_info *info = engine_model_info(model);
    struct engine_session *session = NULL;
    int h = call->height > 0 ? call->height : model->base_h, w = call->width > 0 ? call->width : model->base_w;
    bool map = model->graph->tensors[model->graph->input].rank == 4, made_up = strcmp(call->input, "-") == 0;
    size_t items = (size_t)call->count, wanted = items * (size_t)info->channels * (map ? (size_t)h * (size_t)w : 1), n = wanted;
    float *x = made_up ? some_floats(n) : read_floats(call->input, &n), *input;
    enum infomask_status status = engine_session_create(&session, model, NULL, err);

    if (status == INFOMASK_OK && (x == NULL || n != wanted))
        status = error_set(err, INFOMASK_ARGUMENT, "the input has %zu numbers", n);
    if (status == INFOMASK_OK)
        status = engine_prepare(session, call->count, map ? h : 1, map ? w : 1, info->head != ENGINE_HEAD_NONE,
                                &input, err);
    if (status == INFOMASK_OK) {
        double start;
        if (map && model->first == 0)
            turn(x, input, items, (size_t)info->channels, (size_t)(h * w));
        else
            memcpy(input, x, n * sizeof *x);
        start = now();
        status = engine_run(session, err);
        *seconds = now() - start;
    }
    if (status == INFOMASK_OK && info->head != ENGINE_HEAD_NONE)
        *cells = cells_error(session);
    if (status == INFOMASK_OK && !write_output(session, call))
        status = error_set(err, INFOMASK_IO, "the output cannot be written");
    engine_session_free(session);
    free(x);
    return status;
}

static void print_found(const struct engine_model *model, double cells)
{
    static const char *const heads[] = {[ENGINE_HEAD_NONE] = "", [ENGINE_HEAD_LINEAR] = "pooled ",
                                        [ENGINE_HEAD_LAYERS] = "layers ", [ENGINE_HEAD_FLAT] = "flat "};
    const struct engine_info *info = engine_model_info(model);
    bool layers = info->head == ENGINE_HEAD_LAYERS || info->head == ENGINE_HEAD_FLAT;

    printf("%s%s%s%s%s%s", model->graph->concrete ? "concrete " : "", heads[info->head],
           !layers ? "" : info->piecewise ? "piecewise " : "smooth ", info->softmax_output ? "softmax " : "",
           info->squashed ? "sigmoid " : "", info->fixed_size ? "fixed" : "any-size");
    if (info->head != ENGINE_HEAD_NONE)
        printf(" cells=%.1e", cells);
}

static enum infomask_status load_model(const struct call *call, const struct settings *settings, bool fixed,
                                       struct engine_model **model, struct infomask_error *err)
{
    struct graph *graph = NULL;
    enum infomask_status status = read_graph(call, settings->plain, fixed, &graph, err);

    if (status == INFOMASK_OK)
        return engine_model_create(model, graph, &settings->options, err);
    graph_free(graph);
    return status;
}

static bool answer(const struct call *call, const struct settings *settings)
{
    struct infomask_error err = {0};
    struct engine_model *model = NULL;
    double seconds = 0, start = now(), load, cells = -1;
    enum infomask_status status = load_model(call, settings, false, &model, &err);

    if (status == INFOMASK_OK && engine_model_info(model)->asks_for_size) { /* as the pipeline does */
        engine_model_free(model);
        model = NULL;
        status = load_model(call, settings, true, &model, &err);
    }
    load = now() - start;
    if (status == INFOMASK_OK)
        status = run(model, call, &seconds, &cells, &err);
    if (status == INFOMASK_OK) {
        printf("ok %.4f %.4f ", load, seconds);
        print_found(model, cells);
        printf("\n");
    } else {
        printf("failed %s\n", err.text);
    }
    fflush(stdout);
    engine_model_free(model);
    return status == INFOMASK_OK;
}

static bool read_call(const char *line, struct call *call)
{
    *call = (struct call){0};
    return sscanf(line, "%1023s %1023s %1023s %d %d %d", call->file, call->input, call->output, &call->count,
                  &call->height, &call->width) >= 4;
}

int main(int argc, char **argv)
{
    struct settings settings = {.options = {.arena_limit = (size_t)4 << 30}};
    struct infomask_error err = {0};
    char line[4096] = "";
    struct call call;
    bool bad = false;
    int at = 1;

    kernels_warm_up();
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--small") == 0)
            settings.options.arena_limit = 0;
        else if (strcmp(argv[at], "--plain") == 0)
            settings.plain = settings.options.apart = settings.options.direct = true;
        else if (strcmp(argv[at], "--isa") == 0 && at + 1 < argc)
            bad = kernels_named(argv[++at], &settings.options.kernels, &err) != INFOMASK_OK;
        else if (strcmp(argv[at], "--precision") == 0 && at + 1 < argc)
            settings.options.precision = strcmp(argv[++at], "bf16") == 0 ? ENGINE_BF16 : ENGINE_F32;
    }
    if (bad) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    for (int i = at; i < argc; i++)
        (void)snprintf(line + strlen(line), sizeof line - strlen(line), "%s ", argv[i]);
    if (*line != 0)
        return read_call(line, &call) && answer(&call, &settings) ? 0 : 1;
    while (fgets(line, sizeof line, stdin) != NULL)
        if (read_call(line, &call))
            (void)answer(&call, &settings);
    return 0;
}
