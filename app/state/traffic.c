#include "app/state/traffic.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "app/model/models.h"
#include "app/state/traffic_window.h"
#include "core/base/clock.h"
#include "core/base/sha256.h"

#define TELL_MS 2000.0     /* between two looks at the state */
#define PATIENCE_MS 5000.0 /* of one of them */

struct traffic {
    const struct estimates *estimates; /* NULL: memory only */
    char writer[TRAFFIC_WRITER_SIZE];
    pthread_mutex_t telling;           /* one exchange with the state at a time; taken before the lock */
    pthread_mutex_t lock;              /* of what follows */
    pthread_cond_t ending_now;
    struct window *windows;            /* none is ever taken out */
    bool ending, started;
    pthread_t teller;
};

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

static void hash_text(const char *a, const char *b, char hash[TRAFFIC_KEY_SIZE])
{
    char text[300];
    int length = snprintf(text, sizeof text, "%s/%s", a, b);

    sha256_bytes(text, length < (int)sizeof text ? (size_t)length : sizeof text - 1, hash);
}

/* Under the lock; NULL without memory.  model_key: of its name and file. */
static struct window *make_window(struct traffic *traffic, const char *model_key,
                                  const struct infomask_estimate_spec *spec)
{
    char prior[TRAFFIC_KEY_SIZE], key[TRAFFIC_KEY_SIZE];
    struct window *w;

    sha256_bytes(spec->prior, spec->classes * sizeof *spec->prior, prior);
    hash_text(model_key, prior, key);
    w = window_create(key, spec->classes, spec->prior);
    if (w == NULL)
        return NULL;
    memcpy(w->model_key, model_key, sizeof w->model_key);
    w->next = traffic->windows;
    return traffic->windows = w;
}

/* Under the lock; NULL without memory. */
static struct window *window_of(struct traffic *traffic, const struct model *model)
{
    const struct infomask_prior train = {.kind = INFOMASK_PRIOR_TRAIN};
    struct infomask_estimate_spec spec;
    struct infomask_error ignored;
    struct window *w;
    char key[TRAFFIC_KEY_SIZE];

    if (infomask_estimate_spec_of(model_core(model), &train, &spec, &ignored) != INFOMASK_OK)
        return NULL;
    hash_text(model_name(model), model_info(model)->sha256, key);
    for (w = traffic->windows; w != NULL; w = w->next)
        if (memcmp(w->model_key, key, sizeof key) == 0 && w->shared.classes == spec.classes &&
            memcmp(w->prior, spec.prior, spec.classes * sizeof *spec.prior) == 0)
            break;
    if (w == NULL)
        w = make_window(traffic, key, &spec);
    infomask_estimate_spec_fini(&spec);
    return w;
}

void traffic_add(struct traffic *traffic, const struct model *model, const struct infomask_classification *result)
{
    const struct photo_numbers photo = {result->information, result->entropy};
    const struct photo_answer answer = {(int64_t)time(NULL) / 3600, (size_t)result->order[0]};
    struct window *w;

    (void)pthread_mutex_lock(&traffic->lock);
    w = window_of(traffic, model);
    if (w != NULL && w->own.classes == result->classes)
        ring_put(traffic->estimates != NULL ? &w->own : &w->shared, photo, answer, result->pmi);
    if (w != NULL && w->own.classes == result->classes && traffic->estimates == NULL)
        history_add(w->history, answer.hour, answer.predicted, photo.information, photo.entropy);
    (void)pthread_mutex_unlock(&traffic->lock);
}

/* ---- The state --------------------------------------------------------------------------------------------------- */

/* What this process saw and has not told.  False: nothing, or no memory for it. */
static bool take_untold(struct traffic *traffic, struct window *w, struct traffic_told *told)
{
    bool some;

    (void)pthread_mutex_lock(&traffic->lock);
    if (w->telling == 0) { /* else it was told, and perhaps not heard: the same again */
        w->telling = w->own.total - w->told;
        w->number++;
    }
    *told = (struct traffic_told){.key = w->key, .writer = traffic->writer, .number = w->number,
                                  .classes = w->own.classes, .row_limit = w->own.row_limit,
                                  .most_information = w->most_information};
    some = w->telling > 0 && ring_copy(&w->own, w->told, w->told + w->telling, true, &told->part);
    (void)pthread_mutex_unlock(&traffic->lock);
    return some;
}

