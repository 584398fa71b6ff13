/* infomask train --images: folders of photos to features, every core at work; bad and twofold photos are left out. */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/train/train.h"
#include "cli/train/train_cache.h"
#include "cli/work.h"
#include "core/base/checked.h"
#include "core/base/sha256.h"

struct reading {
    struct train_photos *photos;
    const struct cli *cli;
    const struct infomask_look *looks;
    struct model *backbone;
    struct infomask_limits limits;
    char *identity;                     /* everything that features depend on but photo and look; owned */
    struct train_cache cache;
    struct progress progress;
    struct infomask_error *errors;      /* [photos]; status OK: it was read */
    atomic_size_t from_cache;
};

/* ---- Looks ------------------------------------------------------------------------------------------------------- */

bool train_looks(const char *augment, struct infomask_look looks[TRAIN_VIEWS], size_t *count)
{
    static const double crops[] = {0, 1, 0.6};
    bool flip = false, crop = false;

    for (const char *at = augment; at != NULL && *at != '\0'; at += *at == ',') {
        size_t length = strcspn(at, ",");
        if (length != 4 || (strncmp(at, "flip", 4) != 0 && strncmp(at, "crop", 4) != 0))
            return false;
        flip = flip || at[0] == 'f';
        crop = crop || at[0] == 'c';
        at += length;
    }
    *count = 0;
    for (int c = 0; c < (crop ? 3 : 1); c++)
        for (int f = 0; f < (flip ? 2 : 1); f++)
            looks[(*count)++] = (struct infomask_look){crops[c], f == 1};
    return true;
}

/* ---- One photo --------------------------------------------------------------------------------------------------- */

static void key_of(const struct reading *r, size_t i, const struct infomask_look *look, char key[SHA256_HEX])
{
    char text[512];
    int length = snprintf(text, sizeof text, "%s %s %.9g %d", r->identity, r->photos->sha[i], look->crop,
                          look->mirrored);

    sha256_bytes(text, (size_t)length, key);
}

static enum infomask_status see(struct reading *r, size_t i, const char *bytes, size_t size,
                                struct infomask_error *err)
{
    struct train_photos *photos = r->photos;
    struct infomask_photo *photo = NULL;
    struct infomask_session *session = NULL;
    enum infomask_status status = INFOMASK_OK;
    bool all_there = true;

    for (size_t v = 0; v < photos->views && status == INFOMASK_OK; v++) {
        float *x = photos->x + (i * photos->views + v) * photos->features;
        char key[SHA256_HEX];
        key_of(r, i, &r->looks[v], key);
        if (train_cache_get(&r->cache, key, x))
            continue;
        all_there = false;
        if (photo == NULL)
            status = infomask_photo_open(bytes, size, &r->limits, &photo, err);
        if (photo != NULL && photos->views > 1)
            infomask_photo_whole(photo);
        if (status == INFOMASK_OK && session == NULL)
            status = model_session_take(r->backbone, &session, err);
        if (status == INFOMASK_OK)
            status = infomask_features(session, photo, &r->looks[v], x, err);
        if (status == INFOMASK_OK)
            train_cache_put(&r->cache, key, x);
    }
    model_session_give(r->backbone, session);
    infomask_photo_close(photo);
    if (all_there)
        atomic_fetch_add(&r->from_cache, 1);
    return status;
}

static void read_one(void *context, int index, int worker)
{
    struct reading *r = context;
    struct train_photos *photos = r->photos;
    size_t i = (size_t)index, size;
    char *bytes = NULL;
    struct infomask_error *err = &r->errors[i];

    (void)worker;
    err->status = photo_read(&photos->list.photos[i], r->cli->config.max_body, &bytes, &size, err);
    if (err->status == INFOMASK_OK) {
        sha256_bytes(bytes, size, photos->sha[i]);
        err->status = see(r, i, bytes, size, err);
    }
    free(bytes);
    progress_add(&r->progress, 1, err->status != INFOMASK_OK);
}

/* ---- Leaving out ------------------------------------------------------------------------------------------------- */

