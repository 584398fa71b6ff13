/* infomask estimate --images, --list: labelled photos through the network on every core, into a store.
 *
 * A chunk of photos is one pass of one session on one core; its samples are one transaction.  A run that was stopped
 * goes on where it was, because what the store has is left out before the chunks are cut.
 */
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/progress.h"
#include "cli/read/photo_list.h"
#include "cli/work.h"
#include "core/base/sha256.h"

#define BATCH 8
#define COMPARED 256     /* known photos in one transaction */
#define MOST_NAMED 20    /* photos that are left out, each with a line on standard error */
#define MOST_LISTED 1000 /* and with a row in the answer */

struct labelling {
    struct estimate_run *run;
    struct pool *pool;
    struct model *model;
    struct param_options options;
    struct infomask_limits limits;
    struct photo_list list, known; /* to look at; that the estimate has */
    char id[ESTIMATE_ID_SIZE];
    struct estimate_info info;     /* of the estimate that there was; its labels */
    struct infomask_session **sessions; /* [threads] */
    struct progress progress;
    pthread_mutex_t lock;               /* of what follows */
    struct infomask_error first;        /* what ended the run */
    atomic_bool failed;
    atomic_size_t added;
};

/* ---- One chunk --------------------------------------------------------------------------------------------------- */

struct chunk {
    const struct labelled_photo *from[BATCH]; /* of photos[i] */
    struct infomask_photo *photos[BATCH];
    char *bytes[BATCH];
    size_t sizes[BATCH];
    int count;
    size_t bad;
};

static void fail(struct labelling *l, const struct infomask_error *err)
{
    (void)pthread_mutex_lock(&l->lock);
    if (!atomic_exchange(&l->failed, true))
        l->first = *err;
    (void)pthread_mutex_unlock(&l->lock);
}

/* The first of them are named and listed; what there are more is counted. */
static void reject_as(struct labelling *l, const struct labelled_photo *photo, const char *code, const char *detail)
{
    struct estimate_run *run = l->run;
    struct rejected_photo *rows;
    bool named;

    (void)pthread_mutex_lock(&l->lock);
    named = run->rejected_in_all++ < MOST_NAMED;
    rows = run->rejected_count < MOST_LISTED ? reallocarray(run->rejected, run->rejected_count + 1, sizeof *rows)
                                             : NULL;
    if (rows != NULL) {
        rows[run->rejected_count++] = (struct rejected_photo){strdup(photo->sample), strdup(detail), code};
        run->rejected = rows;
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (named)
        progress_say(&l->progress, "infomask estimate: %s: %s\n", photo->path, detail);
}

static void reject(struct labelling *l, const struct labelled_photo *photo, const struct infomask_error *err)
{
    reject_as(l, photo, view_problem_code(err->status == INFOMASK_IO ? VIEW_BAD_REQUEST : view_problem_of(err->status)),
              err->text);
}

static void open_photos(struct labelling *l, struct chunk *chunk, const struct labelled_photo *photos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct infomask_error err;
        char *bytes = NULL;
        size_t size = 0;
        enum infomask_status status = INFOMASK_OK;

        if (photos[i].sample[0] == '\0' || strlen(photos[i].sample) > ESTIMATE_SAMPLE_MAX)
            status = error_set(&err, INFOMASK_ARGUMENT, "its name has more than %d bytes", ESTIMATE_SAMPLE_MAX);
        if (status == INFOMASK_OK)
            status = photo_read(&photos[i], l->run->cli->config.max_body, &bytes, &size, &err);
        if (status == INFOMASK_OK)
            status = infomask_photo_open(bytes, size, &l->limits, &chunk->photos[chunk->count], &err);
        if (status != INFOMASK_OK) {
            free(bytes);
            reject(l, &photos[i], &err);
            chunk->bad++;
            continue;
        }
        chunk->bytes[chunk->count] = bytes;
        chunk->sizes[chunk->count] = size;
        chunk->from[chunk->count++] = &photos[i];
    }
}

static uint64_t unit_of(const struct estimate_options *o, const struct labelled_photo *photo)
{
    return o->group_by != NULL ? photo_folder(photo, o->images != NULL) : 0;
}

