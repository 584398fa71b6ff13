/* The two networks over the pictures, and what is summed up of one layer. */
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/quant/internal.h"

#define BLOCK 256              /* rows at a time */
#define MOST_PARTS 8           /* of the pictures, each summed up by itself: a function of the layer's size only */
#define PART_BYTES ((size_t)256 << 20)

/* ---- models and sessions ----------------------------------------------------------------------------------------- */

static enum infomask_status new_model(const struct quant_options *options, const struct engine_int8 *int8,
                                      struct engine_model **model, struct infomask_error *err)
{
    struct engine_options how = {.kernels = options->kernels, .int8 = int8, .apart = true,
                                 .precision = int8 != NULL ? ENGINE_INT8 : ENGINE_F32};
    struct graph *graph = NULL;
    enum infomask_status status = options->graph(options->graph_context, &graph, err);

    return status == INFOMASK_OK ? engine_model_create(model, graph, &how, err) : status;
}

static enum infomask_status new_sessions(struct engine_model *model, int count, struct engine_session **sessions,
                                         struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < count && status == INFOMASK_OK; i++)
        status = engine_session_create(&sessions[i], model, NULL, err);
    return status;
}

static void close_rounded(struct observer *observer)
{
    for (int i = 0; i < POOL_MAX_THREADS; i++) {
        engine_session_free(observer->rounded_sessions[i]);
        observer->rounded_sessions[i] = NULL;
    }
    engine_model_free(observer->rounded);
    observer->rounded = NULL;
}

enum infomask_status observer_open(struct observer *observer, const struct engine_int8 *int8,
                                   struct infomask_error *err)
{
    int workers = pool_threads(observer->options->pool);
    enum infomask_status status = INFOMASK_OK;

    close_rounded(observer);
    if (observer->exact == NULL) {
        status = new_model(observer->options, NULL, &observer->exact, err);
        if (status == INFOMASK_OK)
            status = new_sessions(observer->exact, workers, observer->exact_sessions, err);
    }
    if (status == INFOMASK_OK && int8 != NULL)
        status = new_model(observer->options, int8, &observer->rounded, err);
    if (status == INFOMASK_OK && int8 != NULL)
        status = new_sessions(observer->rounded, workers, observer->rounded_sessions, err);
    return status;
}

void observer_close(struct observer *observer)
{
    close_rounded(observer);
    for (int i = 0; i < POOL_MAX_THREADS; i++)
        engine_session_free(observer->exact_sessions[i]);
    engine_model_free(observer->exact);
    observer->exact = NULL;
}

/* Picture i into a session, and the run up to where `watch` says. */
static enum infomask_status run_picture(const struct observer *observer, struct engine_session *session, int i,
                                        engine_watch *watch, void *context, struct infomask_error *err)
{
    const struct quant_options *o = observer->options;
    size_t elements = (size_t)o->h * (size_t)o->w * (size_t)engine_model_info(observer->exact)->channels;
    float *input;
    enum infomask_status status = engine_prepare(session, 1, o->h, o->w, false, &input, err);

    if (status != INFOMASK_OK)
        return status;
    memcpy(input, o->pictures + (size_t)i * elements, elements * sizeof *input);
    return engine_run_watched(session, watch, context, err);
}

