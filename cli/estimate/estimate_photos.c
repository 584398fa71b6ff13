/* infomask estimate --images, --list: labelled photos through the network on every core, into a store.
 *
 * A chunk of photos is one pass of one session on one core; its samples are one transaction.  A run that was stopped
 * goes on where it was, because what the store has is left out before the chunks are cut.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/estimate/label_photos.h"
#include "app/estimate/open.h"
#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/estimate/estimate_near.h"
#include "cli/progress.h"
#include "cli/read/photo_list.h"
#include "cli/work.h"
#include "core/base/sha256.h"

#define COMPARED 256     /* known photos in one transaction */
#define MOST_NAMED 20    /* photos that are left out, each with a line on standard error */
#define MOST_LISTED 1000 /* and with a row in the answer */

struct labelling {
    struct estimate_run *run;
    struct work work;
    struct infomask_limits limits;
    struct photo_list list, known; /* to look at; that the estimate has */
    char id[ESTIMATE_ID_SIZE];
    struct progress progress;
    pthread_mutex_t lock;               /* of what follows */
    struct infomask_error first;        /* what ended the run */
    atomic_bool failed;
    atomic_size_t added;
};

/* What goes wrong with the run, not with a photo. */
static void fail(struct labelling *l, const struct infomask_error *err)
{
    (void)pthread_mutex_lock(&l->lock);
    if (!atomic_exchange(&l->failed, true))
        l->first = *err;
    (void)pthread_mutex_unlock(&l->lock);
}

/* The first of them are named and listed; what there are more is counted. */
static void reject(struct labelling *l, const struct labelled_photo *photo, enum view_problem problem,
                   const char *detail)
{
    struct estimate_run *run = l->run;
    bool named;

    (void)pthread_mutex_lock(&l->lock);
    named = run->rejected_in_all++ < MOST_NAMED;
    if (run->rejected.count < MOST_LISTED)
        rejected_add(&run->rejected, photo->sample, view_problem_code(problem), detail);
    (void)pthread_mutex_unlock(&l->lock);
    if (named)
        progress_say(&l->progress, "infomask estimate: %s: %s\n", photo->path, detail);
}

static uint64_t unit_of(const struct estimate_options *o, const struct labelled_photo *photo)
{
    if (o->group_by == NULL)
        return 0;
    return strcmp(o->group_by, "near") == 0 ? photo->near : photo_folder(photo, o->images != NULL);
}

static struct label_target target_of(const struct labelling *l, struct infomask_session *session)
{
    return (struct label_target){.estimates = l->run->estimates, .id = l->id, .model = l->work.ask.model,
                                 .session = session, .limits = &l->limits, .other_sample = "it stays as it was"};
}

/* bytes: the caller's to free. */
static void read_photo(const struct labelling *l, const struct labelled_photo *from, char **bytes,
                       struct label_photo *photo)
{
    struct infomask_error err;
    enum infomask_status status = INFOMASK_OK;
    size_t size = 0;

    if (from->sample[0] == '\0' || strlen(from->sample) > ESTIMATE_SAMPLE_MAX)
        status = error_set(&err, INFOMASK_ARGUMENT, "its name has more than %d bytes", ESTIMATE_SAMPLE_MAX);
    if (status == INFOMASK_OK)
        status = photo_read(from, l->run->cli->config.max_body, bytes, &size, &err);
    *photo = (struct label_photo){.sample = from->sample, .data = *bytes, .size = size, .label = from->label,
                                  .unit = unit_of(l->run->options, from)};
    if (status != INFOMASK_OK)
        label_reject(photo, status == INFOMASK_IO ? VIEW_BAD_REQUEST : view_problem_of(status), err.text);
}

static void label_chunk(void *context, int index, int worker)
{
    struct labelling *l = context;
    const struct labelled_photo *from = &l->list.photos[(size_t)index * LABEL_BATCH];
    size_t left = l->list.count - (size_t)index * LABEL_BATCH, count = left < LABEL_BATCH ? left : LABEL_BATCH, bad = 0;
    struct label_photo photos[LABEL_BATCH];
    char *bytes[LABEL_BATCH] = {0};
    struct infomask_session *session;
    struct label_target target;
    struct infomask_error err;
    uint64_t samples;

    (void)worker;
    if (atomic_load(&l->failed))
        return;
    for (size_t i = 0; i < count; i++)
        read_photo(l, &from[i], &bytes[i], &photos[i]);
    if (model_session_take(l->work.ask.model, &session, &err) != INFOMASK_OK)
        fail(l, &err);
    target = target_of(l, session);
    if (session != NULL && label_photos(&target, photos, count, &samples, &err) != INFOMASK_OK)
        fail(l, &err);
    model_session_give(l->work.ask.model, session);
    for (size_t i = 0; i < count; i++) {
        if (photos[i].rejected)
            reject(l, &from[i], photos[i].problem, photos[i].detail);
        bad += photos[i].rejected;
        atomic_fetch_add(&l->added, photos[i].added);
        free(bytes[i]);
    }
    progress_add(&l->progress, count, bad);
}

