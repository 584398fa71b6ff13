#include "app/state/traffic_history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOURS 168
#define BINS 16
#define MOST_BYTES ((size_t)4 << 20) /* over which a step is longer than an hour */
#define MOST_REFERENCE ((uint64_t)1 << 30) /* photos, beyond which the reference begins anew: counts are 32 bits */

/* What is added up of a step; then, in the block of counts, [BINS] of information, [BINS] of entropy, [classes]. */
struct step_sums {
    uint64_t photos;
    double information, entropy;
};

/* One block: the head, `steps` sums, `steps` rows of counts.  Slot 0 is the reference; the others are a ring, a step
 * after the other. */
struct history {
    uint64_t classes, steps, hours_a_step, age; /* age: steps in the reference */
    int64_t newest;                             /* number of the newest step; 0: none yet */
    double most_information;
    struct step_sums sums[];
};

static size_t row_of(const struct history *h)
{
    return 2 * BINS + (size_t)h->classes;
}

static uint32_t *counts_of(const struct history *h, size_t slot)
{
    return (uint32_t *)(uintptr_t)(h->sums + h->steps) + slot * row_of(h);
}

static size_t size_of(const struct history *h)
{
    return sizeof *h + (size_t)h->steps * (sizeof *h->sums + row_of(h) * sizeof(uint32_t));
}

struct history *history_create(size_t classes, double most_information)
{
    size_t row = (classes + 2 * BINS) * sizeof(uint32_t), most = MOST_BYTES / row, hours = 1, steps;
    struct history *h;

    while (HOURS / hours > most && hours < HOURS)
        hours++;
    steps = HOURS / hours + 1;
    h = calloc(1, sizeof *h + steps * (sizeof *h->sums + row));
    if (h == NULL)
        return NULL;
    h->classes = classes;
    h->steps = steps;
    h->hours_a_step = hours;
    h->most_information = most_information;
    return h;
}

void history_free(struct history *history)
{
    free(history);
}

static void clear(struct history *h, size_t slot)
{
    h->sums[slot] = (struct step_sums){0};
    memset(counts_of(h, slot), 0, row_of(h) * sizeof(uint32_t));
}

void history_clear(struct history *history)
{
    history->age = 0;
    history->newest = 0;
    for (size_t s = 0; s < history->steps; s++)
        clear(history, s);
}

struct history *history_copy(const struct history *history)
{
    struct history *copy = malloc(size_of(history));

    if (copy != NULL)
        memcpy(copy, history, size_of(history));
    return copy;
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct history *h, int64_t step)
{
    int64_t ring = (int64_t)h->steps - 1;

    return 1 + (size_t)((step % ring + ring) % ring);
}

/* The oldest step joins the reference. */
static void age_one(struct history *h, size_t slot)
{
    uint32_t *into = counts_of(h, 0), *from = counts_of(h, slot);

    if (h->sums[0].photos + h->sums[slot].photos > MOST_REFERENCE)
        clear(h, 0);
    h->sums[0].photos += h->sums[slot].photos;
    h->sums[0].information += h->sums[slot].information;
    h->sums[0].entropy += h->sums[slot].entropy;
    for (size_t i = 0; i < row_of(h); i++)
        into[i] += from[i];
    clear(h, slot);
    h->age++;
}

/* A change that is a week old is one no more: what was before the step that is the oldest now is forgotten. */
static void forget_if_old(struct history *h)
{
    struct traffic_drift drift;
    struct infomask_error ignored;
    int64_t oldest = (h->newest - (int64_t)h->steps + 2) * (int64_t)h->hours_a_step;
    bool old = false;

    if (h->sums[0].photos == 0 || history_read(h, TRAFFIC_DRIFT_LEVEL, &drift, &ignored) != INFOMASK_OK)
        return;
    for (size_t i = 0; i < drift.moved_count; i++)
        old = old || drift.moved[i].hour <= oldest;
    traffic_drift_fini(&drift);
    if (!old)
        return;
    clear(h, 0);
    h->age = 0;
}

static void advance(struct history *h, int64_t step)
{
    if (h->newest == 0 || step - h->newest >= (int64_t)h->steps) { /* nothing yet, or away for longer than a week */
        for (size_t s = 1; h->newest != 0 && s < h->steps; s++)
            age_one(h, s);
        h->newest = step;
    }
    while (h->newest < step) {
        size_t slot = slot_of(h, h->newest + 1);
        if (h->sums[slot].photos > 0)
            forget_if_old(h);
        h->newest++;
        age_one(h, slot);
    }
}