/* The first failure of several threads' work wins, in the order of the work. */
static enum infomask_status first_failure(const struct infomask_error *errors, int count, struct infomask_error *err)
{
    for (int i = 0; i < count; i++)
        if (errors[i].status != INFOMASK_OK)
            return error_set(err, errors[i].status, "%s", errors[i].text);
    return INFOMASK_OK;
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

struct ranging {
    const struct observer *observer;
    const struct sites *sites;
    struct site *own[POOL_MAX_THREADS]; /* a worker's: rows and counts only */
    struct infomask_error *errors;      /* a picture's */
};

struct ranging_task {
    const struct sites *sites;
    struct site *own;
};

static bool count_values(void *context, const struct engine_layer *layer)
{
    const struct ranging_task *task = context;

    for (int i = 0; i < task->sites->count; i++) {
        if (strcmp(task->sites->list[i].tensor, layer->tensor) != 0)
            continue;
        task->own[i].rows += (uint64_t)layer->rows;
        if (task->own[i].counts.bins != NULL)
            range_count(&task->own[i].counts, layer->x, layer->elements);
        break;
    }
    return true;
}

static void range_picture(void *context, int picture, int worker)
{
    struct ranging *r = context;
    struct ranging_task task = {r->sites, r->own[worker]};

    (void)run_picture(r->observer, r->observer->exact_sessions[worker], picture, count_values, &task,
                      &r->errors[picture]);
}

static bool counts_new(struct ranging *r, int workers)
{
    bool fine = true;

    for (int w = 0; w < workers && fine; w++) {
        r->own[w] = calloc((size_t)r->sites->count + 1, sizeof *r->own[w]);
        for (int i = 0; i < r->sites->count && r->own[w] != NULL; i++) {
            r->own[w][i].counts = (struct range_counts){NULL, r->sites->list[i].counts.least,
                                                        r->sites->list[i].counts.largest};
            if (r->sites->list[i].bounded)
                continue;
            r->own[w][i].counts.bins = calloc(RANGE_BINS, sizeof(uint64_t));
            fine = fine && r->own[w][i].counts.bins != NULL;
        }
        fine = fine && r->own[w] != NULL;
    }
    return fine;
}

/* What the workers counted, into the sites. */
static void counts_take(struct ranging *r, struct sites *sites, int workers)
{
    for (int w = 0; w < workers && r->own[w] != NULL; w++) {
        for (int i = 0; i < sites->count; i++) {
            sites->list[i].rows += r->own[w][i].rows;
            if (r->own[w][i].counts.bins != NULL && sites->list[i].counts.bins == NULL)
                sites->list[i].counts = r->own[w][i].counts;
            else if (r->own[w][i].counts.bins != NULL) {
                range_merge(&sites->list[i].counts, &r->own[w][i].counts);
                free(r->own[w][i].counts.bins);
            }
        }
        free(r->own[w]);
    }
}

enum infomask_status observe_ranges(struct observer *observer, struct sites *sites, struct infomask_error *err)
{
    struct ranging r = {.observer = observer, .sites = sites};
    int count = observer->options->count, workers = pool_threads(observer->options->pool);
    bool fine = counts_new(&r, workers);
    enum infomask_status status;