static enum infomask_status store_chunk(struct labelling *l, struct chunk *chunk,
                                        const struct infomask_classification *results,
                                        const struct infomask_error *errors, struct infomask_error *err)
{
    uint8_t digests[BATCH][ESTIMATE_DIGEST_SIZE];
    struct estimate_item items[BATCH];
    size_t n = 0;
    uint64_t samples;
    enum infomask_status status;

    for (int i = 0; i < chunk->count; i++) {
        if (errors[i].status == INFOMASK_OK) {
            sha256_raw(chunk->bytes[i], chunk->sizes[i], digests[n]);
            items[n] = (struct estimate_item){.sample = chunk->from[i]->sample,
                                              .label = (uint32_t)chunk->from[i]->label,
                                              .logits = results[i].logits,
                                              .digest = digests[n],
                                              .unit = unit_of(l->run->options, chunk->from[i])};
            n++;
        } else {
            reject(l, chunk->from[i], &errors[i]);
            chunk->bad++;
        }
    }
    status = estimates_add(l->run->estimates, l->id, items, n, &samples, err);
    for (size_t i = 0; status == INFOMASK_OK && i < n; i++)
        atomic_fetch_add(&l->added, items[i].added);
    return status;
}

static enum infomask_status run_chunk(struct labelling *l, struct chunk *chunk, int worker, struct infomask_error *err)
{
    const struct infomask_classify_options options = {.prior.kind = INFOMASK_PRIOR_TRAIN};
    struct infomask_classification results[BATCH] = {0};
    struct infomask_error errors[BATCH] = {0};
    enum infomask_status status = INFOMASK_OK;

    if (chunk->count == 0)
        return INFOMASK_OK;
    if (l->sessions[worker] == NULL)
        status = model_session_take(l->model, &l->sessions[worker], err);
    if (status == INFOMASK_OK)
        status = infomask_classify_batch(l->sessions[worker], chunk->photos, chunk->count, &options, results, errors,
                                         err);
    if (status == INFOMASK_OK)
        status = store_chunk(l, chunk, results, errors, err);
    for (int i = 0; i < chunk->count; i++)
        infomask_classification_fini(&results[i]);
    return status;
}

static void label_chunk(void *context, int index, int worker)
{
    struct labelling *l = context;
    struct chunk chunk = {.count = 0};
    size_t first = (size_t)index * BATCH, count = l->list.count - first < BATCH ? l->list.count - first : BATCH;
    struct infomask_error err;

    if (atomic_load(&l->failed))
        return;
    open_photos(l, &chunk, &l->list.photos[first], count);
    if (run_chunk(l, &chunk, worker, &err) != INFOMASK_OK)
        fail(l, &err);
    for (int i = 0; i < chunk.count; i++) {
        infomask_photo_close(chunk.photos[i]);
        free(chunk.bytes[i]);
    }
    progress_add(&l->progress, count, chunk.bad);
}

/* ---- Known photos ------------------------------------------------------------------------------------------------ */

/* Other bytes, or another class, under the name of a photo that the estimate has: it stays as it was. */
static void reject_conflict(struct labelling *l, const struct labelled_photo *photo, const struct estimate_item *item)
{
    char detail[200], number[24], other[24];

    if (item->had != item->label)
        (void)snprintf(detail, sizeof detail,
                       "the sample is known with the label \"%.60s\", not \"%.60s\"; it stays as it was",
                       estimate_label(&l->info, item->had, number), estimate_label(&l->info, item->label, other));
    else
        (void)snprintf(detail, sizeof detail, "another photo is known under this name; it stays as it was");
    reject_as(l, photo, "conflict", detail);
}

static enum infomask_status compare_photos(struct labelling *l, const struct labelled_photo *photos, size_t count,
                                           struct infomask_error *err)
{
    uint8_t digests[COMPARED][ESTIMATE_DIGEST_SIZE];
    struct estimate_item items[COMPARED];
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
            reject_conflict(l, &photos[i], &items[i]);
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
    int length = asprintf(&text, "%s@%s,%s%s", place != NULL ? place : given, model_name(l->model), l->options.prior,
                          o->group_by != NULL ? ",folder" : "");

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

static enum infomask_status check_same(const struct labelling *l, const struct estimate_info *info,
                                       struct infomask_error *err)
{
    struct infomask_estimate_spec spec;
    enum infomask_status status = infomask_estimate_spec_of(model_core(l->model), &l->options.classify.prior, &spec,
                                                            err);

    if (status != INFOMASK_OK)
        return status;
    if (strcmp(info->sha256, model_info(l->model)->sha256) != 0)
        status = error_set(err, INFOMASK_ARGUMENT, "the estimate \"%.100s\" is of another model, %.60s; give another "
                           "--name, or --fresh", info->name, info->model);
    for (size_t y = 0; status == INFOMASK_OK && y < spec.classes; y++) {
        double had = info->spec.prior != NULL ? info->spec.prior[y] : 1 / (double)spec.classes;
        if (fabs(had - spec.prior[y]) > 1e-9 * had)
            status = error_set(err, INFOMASK_ARGUMENT, "the estimate \"%.100s\" is under another prior; give another "
                               "--name, or --fresh", info->name);
    }
    infomask_estimate_spec_fini(&spec);
    return status;
}

static enum infomask_status create_estimate(struct labelling *l, const char *name, struct infomask_error *err)
{
    struct estimate_info info = {0};
    enum infomask_status status;