/* ---- Adding ------------------------------------------------------------------------------------------------------ */

static size_t bin_of(double value, double most)
{
    double at = most > 0 ? value / most * BINS : 0;

    return at >= BINS - 1 ? BINS - 1 : at > 0 ? (size_t)at : 0;
}

void history_add(struct history *h, int64_t hour, size_t predicted, double information, double entropy)
{
    uint32_t *counts;
    size_t slot;

    if (predicted >= h->classes || !isfinite(information) || !isfinite(entropy))
        return;
    advance(h, history_step(h, hour));
    slot = slot_of(h, h->newest);
    counts = counts_of(h, slot);
    if (h->sums[slot].photos >= MOST_REFERENCE)
        return;
    h->sums[slot].photos++;
    h->sums[slot].information += information;
    h->sums[slot].entropy += entropy;
    counts[bin_of(information, h->most_information)]++;
    counts[BINS + bin_of(entropy, log((double)h->classes))]++;
    counts[2 * BINS + predicted]++;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

struct row_head {
    uint64_t age; /* of step 0 */
    struct step_sums sums;
};

int64_t history_step(const struct history *h, int64_t hour)
{
    int64_t step = hour / (int64_t)h->hours_a_step;

    return step > 1 ? step : 1;
}

int64_t history_newest(const struct history *h)
{
    return h->newest;
}

int64_t history_oldest(const struct history *h)
{
    return h->newest - (int64_t)h->steps + 2;
}

size_t history_row_size(const struct history *h)
{
    return sizeof(struct row_head) + row_of(h) * sizeof(uint32_t);
}

void history_row(const struct history *h, int64_t step, void *row)
{
    size_t slot = step > 0 ? slot_of(h, step) : 0;
    const struct row_head head = {step > 0 ? 0 : h->age, h->sums[slot]};

    memcpy(row, &head, sizeof head);
    memcpy((char *)row + sizeof head, counts_of(h, slot), row_of(h) * sizeof(uint32_t));
}

static uint64_t total_of(const uint32_t *counts, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += counts[i];
    return sum;
}

static bool is_sound(const struct history *h, const struct row_head *head, const uint32_t *counts)
{
    return isfinite(head->sums.information) && isfinite(head->sums.entropy) && head->age < (uint64_t)1 << 40 &&
           total_of(counts, BINS) == head->sums.photos && total_of(counts + BINS, BINS) == head->sums.photos &&
           total_of(counts + 2 * BINS, (size_t)h->classes) == head->sums.photos;
}

bool history_take(struct history *h, int64_t step, const void *row, size_t size)
{
    uint32_t *counts = size == history_row_size(h) ? malloc(row_of(h) * sizeof *counts) : NULL;
    struct row_head head;
    bool fine = counts != NULL && step >= 0 && step < (int64_t)1 << 40 && step >= history_oldest(h);

    if (fine) {
        memcpy(&head, row, sizeof head);
        memcpy(counts, (const char *)row + sizeof head, row_of(h) * sizeof *counts);
        fine = is_sound(h, &head, counts);
    }
    if (fine) {
        size_t slot = step > 0 ? slot_of(h, step) : 0;
        uint64_t age = step > 0 ? h->age : head.age;
        if (step > 0)
            advance(h, step);
        h->age = age; /* reading makes nobody older */
        h->sums[slot] = head.sums;
        memcpy(counts_of(h, slot), counts, row_of(h) * sizeof *counts);
    }
    free(counts);
    return fine;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* The reference, and then the ring from its oldest step on. */
static size_t slot_at(const struct history *h, size_t t)
{
    return t == 0 ? 0 : slot_of(h, h->newest - (int64_t)(h->steps - 1) + (int64_t)t);
}

static int64_t hour_at(const struct history *h, size_t t)
{
    return (h->newest - (int64_t)(h->steps - 1) + (int64_t)t) * (int64_t)h->hours_a_step;
}

/* Means, or shares, before the change and from it on. */
static void measure(const struct history *h, enum traffic_what what, size_t index, size_t change, double *before,
                    double *after)
{
    double sums[2] = {0}, photos[2] = {0};

    for (size_t t = 0; t < h->steps; t++) {
        const struct step_sums *s = &h->sums[slot_at(h, t)];
        double value = what == TRAFFIC_INFORMATION ? s->information
                       : what == TRAFFIC_ENTROPY   ? s->entropy
                                                   : (double)counts_of(h, slot_at(h, t))[2 * BINS + index];
        sums[t >= change] += value;
        photos[t >= change] += (double)s->photos;
    }
    *before = sums[0] / photos[0];
    *after = sums[1] / photos[1];
}

/* counts [steps][m] of one variable: the bins of a number, or a class and everything else. */
static size_t lay_out(const struct history *h, enum traffic_what what, size_t index, uint64_t *counts)
{
    size_t m = what == TRAFFIC_CLASS ? 2 : BINS;

    for (size_t t = 0; t < h->steps; t++) {
        const uint32_t *from = counts_of(h, slot_at(h, t));
        if (what == TRAFFIC_CLASS) {
            counts[2 * t] = from[2 * BINS + index];
            counts[2 * t + 1] = h->sums[slot_at(h, t)].photos - counts[2 * t];
            continue;
        }
        for (size_t k = 0; k < m; k++)
            counts[m * t + k] = from[(what == TRAFFIC_ENTROPY ? BINS : 0) + k];
    }
    return m;
}

/* Adds what has moved, if it has. */
static void judge(const struct history *h, enum traffic_what what, size_t index, double level, uint64_t *counts,
                  struct traffic_drift *drift)
{
    size_t m = lay_out(h, what, index, counts);
    size_t change;
    double tests = (double)h->classes + 2, log_e = infomask_drift(counts, (size_t)h->steps, m, h->age, &change);
    struct traffic_moved *row = &drift->moved[drift->moved_count];

    if (!(log_e >= log(tests / level)))
        return;
    drift->moved_count++;
    *row = (struct traffic_moved){.what = what, .index = index, .hour = hour_at(h, change),
                                  .p_value = fmin(tests * exp(-log_e), 1)};
    measure(h, what, index, change, &row->before, &row->after);
}

static int by_p_value(const void *left, const void *right)
{
    const struct traffic_moved *a = left, *b = right;

    if (a->what != b->what && (a->what == TRAFFIC_CLASS || b->what == TRAFFIC_CLASS))
        return a->what == TRAFFIC_CLASS ? 1 : -1; /* the numbers first */
    if (a->p_value != b->p_value)
        return a->p_value < b->p_value ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static void list_hours(const struct history *h, struct traffic_drift *drift)
{
    for (size_t t = 0; t < h->steps; t++) {
        const struct step_sums *s = &h->sums[slot_at(h, t)];
        drift->photos += s->photos;
        if (t == 0 || s->photos == 0 || h->newest == 0)
            continue;
        drift->hours[drift->hour_count++] = (struct traffic_hour){hour_at(h, t), s->photos,
                                                                  s->information / (double)s->photos,
                                                                  s->entropy / (double)s->photos};
    }
}

enum infomask_status history_read(const struct history *h, double level, struct traffic_drift *drift,
                                  struct infomask_error *err)
{
    uint64_t *counts = calloc(h->steps, BINS * sizeof *counts);

    *drift = (struct traffic_drift){.level = level, .hours_a_step = (unsigned)h->hours_a_step};
    drift->moved = calloc((size_t)h->classes + 2, sizeof *drift->moved);
    drift->hours = calloc(h->steps, sizeof *drift->hours);
    if (counts == NULL || drift->moved == NULL || drift->hours == NULL) {
        free(counts);
        traffic_drift_fini(drift);
        return error_set(err, INFOMASK_MEMORY, "no memory for the history of %zu classes", (size_t)h->classes);
    }
    list_hours(h, drift);
    judge(h, TRAFFIC_INFORMATION, 0, level, counts, drift);
    judge(h, TRAFFIC_ENTROPY, 0, level, counts, drift);
    for (size_t y = 0; y < h->classes; y++)
        judge(h, TRAFFIC_CLASS, y, level, counts, drift);
    qsort(drift->moved, drift->moved_count, sizeof *drift->moved, by_p_value);
    free(counts);
    return INFOMASK_OK;
}

void traffic_drift_fini(struct traffic_drift *drift)
{
    free(drift->moved);
    free(drift->hours);
    *drift = (struct traffic_drift){0};
}