    r.errors = calloc((size_t)count + 1, sizeof *r.errors);
    if (fine && r.errors != NULL)
        pool_for(observer->options->pool, count, range_picture, &r);
    status = fine && r.errors != NULL ? first_failure(r.errors, count, err)
                                      : error_set(err, INFOMASK_MEMORY, "no memory for the ranges of activations");
    counts_take(&r, sites, workers);
    free(r.errors);
    return status;
}

/* ---- one layer --------------------------------------------------------------------------------------------------- */

struct buffers { /* of a worker */
    float *a;      /* [BLOCK, k] rows of either network */
    uint8_t *u8;   /* [BLOCK, k] */
    float *x;      /* [BLOCK, k] the quantised ones, zero taken off */
    float *z;      /* [BLOCK, n] */
    float *counts; /* [BLOCK, n] 1 where the row counts, else 0 */
    float *h;      /* [k, k] of a picture */
    float *x_sum;  /* [n, k] of a picture */
};

struct watching {
    const struct observer *observer;
    const struct site *site;
    const struct kernel_table *kernels;
    int parts;
    struct statistics part[MOST_PARTS];
    struct buffers buffers[POOL_MAX_THREADS];
    struct infomask_error *errors; /* a picture's */
};

struct watching_task { /* a picture's */
    const struct watching *watching;
    struct statistics *part;
    struct buffers *buffers;
    int picture, worker;
    const struct engine_layer *exact;
    enum infomask_status status;
    struct infomask_error *err;
};

static bool buffers_new(struct buffers *b, size_t k, size_t n)
{
    *b = (struct buffers){aligned_new(BLOCK * k * 4), aligned_new(BLOCK * k), aligned_new(BLOCK * k * 4),
                          aligned_new(BLOCK * n * 4), aligned_new(BLOCK * n * 4), aligned_new(k * k * 4),
                          aligned_new(n * k * 4)};
    return b->a != NULL && b->u8 != NULL && b->x != NULL && b->z != NULL && b->counts != NULL && b->h != NULL &&
           b->x_sum != NULL;
}

static void buffers_fini(struct buffers *b)
{
    aligned_free(b->a);
    aligned_free(b->u8);
    aligned_free(b->x);
    aligned_free(b->z);
    aligned_free(b->counts);
    aligned_free(b->h);
    aligned_free(b->x_sum);
}

static bool statistics_new(struct statistics *s, size_t k, size_t n)
{
    *s = (struct statistics){calloc(k * k, sizeof *s->h), calloc(n * k, sizeof *s->x_sum), calloc(n, sizeof *s->z_sum),
                             calloc(n, sizeof *s->count)};
    return s->h != NULL && s->x_sum != NULL && s->z_sum != NULL && s->count != NULL;
}

void statistics_fini(struct statistics *s)
{
    free(s->h);
    free(s->x_sum);
    free(s->z_sum);
    free(s->count);
    *s = (struct statistics){0};
}

/* b->z = A W' of the float32 network. */
static void exact_sums(const struct watching_task *task, int first, int rows)
{
    const struct site *site = task->watching->site;
    struct buffers *b = task->buffers;

    engine_layer_rows(task->exact, first, rows, b->a);
    task->watching->kernels->sgemm(false, true, rows, site->n, site->k, 1, b->a, site->k, site->w, site->k, 0, b->z,
                                   site->n);
}

/* b->x from what the quantised network is about to read. */
static void quantised_rows(const struct watching_task *task, const struct engine_layer *layer, int first, int rows)
{
    const struct site *site = task->watching->site;
    struct buffers *b = task->buffers;
    size_t n = (size_t)rows * (size_t)site->k;

    engine_layer_rows(layer, first, rows, b->a);
    task->watching->kernels->to_u8(b->a, b->u8, n, site->x_scale, site->x_zero);
    for (size_t i = 0; i < n; i++)
        b->x[i] = (float)(b->u8[i] - site->x_zero);
}

/* Which rows count, and the sums of Z over them. */
static void sum_outputs(const struct watching_task *task, const struct engine_layer *layer, int first, int rows)
{
    const struct site *site = task->watching->site;
    const struct buffers *b = task->buffers;
    size_t n = (size_t)site->n;

    for (size_t r = 0; r < (size_t)rows; r++) {
        const float *exact = task->exact->residual, *rounded = layer->residual;
        size_t at = ((size_t)first + r) * n;
        for (size_t j = 0; j < n; j++) {
            float z = b->z[r * n + j] + site->bias[j] + (exact != NULL ? exact[at + j] : 0);
            bool counts = !site->masked || (z > site->low && z < site->high);
            b->counts[r * n + j] = counts;
            task->part->count[j] += counts;
            task->part->z_sum[j] += counts ? (double)z - (rounded != NULL ? (double)rounded[at + j] : 0) : 0;
        }
    }
}

/* The picture's own sums, made in float32, go into the part's. */
static void sum_picture(const struct watching_task *task)
{
    const struct site *site = task->watching->site;
    size_t k = (size_t)site->k, n = (size_t)site->n;

    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i; j++)
            task->part->h[i * k + j] += (double)task->buffers->h[i * k + j];
    for (size_t i = 0; i < n * k; i++)
        task->part->x_sum[i] += (double)task->buffers->x_sum[i];
}