void train_photos_reject(struct train_photos *photos, size_t i, const char *code, const char *detail, bool quiet)
{
    if (!quiet)
        (void)fprintf(stderr, "infomask train: %s: %s\n", photos->list.photos[i].path, detail);
    rejected_add(&photos->rejected, photos->list.photos[i].sample, code, detail);
}

void train_photos_keep(struct train_photos *photos, const bool *out)
{
    size_t kept = 0, run = photos->views * photos->features;

    for (size_t i = 0; i < photos->list.count; i++) {
        if (out[i]) {
            free(photos->list.photos[i].path);
            continue;
        }
        if (kept != i) {
            photos->list.photos[kept] = photos->list.photos[i];
            photos->labels[kept] = photos->labels[i];
            memcpy(photos->sha[kept], photos->sha[i], sizeof *photos->sha);
            memcpy(photos->x + kept * run, photos->x + i * run, run * sizeof *photos->x);
        }
        kept++;
    }
    photos->list.count = kept;
}

static int by_pixels(const void *a, const void *b, void *context)
{
    const struct train_photos *photos = context;
    size_t i = *(const size_t *)a, j = *(const size_t *)b, run = photos->views * photos->features;
    int order = memcmp(photos->x + i * run, photos->x + j * run, photos->features * sizeof *photos->x);

    return order != 0 ? order : i < j ? -1 : 1; /* the first of two alike in the order of the list is kept */
}

static bool alike(const struct train_photos *photos, size_t i, size_t j)
{
    size_t run = photos->views * photos->features;
    return memcmp(photos->x + i * run, photos->x + j * run, photos->features * sizeof *photos->x) == 0;
}

/* order[first, end) are the same photo.  Under one label the first of them stays, under several none. */
static void judge_copies(struct train_photos *photos, const size_t *order, size_t first, size_t end, bool *out,
                         bool quiet)
{
    const struct labelled_photo *kept = &photos->list.photos[order[first]];
    bool agree = true;
    char text[300];

    for (size_t i = first + 1; i < end; i++)
        agree = agree && photos->labels[order[i]] == photos->labels[order[first]];
    for (size_t i = agree ? first + 1 : first; i < end; i++) {
        const struct labelled_photo *other = order[i] == order[first] ? &photos->list.photos[order[first + 1]] : kept;
        (void)snprintf(text, sizeof text, "the same photo as %.200s%s", other->sample,
                       agree ? "; skipped" : ", which has another label; both are skipped");
        out[order[i]] = true;
        train_photos_reject(photos, order[i], agree ? "duplicate" : "contradiction", text, quiet);
        photos->duplicates++;
    }
}

/* The same photo is the same features, bit for bit, whatever the file's format. */
static enum infomask_status leave_copies_out(struct train_photos *photos, bool *out, bool quiet,
                                             struct infomask_error *err)
{
    size_t n = 0, *order = malloc((photos->list.count + 1) * sizeof *order);

    if (order == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
    for (size_t i = 0; i < photos->list.count; i++)
        if (!out[i])
            order[n++] = i;
    qsort_r(order, n, sizeof *order, by_pixels, photos);
    for (size_t first = 0, end; first < n; first = end) {
        end = first + 1;
        while (end < n && alike(photos, order[first], order[end]))
            end++;
        if (end > first + 1)
            judge_copies(photos, order, first, end, out, quiet);
    }
    free(order);
    return INFOMASK_OK;
}

static enum infomask_status leave_out(struct reading *r, bool quiet, struct infomask_error *err)
{
    struct train_photos *photos = r->photos;
    bool *out = calloc(photos->list.count + 1, sizeof *out);
    enum infomask_status status;