static void add_to_history(struct history *history, const struct traffic_part *part)
{
    for (size_t i = 0; i < part->photos; i++)
        history_add(history, part->answer[i].hour, part->answer[i].predicted, part->photo[i].information,
                    part->photo[i].entropy);
}

/* told: what was told, or NULL; it is among the news, which say nothing of answers. */
static void take_news(struct traffic *traffic, struct window *w, const struct traffic_news *news,
                      const struct traffic_part *told)
{
    (void)pthread_mutex_lock(&traffic->lock);
    if (news->total < w->shared.total)
        ring_clear(&w->shared);
    for (const struct traffic_part *part = news->parts; part != NULL; part = part->next)
        ring_take(&w->shared, part);
    w->baseline = news->baseline;
    w->looked = true;
    if (told != NULL) {
        add_to_history(w->history, told); /* until the state's own is read again */
        w->told += w->telling;
        w->telling = 0;
    }
    (void)pthread_mutex_unlock(&traffic->lock);
}

/* Tells what is new here, and learns what is new there. */
static enum infomask_status exchange(struct traffic *traffic, struct window *w, const struct estimates *state,
                                     struct infomask_error *err)
{
    struct traffic_told told;
    struct traffic_news news = {.key = w->key, .classes = w->shared.classes, .row_limit = w->shared.row_limit};
    enum infomask_status status = INFOMASK_OK;
    bool some;

    (void)pthread_mutex_lock(&traffic->telling);
    some = take_untold(traffic, w, &told);
    if (some)
        status = traffic_store_tell(state, &told, err);
    if (status == INFOMASK_OK) {
        news.since = w->shared.total; /* nobody else changes it */
        status = traffic_store_look(state, &news, err);
    }
    if (status == INFOMASK_OK && news.damaged)
        status = traffic_store_forget(state, w->key, err);
    else if (status == INFOMASK_OK)
        take_news(traffic, w, &news, some ? &told.part : NULL);
    (void)pthread_mutex_unlock(&traffic->telling);
    traffic_news_fini(&news);
    if (some)
        traffic_part_fini(&told.part);
    return status;
}

static bool is_due(struct traffic *traffic, const struct window *w)
{
    bool some;

    (void)pthread_mutex_lock(&traffic->lock);
    some = w->own.total > w->told || !w->looked;
    (void)pthread_mutex_unlock(&traffic->lock);
    return some;
}

/* Every window: where nobody else writes, those that have something to tell, and new ones. */
static void exchange_all(struct traffic *traffic, const struct estimates *state)
{
    struct infomask_error ignored; /* full or away: what is new waits here, the last of it at least */
    struct window *w;

    (void)pthread_mutex_lock(&traffic->lock);
    w = traffic->windows;
    (void)pthread_mutex_unlock(&traffic->lock);
    for (; w != NULL; w = w->next)
        if (estimates_shared(state) || is_due(traffic, w))
            (void)!exchange(traffic, w, state, &ignored);
}

static struct estimates soon(const struct traffic *traffic)
{
    return estimates_within(traffic->estimates, clock_ms() + PATIENCE_MS);
}