/* Both networks stand before the layer. */
static bool sum_layer(void *context, const struct engine_layer *layer)
{
    const struct watching_task *task = context;
    const struct site *site = task->watching->site;
    const struct kernel_table *kernels = task->watching->kernels;
    struct buffers *b = task->buffers;
    int k = site->k, n = site->n;

    if (strcmp(layer->tensor, site->tensor) != 0)
        return true;
    for (int first = 0; first < layer->rows; first += BLOCK) {
        int rows = layer->rows - first < BLOCK ? layer->rows - first : BLOCK;
        float beta = first > 0;
        exact_sums(task, first, rows);
        quantised_rows(task, layer, first, rows);
        sum_outputs(task, layer, first, rows);
        kernels->sgemm(true, false, k, k, rows, 1, b->x, k, b->x, k, beta, b->h, k);
        kernels->sgemm(true, false, n, k, rows, 1, b->counts, n, b->x, k, beta, b->x_sum, k);
    }
    sum_picture(task);
    return false;
}

/* The float32 network stands before the layer: the other one follows. */
static bool reach_layer(void *context, const struct engine_layer *layer)
{
    struct watching_task *task = context;
    const struct observer *observer = task->watching->observer;

    if (strcmp(layer->tensor, task->watching->site->tensor) != 0)
        return true;
    task->exact = layer;
    task->status = run_picture(observer, observer->rounded_sessions[task->worker], task->picture, sum_layer, task,
                               task->err);
    return false;
}

static void watch_part(void *context, int part, int worker)
{
    struct watching *w = context;
    int count = w->observer->options->count, last = (int)((int64_t)(part + 1) * count / w->parts);

    for (int i = (int)((int64_t)part * count / w->parts); i < last; i++) {
        struct watching_task task = {.watching = w, .part = &w->part[part], .buffers = &w->buffers[worker],
                                     .picture = i, .worker = worker, .err = &w->errors[i]};
        (void)run_picture(w->observer, w->observer->exact_sessions[worker], i, reach_layer, &task, &w->errors[i]);
    }
}

static void statistics_add(struct statistics *into, const struct statistics *from, size_t k, size_t n)
{
    for (size_t i = 0; i < k * k; i++)
        into->h[i] += from->h[i];
    for (size_t i = 0; i < n * k; i++)
        into->x_sum[i] += from->x_sum[i];
    for (size_t i = 0; i < n; i++) {
        into->z_sum[i] += from->z_sum[i];
        into->count[i] += from->count[i];
    }
}

static bool watching_init(struct watching *w, size_t k, size_t n)
{
    size_t bytes = (k * k + n * k) * sizeof(double), fit = PART_BYTES / bytes;
    int count = w->observer->options->count;
    bool fine = true;

    w->parts = fit < 1 ? 1 : fit > MOST_PARTS ? MOST_PARTS : (int)fit;
    w->parts = w->parts > count ? count : w->parts;
    w->errors = calloc((size_t)count + 1, sizeof *w->errors);
    for (int i = 0; i < w->parts; i++)
        fine = statistics_new(&w->part[i], k, n) && fine;
    for (int i = 0; i < pool_threads(w->observer->options->pool); i++)
        fine = buffers_new(&w->buffers[i], k, n) && fine;
    return fine && w->errors != NULL;
}

static void watching_fini(struct watching *w)
{
    for (int i = 0; i < w->parts; i++)
        statistics_fini(&w->part[i]);
    for (int i = 0; i < POOL_MAX_THREADS; i++)
        buffers_fini(&w->buffers[i]);
    free(w->errors);
}

enum infomask_status observe_layer(struct observer *observer, const struct site *site, struct statistics *statistics,
                                   struct infomask_error *err)
{
    const struct kernel_table *kernels = observer->options->kernels;
    struct watching w = {.observer = observer, .site = site, .kernels = kernels != NULL ? kernels : kernels_best()};
    size_t k = (size_t)site->k, n = (size_t)site->n;
    enum infomask_status status;

    *statistics = (struct statistics){0};
    if (watching_init(&w, k, n)) {
        pool_for(observer->options->pool, w.parts, watch_part, &w);
        status = first_failure(w.errors, observer->options->count, err);
        for (int i = 1; i < w.parts; i++)
            statistics_add(&w.part[0], &w.part[i], k, n);
        *statistics = w.part[0];
        w.part[0] = (struct statistics){0};
    } else {
        status = error_set(err, INFOMASK_MEMORY, "no memory for the sums of a layer");
    }
    watching_fini(&w);
    return status;
}