    (void)snprintf(info.name, sizeof info.name, "%s", name);
    (void)snprintf(info.prior, sizeof info.prior, "%s", l->options.prior);
    status = estimate_info_of_model(&info, l->model, &l->options.classify.prior, err);
    if (status == INFOMASK_OK)
        status = estimates_create(l->run->estimates, &info, err);
    memcpy(l->id, info.id, sizeof l->id);
    estimate_info_fini(&info);
    return status;
}

static enum infomask_status open_estimate(struct labelling *l, struct infomask_error *err)
{
    const struct estimate_options *o = l->run->options;
    struct estimate_info info = {0};
    char name[ESTIMATE_NAME_MAX + 1];
    enum infomask_status status = INFOMASK_OK;

    if (o->name != NULL)
        (void)snprintf(name, sizeof name, "%s", o->name);
    else
        status = default_name(l, name, err);
    if (status == INFOMASK_OK)
        status = estimates_find(l->run->estimates, name, &info, err);
    if (status == INFOMASK_OK && o->fresh) {
        status = estimates_delete(l->run->estimates, info.id, err);
        if (status == INFOMASK_OK)
            status = INFOMASK_NO_SUCH_ESTIMATE;
    }
    if (status == INFOMASK_NO_SUCH_ESTIMATE) {
        status = create_estimate(l, name, err);
    } else if (status == INFOMASK_OK) {
        status = check_same(l, &info, err);
        memcpy(l->id, info.id, sizeof l->id);
        l->info = info;
        return status;
    }
    estimate_info_fini(&info);
    return status;
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
    enum infomask_status status = o->images != NULL ? photo_list_folder(&l->list, l->model, o->images, err)
                                                    : photo_list_file(&l->list, l->model, o->list, err);

    if (status == INFOMASK_OK && o->group_by != NULL)
        status = check_folders(l, err);
    if (status == INFOMASK_OK && o->shard_count > 0)
        photo_list_shard(&l->list, o->shard_index, o->shard_count);
    if (status == INFOMASK_OK && l->list.count / BATCH >= INT_MAX)
        status = error_set(err, INFOMASK_ARGUMENT, "%zu photos are too many for one run; see --shard", l->list.count);
    return status;
}

static enum infomask_status label_all(struct labelling *l, struct infomask_error *err)
{
    enum infomask_status status;

    progress_start(&l->progress, l->list.count, l->run->options->quiet);
    status = compare_known(l, err);
    if (status == INFOMASK_OK)
        pool_for(l->pool, (int)((l->list.count + BATCH - 1) / BATCH), label_chunk, l);
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
    const struct cli *cli = l->run->cli;
    struct model_options options;
    enum infomask_status status = work_pool(&cli->config, &l->pool, err);

    if (status == INFOMASK_OK)
        status = work_model_options(&cli->config, l->pool, &options, err);
    if (status == INFOMASK_OK)
        status = work_model(&cli->config, model, &options, &l->model, err);
    if (status == INFOMASK_OK && param_options_init(&l->options, &cli->params, l->model, err) != PARAM_FINE)
        status = INFOMASK_ARGUMENT;
    if (status == INFOMASK_OK)
        status = list_photos(l, err);
    if (status == INFOMASK_OK)
        status = estimate_open_store(l->run, err);
    if (status == INFOMASK_OK)
        status = open_estimate(l, err);
    if (status == INFOMASK_OK)
        status = skip_known(l, err);
    l->sessions = calloc((size_t)pool_threads(l->pool), sizeof *l->sessions);
    if (status == INFOMASK_OK && l->sessions == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
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
    struct labelling l = {.run = run, .limits = work_photo_limits(&run->cli->config)};
    struct infomask_error err;
    enum infomask_status status;

    (void)pthread_mutex_init(&l.lock, NULL);
    run->folder = folder_of(run->options);
    status = prepare(&l, model, &err);
    if (status == INFOMASK_OK)
        status = label_all(&l, &err);
    for (int i = 0; l.sessions != NULL && i < pool_threads(l.pool); i++)
        model_session_give(l.model, l.sessions[i]);
    free(l.sessions);
    photo_list_fini(&l.list);
    photo_list_fini(&l.known);
    estimate_info_fini(&l.info);
    param_options_fini(&l.options);
    model_release(l.model);
    pool_free(l.pool);
    (void)pthread_mutex_destroy(&l.lock);
    if (status != INFOMASK_OK)
        return cli_fails(run->cli->command, "%s", err.text);
    if (run->state.info.samples == 0)
        return cli_fails(run->cli->command, "no photo could be used");
    return CLI_DONE;
}
