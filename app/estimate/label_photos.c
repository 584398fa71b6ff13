#include "app/estimate/label_photos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/sha256.h"

void label_reject(struct label_photo *photo, enum view_problem problem, const char *detail)
{
    photo->rejected = true;
    photo->problem = problem;
    (void)snprintf(photo->detail, sizeof photo->detail, "%s", detail);
}

void label_reject_conflict(struct label_photo *photo, const struct label_target *target,
                           const struct estimate_item *item)
{
    char detail[INFOMASK_ERROR_TEXT];

    if (item->had != item->label)
        (void)snprintf(detail, sizeof detail,
                       "the sample is known with the label \"%.80s\", not \"%.80s\"; it stays as it was",
                       model_label(target->model, item->had), model_label(target->model, item->label));
    else
        (void)snprintf(detail, sizeof detail, "another photo is known under this name; %s", target->other_sample);
    label_reject(photo, VIEW_CONFLICT, detail);
    photo->conflict = true;
}

/* ---- The network ------------------------------------------------------------------------------------------------- */

/* What lies between the bytes and the store; results[i] and opened[i] are photos[i]'s. */
struct labelling {
    const struct label_target *target;
    struct label_photo *photos;
    size_t count;
    struct infomask_photo **opened;         /* [count]; NULL: rejected */
    struct infomask_classification *results; /* [count] */
    uint8_t (*digests)[ESTIMATE_DIGEST_SIZE]; /* [count] of the bytes */
    struct estimate_item *items;            /* [count] of those that are not rejected */
};

static void open_photo(struct labelling *l, size_t i)
{
    struct label_photo *photo = &l->photos[i];
    struct infomask_error err;

    if (photo->rejected)
        return;
    if (infomask_photo_open(photo->data, photo->size, l->target->limits, &l->opened[i], &err) != INFOMASK_OK) {
        l->opened[i] = NULL;
        label_reject(photo, view_problem_of(err.status), err.text);
    }
}

/* Up to LABEL_BATCH opened photos, by their numbers. */
static enum infomask_status classify_some(struct labelling *l, const size_t *some, int count,
                                          struct infomask_error *err)
{
    const struct infomask_classify_options options = {.prior.kind = INFOMASK_PRIOR_TRAIN};
    struct infomask_photo *photos[LABEL_BATCH] = {0};
    struct infomask_classification results[LABEL_BATCH] = {0};
    struct infomask_error errors[LABEL_BATCH] = {0};
    enum infomask_status status;

    for (int i = 0; i < count; i++)
        photos[i] = l->opened[some[i]];
    status = infomask_classify_batch(l->target->session, photos, count, &options, results, errors, err);
    for (int i = 0; status == INFOMASK_OK && i < count; i++) {
        if (errors[i].status == INFOMASK_OK) {
            l->results[some[i]] = results[i];
            l->photos[some[i]].classified = true;
            l->photos[some[i]].timing = results[i].timing;
        } else {
            label_reject(&l->photos[some[i]], view_problem_of(errors[i].status), errors[i].text);
        }
    }
    return status;
}

static enum infomask_status classify_all(struct labelling *l, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    size_t some[LABEL_BATCH], done = 0;
    int count = 0;

    for (size_t i = 0; status == INFOMASK_OK && i < l->count; i++) {
        if (!l->photos[i].rejected)
            some[count++] = i;
        if (count < LABEL_BATCH)
            continue;
        status = classify_some(l, some, count, err);
        done += (size_t)count;
        count = 0;
        if (l->target->progress != NULL)
            l->target->progress(l->target->context, done, l->count);
    }
    return status == INFOMASK_OK && count > 0 ? classify_some(l, some, count, err) : status;
}

/* ---- The store --------------------------------------------------------------------------------------------------- */

static enum infomask_status store_all(struct labelling *l, uint64_t *samples, struct infomask_error *err)
{
    enum infomask_status status;
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct label_photo *photo = &l->photos[i];
        if (photo->rejected)
            continue;
        sha256_raw(photo->data, photo->size, l->digests[i]);
        l->items[n++] = (struct estimate_item){.sample = photo->sample, .label = (uint32_t)photo->label,
                                               .logits = l->results[i].logits, .digest = l->digests[i],
                                               .unit = photo->unit};
    }
    status = estimates_add(l->target->estimates, l->target->id, l->items, n, samples, err);
    n = 0;
    for (size_t i = 0; status == INFOMASK_OK && i < l->count; i++) {
        const struct estimate_item *item = &l->items[n];
        if (l->photos[i].rejected)
            continue;
        l->photos[i].added = item->added;
        l->photos[i].duplicate = item->duplicate;
        if (item->conflict)
            label_reject_conflict(&l->photos[i], l->target, item);
        n++;
    }
    return status;
}

enum infomask_status label_photos(const struct label_target *target, struct label_photo *photos, size_t count,
                                  uint64_t *samples, struct infomask_error *err)
{
    struct labelling l = {.target = target, .photos = photos, .count = count};
    enum infomask_status status = INFOMASK_OK;

    l.opened = calloc(count + 1, sizeof *l.opened);
    l.results = calloc(count + 1, sizeof *l.results);
    l.digests = calloc(count + 1, sizeof *l.digests);
    l.items = calloc(count + 1, sizeof *l.items);
    if (l.opened == NULL || l.results == NULL || l.digests == NULL || l.items == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu photos", count);
    for (size_t i = 0; status == INFOMASK_OK && i < count; i++)
        open_photo(&l, i);
    if (status == INFOMASK_OK)
        status = classify_all(&l, err);
    if (status == INFOMASK_OK)
        status = store_all(&l, samples, err);
    for (size_t i = 0; i < count; i++) {
        if (l.opened != NULL)
            infomask_photo_close(l.opened[i]);
        if (l.results != NULL)
            infomask_classification_fini(&l.results[i]);
    }
    free(l.opened);
    free(l.results);
    free(l.digests);
    free(l.items);
    return status;
}