static void *run_teller(void *context)
{
    struct traffic *traffic = context;

    (void)pthread_mutex_lock(&traffic->lock);
    while (!traffic->ending) {
        double until = clock_ms() + TELL_MS;
        struct timespec time = {.tv_sec = (time_t)(until / 1000)};
        time.tv_nsec = (long)((until - 1000 * (double)time.tv_sec) * 1e6);
        if (pthread_cond_timedwait(&traffic->ending_now, &traffic->lock, &time) == 0)
            continue;
        (void)pthread_mutex_unlock(&traffic->lock);
        struct estimates own = soon(traffic);
        exchange_all(traffic, &own);
        (void)pthread_mutex_lock(&traffic->lock);
    }
    (void)pthread_mutex_unlock(&traffic->lock);
    return NULL;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static bool name_writer(char writer[TRAFFIC_WRITER_SIZE])
{
    unsigned char bytes[(TRAFFIC_WRITER_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(writer + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

enum infomask_status traffic_create(const struct estimates *estimates, struct traffic **out, struct infomask_error *err)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);
    pthread_condattr_t attributes;

    if (traffic == NULL || !name_writer(traffic->writer)) {
        free(traffic);
        return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    }
    traffic->estimates = estimates;
    (void)pthread_mutex_init(&traffic->telling, NULL);
    (void)pthread_mutex_init(&traffic->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&traffic->ending_now, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (estimates != NULL)
        traffic->started = pthread_create(&traffic->teller, NULL, run_teller, traffic) == 0;
    *out = traffic;
    if (estimates == NULL || traffic->started)
        return INFOMASK_OK;
    traffic_free(traffic);
    return error_set(err, INFOMASK_MEMORY, "no thread for the traffic");
}

void traffic_free(struct traffic *traffic)
{
    if (traffic == NULL)
        return;
    (void)pthread_mutex_lock(&traffic->lock);
    traffic->ending = true;
    (void)pthread_cond_broadcast(&traffic->ending_now);
    (void)pthread_mutex_unlock(&traffic->lock);
    if (traffic->started) {
        struct estimates own = soon(traffic);
        (void)pthread_join(traffic->teller, NULL);
        exchange_all(traffic, &own);
    }
    while (traffic->windows != NULL) {
        struct window *next = traffic->windows->next;
        window_free(traffic->windows);
        traffic->windows = next;
    }
    (void)pthread_cond_destroy(&traffic->ending_now);
    (void)pthread_mutex_destroy(&traffic->lock);
    (void)pthread_mutex_destroy(&traffic->telling);
    free(traffic);
}

/* ---- The baseline ------------------------------------------------------------------------------------------------ */

/* The window, which stays; NULL without memory. */
static struct window *find(struct traffic *traffic, const struct model *model)
{
    struct window *w;

    (void)pthread_mutex_lock(&traffic->lock);
    w = window_of(traffic, model);
    (void)pthread_mutex_unlock(&traffic->lock);
    return w;
}

static enum infomask_status refresh_history(struct traffic *traffic, struct window *w, const struct estimates *state,
                                            struct infomask_error *err)
{
    struct history *history = history_create(w->own.classes, w->most_information), *old;
    enum infomask_status status = history == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the traffic")
                                                  : traffic_store_history(state, w->key, history, err);

    if (status == INFOMASK_OK) {
        (void)pthread_mutex_lock(&traffic->lock);
        old = w->history;
        w->history = history;
        history = old;
        (void)pthread_mutex_unlock(&traffic->lock);
    }
    history_free(history);
    return status;
}

enum infomask_status traffic_refresh(struct traffic *traffic, const struct model *model, const struct estimates *state,
                                     struct infomask_error *err)
{
    struct window *w = find(traffic, model);
    enum infomask_status status;

    if (w == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    if (state == NULL)
        return INFOMASK_OK;
    status = exchange(traffic, w, state, err);
    if (status == INFOMASK_OK || status == INFOMASK_STATE_FULL) {
        struct infomask_error other;
        enum infomask_status read = refresh_history(traffic, w, state, &other);
        if (status == INFOMASK_OK && read != INFOMASK_OK)
            *err = other;
        status = status == INFOMASK_OK ? read : status;
    }
    return status;
}

static bool is_same(const struct traffic_baseline *a, const struct traffic_baseline *b)
{
    return strcmp(a->id, b->id) == 0 && a->samples == b->samples && a->plug_in == b->plug_in &&
           a->deviation == b->deviation && a->overconfidence == b->overconfidence;
}

enum infomask_status traffic_set_baseline(struct traffic *traffic, const struct model *model,
                                          const struct estimates *state, const struct traffic_baseline *baseline,
                                          struct infomask_error *err)
{
    struct window *w = find(traffic, model);
    bool same;

    if (w == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    (void)pthread_mutex_lock(&traffic->telling);
    (void)pthread_mutex_lock(&traffic->lock);
    same = is_same(&w->baseline, baseline);
    w->baseline = *baseline;
    (void)pthread_mutex_unlock(&traffic->lock);
    enum infomask_status status = same || state == NULL ? INFOMASK_OK
                                                        : traffic_store_set_baseline(state, w->key, baseline, err);
    (void)pthread_mutex_unlock(&traffic->telling);
    return status;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Of one member of all photos: values[0], values[2], ... */
static double mean_of(const double *values, size_t n, double *deviation)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < n; i++)
        mean += values[2 * i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (values[2 * i] - mean) * (values[2 * i] - mean);
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

static void summarize(const struct ring *ring, struct traffic_state *s)
{
    double ignored;

    s->total = ring->total;
    s->classes = ring->classes;
    s->window = ring->total < TRAFFIC_WINDOW ? (size_t)ring->total : TRAFFIC_WINDOW;
    s->rows = ring->total < ring->row_limit ? (size_t)ring->total : ring->row_limit;
    s->information = mean_of(&ring->photos[0].information, s->window, &s->deviation);
    s->entropy = mean_of(&ring->photos[0].entropy, s->window, &ignored);
    s->z = z_of(s);
}

/* pmi [rows][classes], prior [classes]. */
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

/* What is shared, and behind it what is not told yet.  False without memory. */
static bool copy_whole(const struct window *w, bool pmi, struct ring *whole)
{
    struct traffic_part shared = {0}, own = {0};
    bool fine = ring_init(whole, w->shared.classes) && ring_copy(&w->shared, 0, w->shared.total, pmi, &shared) &&
                ring_copy(&w->own, w->told, w->own.total, pmi, &own);

    if (fine) {
        own.first = shared.count;
        ring_take(whole, &shared);
        ring_take(whole, &own);
    }
    traffic_part_fini(&shared);
    traffic_part_fini(&own);
    return fine;
}

/* Under the lock: the history, and what is not told yet.  NULL without memory. */
static struct history *copy_history(const struct window *w)
{
    struct traffic_part own = {0};
    struct history *history = ring_copy(&w->own, w->told, w->own.total, false, &own) ? history_copy(w->history) : NULL;

    if (history != NULL)
        add_to_history(history, &own);
    traffic_part_fini(&own);
    return history;
}

enum infomask_status traffic_read(struct traffic *traffic, const struct model *model, bool fit,
                                  struct traffic_state *state, struct infomask_error *err)
{
    struct window *w = find(traffic, model);
    struct history *history = NULL;
    struct ring whole = {0};
    enum infomask_status status = INFOMASK_OK;
    bool copied = false;

    *state = (struct traffic_state){.z = NAN};
    if (w != NULL) {
        (void)pthread_mutex_lock(&traffic->lock);
        copied = copy_whole(w, fit, &whole) && (!fit || (history = copy_history(w)) != NULL);
        state->baseline = w->baseline;
        (void)pthread_mutex_unlock(&traffic->lock);
    }
    if (!copied) {
        status = error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    } else {
        summarize(&whole, state);
        if (fit && state->rows >= TRAFFIC_LEAST)
            status = fit_classes(state, whole.pmi, w->prior, err);
        if (fit && status == INFOMASK_OK)
            status = history_read(history, TRAFFIC_DRIFT_LEVEL, &state->drift, err);
    }
    history_free(history);
    ring_fini(&whole);
    if (status != INFOMASK_OK)
        traffic_state_fini(state);
    return status;
}

void traffic_state_fini(struct traffic_state *state)
{
    free(state->by_class);
    traffic_drift_fini(&state->drift);
    *state = (struct traffic_state){0};
}