/* ---- Known photos ------------------------------------------------------------------------------------------------ */

/* Other bytes, or another class, under the name of a photo that the estimate has: it stays as it was. */
static enum infomask_status compare_photos(struct labelling *l, const struct labelled_photo *photos, size_t count,
                                           struct infomask_error *err)
{
    uint8_t digests[COMPARED][ESTIMATE_DIGEST_SIZE];
    struct estimate_item items[COMPARED];
    const struct label_target target = target_of(l, NULL);
    uint64_t samples;
    enum infomask_status status;

    for (size_t i = 0; i < count; i++) {
        struct infomask_error unread;
        char *bytes = NULL;
        size_t size = 0;
        bool read = photo_read(&photos[i], l->run->cli->config.max_body, &bytes, &size, &unread) == INFOMASK_OK;
        if (read)
            sha256_raw(bytes, size, digests[i]);
        free(bytes);
        items[i] = (struct estimate_item){.sample = photos[i].sample, .label = (uint32_t)photos[i].label,
                                          .digest = read ? digests[i] : NULL};
    }
    status = estimates_add(l->run->estimates, l->id, items, count, &samples, err);
    for (size_t i = 0; status == INFOMASK_OK && i < count; i++)
        if (items[i].conflict) {
            struct label_photo known;
            label_reject_conflict(&known, &target, &items[i]);
            reject(l, &photos[i], known.problem, known.detail);
            l->run->known--;
        }
    return status;
}

static enum infomask_status compare_known(struct labelling *l, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; status == INFOMASK_OK && i < l->known.count; i += COMPARED) {
        size_t left = l->known.count - i;
        status = compare_photos(l, &l->known.photos[i], left < COMPARED ? left : COMPARED, err);
    }
    return status;
}

/* ---- The estimate in the store ----------------------------------------------------------------------------------- */

/* What a second run of the same command finds again: the data set's place, the model and the prior. */
static enum infomask_status default_name(const struct labelling *l, char name[ESTIMATE_NAME_MAX + 1],
                                         struct infomask_error *err)
{
    const struct estimate_options *o = l->run->options;
    const char *given = o->images != NULL ? o->images : o->list;
    char *place = realpath(given, NULL), *text = NULL, hex[SHA256_HEX];
    int length = asprintf(&text, "%s@%s,%s%s%s", place != NULL ? place : given, model_name(l->work.ask.model),
                          l->work.ask.options.prior, o->group_by != NULL ? "," : "",
                          o->group_by != NULL ? o->group_by : "");

    free(place);
    if (length < 0)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (length > ESTIMATE_NAME_MAX) {
        sha256_bytes(text, (size_t)length, hex);
        (void)snprintf(name, ESTIMATE_NAME_MAX + 1, "sha256:%s", hex);
    } else {
        (void)snprintf(name, ESTIMATE_NAME_MAX + 1, "%s", text);
    }
    free(text);
    return INFOMASK_OK;
}

static enum infomask_status find_estimate(struct labelling *l, struct infomask_error *err)
{
    const struct estimate_options *o = l->run->options;
    char name[ESTIMATE_NAME_MAX + 1];
    enum infomask_status status = INFOMASK_OK;

    if (o->name != NULL)
        (void)snprintf(name, sizeof name, "%s", o->name);
    else
        status = default_name(l, name, err);
    return status == INFOMASK_OK ? estimate_open(l->run->estimates, &l->work.ask, name, o->fresh, l->id, err) : status;
}

/* Leaves only the photos that the estimate has not yet; the others are to be compared. */
static enum infomask_status skip_known(struct labelling *l, struct infomask_error *err)
{
    const char **samples = calloc(l->list.count + 1, sizeof *samples);
    bool *known = calloc(l->list.count + 1, sizeof *known);
    size_t kept = 0;
    enum infomask_status status = INFOMASK_OK;

