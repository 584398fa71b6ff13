#include "app/model/memory/resident.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/model/one.h"
#include "core/base/clock.h"

#define LOADERS 2

struct residents {
    const struct model_options *options;
    enum infomask_status (*look)(void *context, struct infomask_error *err);
    void *context;
    struct pool *loaders; /* NULL: nothing comes back */
    pthread_mutex_t lock; /* of what follows, and of each model's part */
    pthread_cond_t left;  /* a network was given back */
    struct resident *all; /* newest first, linked by `next` of their models */
    size_t bytes;         /* of networks that are in or come */
    uint64_t clock, loads, unloads, failures;
    int loaded, waiting;
};

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void tell(const struct residents *residents, const char *format, ...)
{
    const struct model_options *options = residents->options;
    char sentence[400];
    va_list args;

    if (options->note == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    options->note(options->warn_context, sentence);
}

static void wake(struct residents *residents, struct wait_list *woken)
{
    struct model_wait *wait;
    int count = 0;

    while ((wait = TAILQ_FIRST(woken)) != NULL) {
        TAILQ_REMOVE(woken, wait, entry); /* its owner may free it */
        count++;
        wait->wake(wait);
    }
    if (count == 0)
        return;
    (void)pthread_mutex_lock(&residents->lock); /* only now: a drain must never see it in neither place */
    residents->waiting -= count;
    (void)pthread_mutex_unlock(&residents->lock);
}

/* ---- Waits, under the lock --------------------------------------------------------------------------------------- */

static struct resident *next_of(const struct resident *resident)
{
    return resident->next != NULL ? &resident->next->resident : NULL;
}

/* Moves a wait to the woken ones. */
static void end_wait(struct resident *resident, struct model_wait *wait, struct wait_list *woken)
{
    TAILQ_REMOVE(&resident->waits, wait, entry);
    TAILQ_INSERT_TAIL(woken, wait, entry);
    if (TAILQ_EMPTY(&resident->waits))
        resident->asked = 0;
}

static void end_waits(struct resident *resident, const struct infomask_error *why, struct wait_list *woken)
{
    struct model_wait *wait;

    TAILQ_FOREACH(wait, &resident->waits, entry)
        wait->error = *why;
    TAILQ_CONCAT(woken, &resident->waits, entry);
    resident->asked = 0;
}

static void grant_waits(struct residents *residents, struct resident *resident, struct wait_list *woken)
{
    static const struct infomask_error none;
    const struct model_wait *wait;

    resident->used = ++residents->clock;
    TAILQ_FOREACH(wait, &resident->waits, entry)
        resident->pins++;
    end_waits(resident, &none, woken);
}

/* ---- Room, under the lock ---------------------------------------------------------------------------------------- */

static bool is_unused(const struct resident *resident) { return resident->place == RESIDENT_IN && resident->pins == 0; }

static size_t unused_bytes(const struct residents *residents)
{
    size_t bytes = 0;

    for (const struct resident *at = residents->all; at != NULL; at = next_of(at))
        bytes += is_unused(at) ? at->bytes : 0;
    return bytes;
}

/* The one to go before all others; of several that were never used the newest.  pinned: of those that are in use. */
static struct resident *least_recent(const struct residents *residents, bool pinned)
{
    struct resident *found = NULL;

    for (struct resident *at = residents->all; at != NULL; at = next_of(at)) {
        bool fits = at->place == RESIDENT_IN && (at->pins > 0) == pinned && !at->leaving;
        if (fits && (found == NULL || at->preferred < found->preferred ||
                     (at->preferred == found->preferred && at->used < found->used)))
            found = at;
    }
    return found;
}

static void send_away(struct residents *residents, struct resident *resident)
{
    resident->place = RESIDENT_GOING;
    residents->bytes -= resident->bytes;
    residents->loaded--;
    residents->unloads++;
}

/* False, and nothing has changed, where giving back all that nobody uses would not be enough. */
static bool make_room(struct residents *residents, size_t bytes)
{
    size_t bound = residents->options->memory;

    if (bound > 0 && residents->bytes - unused_bytes(residents) + bytes > bound)
        return false;
    while (bound > 0 && residents->bytes + bytes > bound)
        send_away(residents, least_recent(residents, false));
    return true;
}

/* New pins of the least recently used ones wait, until what they give back is enough. */
static void make_leave(struct residents *residents, size_t bytes)
{
    size_t stays = residents->bytes - unused_bytes(residents);
    struct resident *at;

    while (stays + bytes > residents->options->memory && (at = least_recent(residents, true)) != NULL) {
        at->leaving = true;
        stays -= at->bytes;
    }
}

/* The model that was asked for first of those that are out. */
static struct resident *first_asked(const struct residents *residents)
{
    struct resident *found = NULL;

    for (struct resident *at = residents->all; at != NULL; at = next_of(at))
        if (at->place == RESIDENT_OUT && at->asked > 0 && (found == NULL || at->asked < found->asked))
            found = at;
    return found;
}

/* What can go on now goes on: loads are begun, pins of what is in are granted. */
static void schedule(struct residents *residents, struct wait_list *woken)
{
    struct resident *at;

    for (at = residents->all; at != NULL; at = next_of(at))
        at->leaving = false;
    while (residents->loaders != NULL && (at = first_asked(residents)) != NULL) {
        if (!make_room(residents, at->bytes)) {
            make_leave(residents, at->bytes);
            break;
        }
        at->place = RESIDENT_COMES;
        residents->bytes += at->bytes;
        (void)model_hold(at->model);
        pool_post(residents->loaders, &at->task);
    }
    for (at = residents->all; at != NULL; at = next_of(at))
        if (at->place == RESIDENT_IN && !at->leaving && !TAILQ_EMPTY(&at->waits))
            grant_waits(residents, at, woken);
}

/* ---- Coming and going -------------------------------------------------------------------------------------------- */

/* Gives back what is to go; the lock is held, but not while that is done. */
static void give_back(struct residents *residents, struct wait_list *woken)
{
    struct resident *at = residents->all;
    bool some = false;

    while (at != NULL) {
        if (at->place != RESIDENT_GOING) {
            at = next_of(at);
            continue;
        }
        at->place = RESIDENT_LEAVES; /* who wants to free it waits */
        (void)pthread_mutex_unlock(&residents->lock);
        model_drop_network(at->model);
        tell(residents, "model %.63s: its network is unloaded, %zu bytes", model_name(at->model), at->bytes);
        (void)pthread_mutex_lock(&residents->lock);
        at->place = RESIDENT_OUT;
        at = residents->all; /* the list may have changed meanwhile */
        some = true;
        (void)pthread_cond_broadcast(&residents->left);
    }
    if (!some)
        return;
    (void)pthread_mutex_unlock(&residents->lock);
    (void)malloc_trim(0); /* what was smaller than a mapping of its own goes back to the system, too */
    (void)pthread_mutex_lock(&residents->lock);
    schedule(residents, woken);
}

/* Who waits has it pinned before anybody else can have its room. */
static void loaded(struct residents *residents, struct resident *resident, struct wait_list *woken)
{
    resident->place = RESIDENT_IN;
    resident->why = (struct infomask_error){0};
    resident->asked = 0;
    residents->loads++;
    residents->loaded++;
    grant_waits(residents, resident, woken);
    if (resident->stopped && resident->pins == 0)
        send_away(residents, resident);
}

/* CANCELLED: there is another struct model of that name by now, or none. */
static void not_loaded(struct residents *residents, struct resident *resident, const struct infomask_error *why,
                       struct wait_list *woken)
{
    resident->place = RESIDENT_OUT;
    residents->bytes -= resident->bytes;
    if (why->status != INFOMASK_CANCELLED) {
        resident->why = *why;
        residents->failures++;
    }
    end_waits(resident, why, woken);
}

static void give_back_before(struct residents *residents)
{
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    (void)pthread_mutex_lock(&residents->lock);
    give_back(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

/* The folders are looked at again where the model's files have changed: what is new then has another struct model, and
 * who waited for this one asks for the name again. */
static void read_again(struct residents *residents, struct model *model, struct infomask_error *why)
{
    double began = clock_ms();

    if (!model_is_unchanged(model)) {
        if (residents->look(residents->context, why) == INFOMASK_OK)
            why->status = INFOMASK_CANCELLED;
    } else if (model_bring_network(model, residents->options, why) == INFOMASK_OK) {
        (void)malloc_trim(0); /* what reading it took beside what it keeps */
        tell(residents, "model %.63s: its network is loaded again, %zu bytes in %.0f ms", model_name(model),
             model->resident.bytes, clock_ms() - began);
    } else {
        tell(residents, "model %.63s: its network could not be loaded again: %s", model_name(model), why->text);
    }
}

static void run_load(struct pool_task *task)
{
    struct resident *resident = (struct resident *)task;
    struct residents *residents = resident->of;
    struct model *model = resident->model;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);
    struct infomask_error why = {0};

    give_back_before(residents);
    read_again(residents, model, &why);
    (void)pthread_mutex_lock(&residents->lock);
    if (why.status == INFOMASK_OK)
        loaded(residents, resident, &woken);
    else
        not_loaded(residents, resident, &why, &woken);
    schedule(residents, &woken);
    give_back(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
    model_release(model);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

enum infomask_status residents_create(const struct model_options *options,
                                      enum infomask_status (*look)(void *context, struct infomask_error *err),
                                      void *context, struct residents **out, struct infomask_error *err)
{
    struct residents *residents = calloc(1, sizeof *residents);
    enum infomask_status status = INFOMASK_OK;

    if (residents == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    residents->options = options;
    residents->look = look;
    residents->context = context;
    (void)pthread_mutex_init(&residents->lock, NULL);
    (void)pthread_cond_init(&residents->left, NULL);
    if (options->serves)
        status = pool_create(&residents->loaders, LOADERS, infomask_worker_start, NULL, err);
    if (status != INFOMASK_OK) {
        residents_free(residents);
        return status;
    }
    *out = residents;
    return INFOMASK_OK;
}

void residents_end(struct residents *residents)
{
    if (residents == NULL)
        return;
    pool_free(residents->loaders);
    residents->loaders = NULL;
}

void residents_free(struct residents *residents)
{
    if (residents == NULL)
        return;
    (void)pthread_cond_destroy(&residents->left);
    (void)pthread_mutex_destroy(&residents->lock);
    free(residents);
}

/* Of what is over the bound as much goes as nobody uses. */
static void fit(struct residents *residents)
{
    size_t bound = residents->options->memory;
    struct resident *at;

    while (bound > 0 && residents->bytes > bound && (at = least_recent(residents, false)) != NULL)
        send_away(residents, at);
}

static void unlink_resident(struct residents *residents, struct resident *resident)
{
    struct resident *before = residents->all;

    if (before == resident) {
        residents->all = next_of(resident);
        return;
    }
    while (before->next != resident->model)
        before = next_of(before);
    before->next = resident->next;
}

static void remove_model(struct model *model)
{
    struct resident *resident = &model->resident;
    struct residents *residents = resident->of;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    (void)pthread_mutex_lock(&residents->lock);
    while (resident->place == RESIDENT_LEAVES)
        (void)pthread_cond_wait(&residents->left, &residents->lock);
    if (resident->place == RESIDENT_IN)
        send_away(residents, resident);
    unlink_resident(residents, resident);
    schedule(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

void residents_add(struct residents *residents, struct model *model)
{
    struct resident *resident = &model->resident;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    resident->task.run = run_load;
    resident->of = residents;
    model->leave = remove_model;
    resident->model = model;
    resident->place = RESIDENT_IN;
    resident->bytes = model_info(model)->memory_bytes;
    TAILQ_INIT(&resident->waits);
    (void)pthread_mutex_lock(&residents->lock);
    resident->next = residents->all != NULL ? residents->all->model : NULL;
    residents->all = resident;
    residents->bytes += resident->bytes;
    residents->loads++;
    residents->loaded++;
    fit(residents);
    give_back(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

void residents_prefer(struct residents *residents, struct model *model)
{
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    (void)pthread_mutex_lock(&residents->lock);
    for (struct resident *at = residents->all; at != NULL; at = next_of(at))
        at->preferred = at->model == model;
    if (model->resident.place == RESIDENT_OUT && model->resident.asked == 0)
        model->resident.asked = ++residents->clock;
    schedule(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

bool resident_is_in(const struct model *model)
{
    struct residents *residents = model->resident.of;
    bool in;

    if (residents == NULL)
        return true;
    (void)pthread_mutex_lock(&residents->lock);
    in = model->resident.place == RESIDENT_IN;
    (void)pthread_mutex_unlock(&residents->lock);
    return in;
}

enum model_state model_state(const struct model *model, struct infomask_error *why)
{
    const struct resident *resident = &model->resident;
    struct residents *residents = resident->of;
    enum model_state state = MODEL_READY;

    if (residents == NULL)
        return MODEL_READY;
    (void)pthread_mutex_lock(&residents->lock);
    if (resident->stopped)
        state = MODEL_STOPPED;
    else if (resident->place == RESIDENT_IN)
        state = MODEL_READY;
    else if (resident->asked > 0 || resident->place == RESIDENT_COMES)
        state = MODEL_LOADING;
    else
        state = resident->why.status != INFOMASK_OK ? MODEL_FAILED : MODEL_UNLOADED;
    if (state == MODEL_FAILED && why != NULL)
        *why = resident->why;
    (void)pthread_mutex_unlock(&residents->lock);
    return state;
}

enum infomask_status resident_stopped_error(const struct model *model, struct infomask_error *err)
{
    return error_set(err, INFOMASK_ARGUMENT,
                     "the model %.63s was unloaded; /v2/repository/models/%.63s/load brings it back", model_name(model),
                     model_name(model));
}

enum model_pin model_pin(struct model *model, struct model_wait *wait, struct infomask_error *err)
{
    struct resident *resident = &model->resident;
    struct residents *residents = resident->of;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);
    enum model_pin pin = MODEL_PINNED;

    (void)pthread_mutex_lock(&residents->lock);
    if (resident->stopped) {
        (void)resident_stopped_error(model, err);
        pin = MODEL_NOT_PINNED;
    } else if (resident->place == RESIDENT_IN && !resident->leaving) {
        resident->pins++;
        resident->used = ++residents->clock;
    } else {
        pin = MODEL_WAITS;
        TAILQ_INSERT_TAIL(&resident->waits, wait, entry);
        residents->waiting++;
        if (resident->asked == 0)
            resident->asked = ++residents->clock;
        schedule(residents, &woken);
    }
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
    return pin;
}

void model_unpin(struct model *model)
{
    struct resident *resident = &model->resident;
    struct residents *residents = resident->of;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    (void)pthread_mutex_lock(&residents->lock);
    resident->used = ++residents->clock;
    if (--resident->pins == 0 && resident->stopped && resident->place == RESIDENT_IN)
        send_away(residents, resident);
    if (resident->pins == 0) {
        fit(residents);
        schedule(residents, &woken);
        give_back(residents, &woken);
    }
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

void resident_stop(struct model *model, bool stopped)
{
    struct resident *resident = &model->resident;
    struct residents *residents = resident->of;
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);
    struct infomask_error why = {0};

    (void)pthread_mutex_lock(&residents->lock);
    if (stopped) {
        (void)resident_stopped_error(model, &why);
        end_waits(resident, &why, &woken);
        if (is_unused(resident))
            send_away(residents, resident);
    } else if (resident->stopped && residents->options->memory == 0 && resident->asked == 0 &&
               resident->place != RESIDENT_IN) {
        resident->asked = ++residents->clock;
    }
    resident->stopped = stopped;
    schedule(residents, &woken);
    give_back(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

static void late(const struct residents *residents, const struct resident *resident, struct infomask_error *why)
{
    if (resident->place == RESIDENT_COMES)
        (void)error_set(why, INFOMASK_DEADLINE,
                        "the model %.63s is being loaded, and was not there before the "
                        "request's deadline",
                        model_name(resident->model));
    else
        (void)error_set(why, INFOMASK_DEADLINE,
                        "the model %.63s needs %zu bytes of memory, and until the request's "
                        "deadline other models that are in use left less than that of models_memory, %zu bytes",
                        model_name(resident->model), resident->bytes, residents->options->memory);
}

void residents_expire(struct residents *residents, double now_ms)
{
    struct wait_list woken = TAILQ_HEAD_INITIALIZER(woken);

    (void)pthread_mutex_lock(&residents->lock);
    for (struct resident *at = residents->all; residents->waiting > 0 && at != NULL; at = next_of(at))
        for (struct model_wait *wait = TAILQ_FIRST(&at->waits), *next; wait != NULL; wait = next) {
            next = TAILQ_NEXT(wait, entry);
            if (wait->deadline_ms >= now_ms)
                continue;
            late(residents, at, &wait->error);
            end_wait(at, wait, &woken);
        }
    if (!TAILQ_EMPTY(&woken))
        schedule(residents, &woken);
    (void)pthread_mutex_unlock(&residents->lock);
    wake(residents, &woken);
}

void residents_state(struct residents *residents, struct models_memory *state)
{
    (void)pthread_mutex_lock(&residents->lock);
    *state = (struct models_memory){.bound = residents->options->memory,
                                    .bytes = residents->bytes,
                                    .loaded = residents->loaded,
                                    .waiting = residents->waiting,
                                    .loads = residents->loads,
                                    .unloads = residents->unloads,
                                    .failures = residents->failures};
    (void)pthread_mutex_unlock(&residents->lock);
}
