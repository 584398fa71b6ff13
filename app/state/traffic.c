#include "app/state/traffic.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model/models.h"
#include "app/state/traffic_window.h"
#include "core/base/clock.h"
#include "core/base/sha256.h"

#define SAVE_MS 5000

struct traffic {
    struct pool_task save;      /* first: the task is the traffic */
    char *folder;               /* NULL: memory only */
    struct pool *pool;
    pthread_mutex_t lock;       /* of the windows */
    struct window *windows;
    double saved_ms;
    _Atomic bool saving;
};

/* ---- Saving ------------------------------------------------------------------------------------------------------ */

/* An image of the first window that the file is behind of; NULL: none (or no memory). */
static void *next_image(struct traffic *traffic, char key[65], size_t *size)
{
    void *image = NULL;

    (void)pthread_mutex_lock(&traffic->lock);
    for (struct window *w = traffic->windows; w != NULL && image == NULL; w = w->next) {
        if (w->saved == w->total)
            continue;
        memcpy(key, w->key, sizeof w->key);
        image = window_image(w, size);
        w->saved = w->total;
    }
    traffic->saved_ms = clock_ms();
    (void)pthread_mutex_unlock(&traffic->lock);
    return image;
}

static void save_all(struct traffic *traffic)
{
    struct infomask_error ignored; /* a full disk: the window goes on in memory */
    char key[65];
    void *image;
    size_t size;

    if (traffic->folder == NULL)
        return;
    while ((image = next_image(traffic, key, &size)) != NULL) {
        if (window_write(traffic->folder, key, image, size, &ignored) != INFOMASK_OK) {
            free(image);
            return;
        }
        free(image);
    }
}

static void run_save(struct pool_task *task)
{
    struct traffic *traffic = (struct traffic *)task;

    save_all(traffic);
    atomic_store(&traffic->saving, false);
}

enum infomask_status traffic_create(const char *folder, struct pool *pool, struct traffic **out,
                                    struct infomask_error *err)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);

    if (traffic == NULL || (folder != NULL && (traffic->folder = strdup(folder)) == NULL)) {
        free(traffic);
        return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    }
    traffic->save.run = run_save;
    traffic->pool = pool;
    traffic->saved_ms = clock_ms();
    (void)pthread_mutex_init(&traffic->lock, NULL);
    *out = traffic;
    return INFOMASK_OK;
}

void traffic_free(struct traffic *traffic)
{
    if (traffic == NULL)
        return;
    save_all(traffic);
    while (traffic->windows != NULL) {
        struct window *next = traffic->windows->next;
        window_free(traffic->windows);
        traffic->windows = next;
    }
    (void)pthread_mutex_destroy(&traffic->lock);
    free(traffic->folder);
    free(traffic);
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

static void key_of(const struct model *model, char key[65])
{
    char text[160];
    int length = snprintf(text, sizeof text, "%s/%s", model_name(model), model_info(model)->sha256);

    sha256_bytes(text, length < (int)sizeof text ? (size_t)length : sizeof text - 1, key);
}

/* Under the lock.  From memory, from the file, or a new one; NULL without memory. */
static struct window *window_of(struct traffic *traffic, const struct model *model)
{
    const struct infomask_prior train = {.kind = INFOMASK_PRIOR_TRAIN};
    struct infomask_estimate_spec spec;
    struct infomask_error ignored;
    struct window *w;
    char key[65];

    key_of(model, key);
    for (w = traffic->windows; w != NULL; w = w->next)
        if (memcmp(w->key, key, sizeof key) == 0)
            return w;
    if (infomask_estimate_spec_of(model_core(model), &train, &spec, &ignored) != INFOMASK_OK)
        return NULL;
    w = window_create(key, spec.classes, spec.prior);
    infomask_estimate_spec_fini(&spec);
    if (w == NULL)
        return NULL;
    if (traffic->folder != NULL)
        (void)window_load(w, traffic->folder);
    w->next = traffic->windows;
    traffic->windows = w;
    return w;
}

static void put_sample(struct window *w, const struct infomask_classification *result)
{
    size_t at = (size_t)(w->total % TRAFFIC_WINDOW);

    w->information[at] = result->information;
    w->entropy[at] = result->entropy;
    if (w->row_limit > 0) {
        float *row = w->pmi + (size_t)(w->total % w->row_limit) * w->classes;
        for (size_t y = 0; y < w->classes; y++)
            row[y] = (float)result->pmi[y];
    }
    w->total++;
}

void traffic_add(struct traffic *traffic, const struct model *model, const struct infomask_classification *result)
{
    struct window *w;
    bool late;

    (void)pthread_mutex_lock(&traffic->lock);
    w = window_of(traffic, model);
    if (w != NULL && w->classes == result->classes)
        put_sample(w, result);
    late = traffic->folder != NULL && clock_ms() - traffic->saved_ms > SAVE_MS;
    (void)pthread_mutex_unlock(&traffic->lock);
    if (late && !atomic_exchange(&traffic->saving, true))
        pool_post(traffic->pool, &traffic->save);
}

void traffic_set_baseline(struct traffic *traffic, const struct model *model, const struct traffic_baseline *baseline)
{
    struct window *w;

    (void)pthread_mutex_lock(&traffic->lock);
    w = window_of(traffic, model);
    if (w != NULL)
        w->baseline = *baseline;
    (void)pthread_mutex_unlock(&traffic->lock);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static double mean_of(const double *values, size_t n, double *deviation)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < n; i++)
        mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (values[i] - mean) * (values[i] - mean);
    *deviation = n > 1 ? sqrt(square / (double)(n - 1)) : NAN;
    return n > 0 ? mean : NAN;
}