    if (samples == NULL || known == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
    for (size_t i = 0; status == INFOMASK_OK && i < l->list.count; i++)
        samples[i] = l->list.photos[i].sample;
    if (status == INFOMASK_OK)
        status = estimates_known(l->run->estimates, l->id, samples, l->list.count, known, err);
    l->known.photos = calloc(l->list.count + 1, sizeof *l->known.photos);
    if (status == INFOMASK_OK && l->known.photos == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
    for (size_t i = 0; status == INFOMASK_OK && i < l->list.count; i++) {
        if (known[i])
            l->known.photos[l->known.count++] = l->list.photos[i];
        else
            l->list.photos[kept++] = l->list.photos[i];
    }
    if (status == INFOMASK_OK) {
        l->run->known = l->known.count;
        l->list.count = kept;
    }
    free(samples);
    free(known);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* Photos that lie in no folder are groups by themselves; but some have to lie in one, and not all in the same. */
static enum infomask_status check_folders(const struct labelling *l, struct infomask_error *err)
{
    const struct estimate_options *o = l->run->options;
    uint64_t first = l->list.count > 0 ? unit_of(o, &l->list.photos[0]) : 0;
    bool any = first != 0, same = true;

    for (size_t i = 1; i < l->list.count; i++) {
        uint64_t unit = unit_of(o, &l->list.photos[i]);
        any = any || unit != 0;
        same = same && unit == first;
    }
    if (!any)
        return error_set(err, INFOMASK_ARGUMENT,
                         "--group-by folder: no photo lies in a folder of its group (CLASS/GROUP/PHOTO)");
    if (same)
        return error_set(err, INFOMASK_ARGUMENT, "--group-by folder: all photos are of one group");
    return INFOMASK_OK;
}

static enum infomask_status list_photos(struct labelling *l, struct infomask_error *err)
{
    const struct estimate_options *o = l->run->options;
    enum infomask_status status = o->images != NULL ? photo_list_folder(&l->list, l->work.ask.model, o->images, err)
                                                    : photo_list_file(&l->list, l->work.ask.model, o->list, err);

    if (status == INFOMASK_OK && l->list.count >= INT_MAX)
        status = error_set(err, INFOMASK_ARGUMENT, "%zu photos are too many for one list", l->list.count);
    if (status == INFOMASK_OK && o->group_by != NULL && strcmp(o->group_by, "near") == 0)
        status = estimate_group_near(&l->list, &l->limits, (size_t)l->run->cli->config.max_body, l->work.pool, err);
    else if (status == INFOMASK_OK && o->group_by != NULL)
        status = check_folders(l, err);
    if (status == INFOMASK_OK && o->shard_count > 0)
        photo_list_shard(&l->list, o->shard_index, o->shard_count);
    return status;
}

static enum infomask_status label_all(struct labelling *l, struct infomask_error *err)
{
    enum infomask_status status;

    progress_start(&l->progress, l->list.count, l->run->options->quiet);
    status = compare_known(l, err);
    if (status == INFOMASK_OK)
        pool_for(l->work.pool, (int)((l->list.count + LABEL_BATCH - 1) / LABEL_BATCH), label_chunk, l);
    progress_end(&l->progress);
    if (l->run->rejected_in_all > MOST_NAMED)
        (void)fprintf(stderr, "infomask estimate: %zu photos were left out, of which the first %d are named\n",
                      l->run->rejected_in_all, MOST_NAMED);
    if (status != INFOMASK_OK)
        return status;
    l->run->added = atomic_load(&l->added);
    if (atomic_load(&l->failed)) {
        *err = l->first;
        return l->first.status;
    }
    l->run->grouped = l->run->options->group_by != NULL;
    status = estimate_finish(l->run, l->id, err);
    if (status == INFOMASK_OK && l->run->options->by != NULL)
        status = estimate_by(l->run, NULL, NULL, 0, err);
    return status;
}

static enum infomask_status prepare(struct labelling *l, const char *model, struct infomask_error *err)
{
    enum view_problem problem;
    enum infomask_status status = work_take(&l->work, l->run->cli, model, &problem, err);

    if (status == INFOMASK_OK)
        status = list_photos(l, err);
    if (status == INFOMASK_OK)
        status = estimate_open_store(l->run, err);
    if (status == INFOMASK_OK)
        status = find_estimate(l, err);
    if (status == INFOMASK_OK)
        status = skip_known(l, err);
    return status;
}

/* Where a suspect's sample is looked for by a report. */
static char *folder_of(const struct estimate_options *o)
{
    const char *slash = o->list != NULL ? strrchr(o->list, '/') : NULL;

    if (o->images != NULL)
        return strdup(o->images);
    return slash != NULL ? strndup(o->list, (size_t)(slash - o->list) + 1) : strdup(".");
}

int estimate_photos(struct estimate_run *run, const char *model)
{
    struct labelling l = {.run = run, .limits = ask_limits(&run->cli->config)};
    struct infomask_error err;
    enum infomask_status status;

    (void)pthread_mutex_init(&l.lock, NULL);
    run->folder = folder_of(run->options);
    status = prepare(&l, model, &err);
    if (status == INFOMASK_OK)
        status = label_all(&l, &err);
    photo_list_fini(&l.list);
    photo_list_fini(&l.known);
    work_close(&l.work);
    (void)pthread_mutex_destroy(&l.lock);
    if (status != INFOMASK_OK)
        return cli_fails(run->cli->command, "%s", err.text);
    if (run->state.info.samples == 0)
        return cli_fails(run->cli->command, "no photo could be used");
    return CLI_DONE;
}