    if (out == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
    for (size_t i = 0; i < photos->list.count; i++)
        if (r->errors[i].status != INFOMASK_OK) {
            out[i] = true;
            train_photos_reject(photos, i, status_word(r->errors[i].status), r->errors[i].text, quiet);
        }
    status = leave_copies_out(photos, out, quiet, err);
    if (status == INFOMASK_OK)
        train_photos_keep(photos, out);
    free(out);
    return status;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

/* What, beside photo and look, the features come from. */
static char *identity_of(const struct model *model)
{
    const struct infomask_model_info *info = model_info(model);
    const struct infomask_model_spec *s = model_spec(model);
    char *text;
    int length = asprintf(&text, "%s %s %s %s %dx%d %d %d %g %dx%d %s %g,%g,%g %g,%g,%g", INFOMASK_VERSION,
                          info->sha256, info->isa, info->precision, s->width, s->height, (int)s->color, (int)s->fit,
                          s->crop, s->resize_width, s->resize_height, s->resize, (double)s->mean[0], (double)s->mean[1],
                          (double)s->mean[2], (double)s->std[0], (double)s->std[1], (double)s->std[2]);

    return length >= 0 ? text : NULL;
}

/* <state>/features/<network>-<features>: made when it is not there; NULL: no cache. */
static char *cache_path(const struct reading *r)
{
    char *state = place_of_state(r->cli->config.state_dir), *path = NULL;
    char *folder = state != NULL ? file_join(state, "features") : NULL;

    if (folder != NULL && (mkdir(folder, 0700) == 0 || access(folder, W_OK) == 0) &&
        asprintf(&path, "%s/%.16s-%zu", folder, model_info(r->backbone)->sha256, r->photos->features) < 0)
        path = NULL;
    free(folder);
    free(state);
    return path;
}

static enum infomask_status reading_init(struct reading *r, struct infomask_error *err)
{
    struct train_photos *photos = r->photos;
    size_t n = photos->list.count, bytes;

    if (n >= INT_MAX || !checked_mul3(n * photos->views, photos->features, sizeof *photos->x, &bytes))
        return error_set(err, INFOMASK_LIMIT, "%zu photos are too many", n);
    photos->x = malloc(bytes + 1);
    photos->labels = malloc((n + 1) * sizeof *photos->labels);
    photos->sha = calloc(n + 1, sizeof *photos->sha);
    r->errors = calloc(n + 1, sizeof *r->errors);
    r->identity = identity_of(r->backbone);
    if (photos->x == NULL || photos->labels == NULL || photos->sha == NULL || r->errors == NULL ||
        r->identity == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the features of %zu photos", n);
    for (size_t i = 0; i < n; i++)
        photos->labels[i] = (uint32_t)photos->list.photos[i].label;
    return INFOMASK_OK;
}

enum infomask_status train_photos_read(struct train_photos *photos, const struct train_source *source,
                                       const struct infomask_look *looks, size_t views, struct infomask_error *err)
{
    const struct train_options *options = source->options;
    struct model *backbone = source->backbone;
    struct reading r = {.photos = photos, .cli = source->cli, .looks = looks, .backbone = backbone,
                        .limits = ask_limits(&source->cli->config)};
    enum infomask_status status;
    char *path;

    photos->views = views;
    photos->features = model_info(backbone)->features;
    if (photos->features == 0)
        return error_set(err, INFOMASK_NO_CLASS_MAP, "model %.60s has no pooled linear head, so it has no features to "
                         "build on", model_name(backbone));
    status = reading_init(&r, err);
    if (status == INFOMASK_OK) {
        path = options->no_cache ? NULL : cache_path(&r);
        train_cache_open(&r.cache, path, photos->features);
        free(path);
        progress_start(&r.progress, photos->list.count, options->quiet);
        pool_for(source->pool, (int)photos->list.count, read_one, &r);
        progress_end(&r.progress);
        train_cache_close(&r.cache);
        photos->from_cache = atomic_load(&r.from_cache);
        status = leave_out(&r, options->quiet, err);
    }
    free(r.errors);
    free(r.identity);
    return status;
}

void train_photos_fini(struct train_photos *photos)
{
    photo_list_fini(&photos->list);
    free(photos->x);
    free(photos->labels);
    free(photos->sha);
    rejected_fini(&photos->rejected);
    *photos = (struct train_photos){0};
}