/* The baseline's mean is itself known only to deviation / sqrt(its samples). */
static double z_of(const struct traffic_state *s)
{
    const struct traffic_baseline *b = &s->baseline;

    if (s->window < TRAFFIC_LEAST || b->samples < TRAFFIC_LEAST || !(b->deviation > 0))
        return NAN;
    return (s->information - b->plug_in) / (b->deviation * sqrt(1 / (double)s->window + 1 / (double)b->samples));
}

static void summarize(const struct window *w, struct traffic_state *s)
{
    double ignored;

    s->total = w->total;
    s->classes = w->classes;
    s->window = w->total < TRAFFIC_WINDOW ? (size_t)w->total : TRAFFIC_WINDOW;
    s->rows = w->total < w->row_limit ? (size_t)w->total : w->row_limit;
    s->information = mean_of(w->information, s->window, &s->deviation);
    s->entropy = mean_of(w->entropy, s->window, &ignored);
    s->baseline = w->baseline;
    s->z = z_of(s);
}

/* pmi [rows][classes], prior [classes]: copies of the window's, so that the fit holds no lock. */
static enum infomask_status fit_classes(struct traffic_state *s, const float *pmi, const double *prior,
                                        struct infomask_error *err)
{
    size_t k = s->classes;
    double *fitted = calloc(k, sizeof *fitted);
    enum infomask_status status;

    s->by_class = calloc(k, sizeof *s->by_class);
    if (fitted == NULL || s->by_class == NULL) {
        free(fitted);
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu classes", k);
    }
    status = infomask_fit_prior(pmi, s->rows, k, prior, fitted, &s->shift, err);
    for (size_t i = 0; i < s->rows; i++)
        for (size_t y = 0; y < k; y++)
            s->by_class[y].mean_probability += prior[y] * exp((double)pmi[i * k + y]) / (double)s->rows;
    for (size_t y = 0; y < k; y++) {
        s->by_class[y].prior = prior[y];
        s->by_class[y].fitted = fitted[y];
    }
    free(fitted);
    return status;
}

enum infomask_status traffic_read(struct traffic *traffic, const struct model *model, bool fit,
                                  struct traffic_state *state, struct infomask_error *err)
{
    struct window *w;
    float *pmi = NULL;
    double *prior = NULL;
    enum infomask_status status = INFOMASK_OK;

    *state = (struct traffic_state){.z = NAN};
    (void)pthread_mutex_lock(&traffic->lock);
    w = window_of(traffic, model);
    if (w != NULL) {
        summarize(w, state);
        pmi = fit ? malloc(state->rows * w->classes * sizeof *pmi + 1) : NULL;
        prior = fit ? malloc(w->classes * sizeof *prior) : NULL;
        if (pmi != NULL && prior != NULL) {
            memcpy(pmi, w->pmi, state->rows * w->classes * sizeof *pmi);
            memcpy(prior, w->prior, w->classes * sizeof *prior);
        }
    }
    (void)pthread_mutex_unlock(&traffic->lock);
    if (w == NULL || (fit && (pmi == NULL || prior == NULL)))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    else if (fit && state->rows >= TRAFFIC_LEAST)
        status = fit_classes(state, pmi, prior, err);
    free(pmi);
    free(prior);
    if (status != INFOMASK_OK)
        traffic_state_fini(state);
    return status;
}

void traffic_state_fini(struct traffic_state *state)
{
    free(state->by_class);
    *state = (struct traffic_state){0};
}
