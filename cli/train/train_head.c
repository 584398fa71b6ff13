/* infomask train --images: one's own classes on the features of a frozen network, as a model folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/train/train.h"
#include "cli/work.h"
#include "core/base/random.h"

#define SUSPECTS 50
#define MOST_PAIRS 20000 /* photos of which all pairs are looked at */

struct teaching {
    const struct cli *cli;
    const struct train_options *options;
    struct pool *pool;
    struct model *backbone;
    struct infomask_look looks[TRAIN_VIEWS];
    size_t views, near; /* near: photos that are near copies of another */
    uint32_t *groups;   /* [photos] that are kept in one fold */
    struct class_names names;
    struct train_photos photos, held_out;
    struct infomask_head head;
    struct estimate_state report, held_out_report; /* of the cross-fit; of --held-out */
    struct folder_write folder;
};

/* ---- Photos ------------------------------------------------------------------------------------------------------ */

static enum infomask_status open_backbone(struct teaching *t, struct infomask_error *err)
{
    const struct config *config = &t->cli->config;
    struct model_options options;
    enum infomask_status status = load_pool(config, &t->pool, err);

    if (status == INFOMASK_OK)
        status = work_model_options(config, t->pool, &options, err);
    if (status == INFOMASK_OK)
        status = load_model(config, t->options->backbone, &options, &t->backbone, err);
    if (status == INFOMASK_OK && options.precision != INFOMASK_F32)
        status = error_set(err, INFOMASK_ARGUMENT, "heads are trained on features in f32; leave precision as it is");
    return status;
}

static int by_hash(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A photo of the training folders is no witness: it is left out of the held-out ones. */
static enum infomask_status leave_known_out(struct teaching *t, struct infomask_error *err)
{
    size_t n = t->photos.list.count, m = t->held_out.list.count;
    const char **known = malloc((n + 1) * sizeof *known);
    bool *out = calloc(m + 1, sizeof *out), fine = known != NULL && out != NULL;
    char text[300];

    for (size_t i = 0; fine && i < n; i++)
        known[i] = t->photos.sha[i];
    if (fine)
        qsort(known, n, sizeof *known, by_hash);
    for (size_t i = 0; fine && i < m; i++) {
        const char *sha = t->held_out.sha[i], **found = bsearch(&sha, known, n, sizeof *known, by_hash);
        size_t at = found != NULL ? (size_t)((*found - t->photos.sha[0]) / (ptrdiff_t)sizeof *t->photos.sha) : 0;
        if (found == NULL)
            continue;
        out[i] = true;
        (void)snprintf(text, sizeof text, "is also trained on, as %.200s; not used as held out",
                       t->photos.list.photos[at].sample);
        train_photos_reject(&t->held_out, i, "trained_on", text, t->options->quiet);
    }
    if (fine)
        train_photos_keep(&t->held_out, out);
    free(out);
    free(known);
    return fine ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
}

static enum infomask_status read_photos(struct teaching *t, struct infomask_error *err)
{
    const struct train_options *o = t->options;
    const struct train_source source = {t->cli, o, t->backbone, t->pool};
    enum infomask_status status = photo_list_classes(&t->photos.list, &t->names, o->images, err);

    t->names.fixed = true;
    if (status == INFOMASK_OK && t->names.count < 2)
        status = error_set(err, INFOMASK_ARGUMENT, "%.150s: at least two subfolders, one for each class, are needed",
                           o->images);
    if (status == INFOMASK_OK && o->held_out != NULL)
        status = photo_list_classes(&t->held_out.list, &t->names, o->held_out, err);
    if (status == INFOMASK_OK)
        status = train_photos_read(&t->photos, &source, t->looks, t->views, err);
    if (status == INFOMASK_OK && o->held_out != NULL)
        status = train_photos_read(&t->held_out, &source, t->looks, 1, err);
    if (status == INFOMASK_OK && o->held_out != NULL)
        status = leave_known_out(t, err);
    return status;
}

/* A control: what is left to learn when the labels are dealt anew? */
static void shuffle_labels(struct train_photos *photos, uint64_t seed)
{
    struct random_stream random = random_stream(seed, 0);

    for (size_t i = photos->list.count; i > 1; i--) {
        size_t j = random_below(&random, (uint32_t)i);
        uint32_t swap = photos->labels[i - 1];
        photos->labels[i - 1] = photos->labels[j];
        photos->labels[j] = swap;
    }
}

static enum infomask_status count_classes(const struct teaching *t, struct infomask_error *err)
{
    for (size_t k = 0; k < t->names.count; k++) {
        size_t count = 0;
        for (size_t i = 0; i < t->photos.list.count; i++)
            count += t->photos.labels[i] == k;
        if (count < 2)
            return error_set(err, INFOMASK_ARGUMENT,
                             "class \"%.60s\" has %zu good photo%s; every class needs at least 2", t->names.names[k],
                             count, count == 1 ? "" : "s");
    }
    return INFOMASK_OK;
}

/* ---- Fitting and measuring --------------------------------------------------------------------------------------- */

static size_t largest_group(const uint32_t *groups, size_t *sizes, size_t n)
{
    size_t largest = 0;

    memset(sizes, 0, n * sizeof *sizes);
    for (size_t i = 0; i < n; i++) {
        size_t size = ++sizes[groups[i]];
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* One photo at two sizes or qualities has a cosine of .90 to .99.  Where everything looks alike that much, chains of
 * likeness would take up whole folds: then only the closest count. */
static enum infomask_status find_copies(struct teaching *t, uint32_t *groups, struct infomask_error *err)
{
    static const double cosines[] = {0.9, 0.95, 0.98, 0.99, 0.999};
    const struct train_photos *p = &t->photos;
    size_t n = p->list.count, most = n / 10 > 2 ? n / 10 : 2, *sizes = malloc((n + 1) * sizeof *sizes);
    enum infomask_status status = INFOMASK_OK;
    const struct infomask_feature_rows rows = {p->x, n, p->features, p->views * p->features};
    bool fine = false;

    if (sizes == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t c = 0; c < sizeof cosines / sizeof *cosines && !fine && n <= MOST_PAIRS && status == INFOMASK_OK; c++) {
        status = infomask_find_copies(&rows, cosines[c], t->pool, groups, err);
        fine = status == INFOMASK_OK && largest_group(groups, sizes, n) <= most;
    }
    for (size_t i = 0; i < n; i++) {
        groups[i] = fine ? groups[i] : (uint32_t)i;
        t->near += groups[i] != i;
    }
    free(sizes);
    return status;
}

static uint32_t root_of(uint32_t *groups, uint32_t i)
{
    while (groups[i] != i)
        i = groups[i] = groups[groups[i]];
    return i;
}

struct in_folder {
    uint64_t folder;
    uint32_t photo;
};

static int by_folder(const void *left, const void *right)
{
    const struct in_folder *a = left, *b = right;

    if (a->folder != b->folder)
        return a->folder < b->folder ? -1 : 1;
    return (a->photo > b->photo) - (a->photo < b->photo);
}

/* Photos of one folder belong together as well; *left: groups then. */
static enum infomask_status join_folders(const struct train_photos *p, uint32_t *groups, size_t *left,
                                         struct infomask_error *err)
{
    size_t n = p->list.count;
    struct in_folder *list = malloc((n + 1) * sizeof *list);

    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        list[i] = (struct in_folder){photo_folder(&p->list.photos[i], true), (uint32_t)i};
    qsort(list, n, sizeof *list, by_folder);
    for (size_t i = 1; i < n; i++)
        if (list[i].folder != 0 && list[i].folder == list[i - 1].folder)
            groups[root_of(groups, list[i].photo)] = root_of(groups, list[i - 1].photo);
    *left = 0;
    for (size_t i = 0; i < n; i++) {
        groups[i] = root_of(groups, (uint32_t)i);
        *left += groups[i] == i;
    }
    free(list);
    return INFOMASK_OK;
}

/* Photos of one folder, and near copies; where chains of likeness would tie folders to heaps, the folders alone. */
static enum infomask_status keep_folders_together(struct teaching *t, struct infomask_error *err)
{
    size_t n = t->photos.list.count, left = 0, most = n / 10, *sizes = malloc((n + 1) * sizeof *sizes);
    uint32_t *folders = malloc((n + 1) * sizeof *folders);
    enum infomask_status status = INFOMASK_OK;

    if (sizes == NULL || folders == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; status == INFOMASK_OK && i < n; i++)
        folders[i] = (uint32_t)i;
    if (status == INFOMASK_OK)
        status = join_folders(&t->photos, folders, &left, err);
    if (status == INFOMASK_OK && left < 2)
        status = error_set(err, INFOMASK_ARGUMENT, "--group-by folder: all photos are of one group");
    if (status == INFOMASK_OK && left == n)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "--group-by folder: no two photos lie in a folder of one group (CLASS/GROUP/PHOTO)");
    if (status == INFOMASK_OK)
        status = join_folders(&t->photos, t->groups, &left, err);
    if (status == INFOMASK_OK) {
        size_t alone = largest_group(folders, sizes, n);
        if (largest_group(t->groups, sizes, n) > (alone > most ? alone : most))
            memcpy(t->groups, folders, n * sizeof *folders);
    }
    free(sizes);
    free(folders);
    return status;
}

static enum infomask_status fit(struct teaching *t, struct infomask_error *err)
{
    const struct train_photos *p = &t->photos;
    struct infomask_head_data data = {.photos = p->list.count, .views = p->views, .features = p->features,
                                      .classes = t->names.count, .x = p->x, .labels = p->labels};
    enum infomask_status status;

    t->groups = malloc((data.photos + 1) * sizeof *t->groups);
    if (t->groups == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    data.groups = t->groups;
    status = find_copies(t, t->groups, err);
    if (status == INFOMASK_OK && t->options->group_by_folder)
        status = keep_folders_together(t, err);
    if (status == INFOMASK_OK)
        status = infomask_fit_head(&data, t->options->pc_softmax, t->options->seed, t->pool, &t->head, err);
    return status;
}

static enum infomask_status measure(struct teaching *t, struct infomask_error *err)
{
    struct train_measured m = {.photos = &t->photos, .logits = t->head.held_out, .names = &t->names,
                               .prior = t->head.prior, .logit_prior = t->options->pc_softmax ? NULL : t->head.prior,
                               .groups = t->groups};
    size_t n = t->held_out.list.count, k = t->names.count, left = 0;
    uint32_t *groups;
    float *logits;
    enum infomask_status status = train_measure(&t->report, &m, SUSPECTS, err);

    if (status != INFOMASK_OK || n == 0)
        return status;
    logits = malloc(n * k * sizeof *logits);
    groups = malloc(n * sizeof *groups);
    if (logits == NULL || groups == NULL) {
        free(logits);
        free(groups);
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++)
        groups[i] = (uint32_t)i;
    for (size_t i = 0; i < n; i++)
        infomask_head_logits(&t->head, t->held_out.x + i * t->head.features, logits + i * k);
    m.photos = &t->held_out;
    m.groups = groups;
    m.logits = logits;
    if (t->options->group_by_folder)
        status = join_folders(&t->held_out, groups, &left, err);
    if (status == INFOMASK_OK)
        status = train_measure(&t->held_out_report, &m, SUSPECTS, err);
    free(logits);
    free(groups);
    return status;
}

/* ---- The model folder -------------------------------------------------------------------------------------------- */

static void put_copy(struct json_writer *w, const struct json *from, const char *key)
{
    if (json_get(from, key) != NULL)
        json_put_node(w, key, json_get(from, key));
}

static void put_training(struct json_writer *w, const struct teaching *t)
{
    const struct train_options *o = t->options;

    json_object_open(w, "training");
    json_put_string(w, "command", o->command);
    json_put_uint(w, "seed", o->seed);
    json_object_open(w, "backbone");
    json_put_string(w, "name", model_name(t->backbone));
    json_put_string(w, "version", model_version(t->backbone));
    json_put_string(w, "sha256", model_info(t->backbone)->sha256);
    json_object_close(w);
    json_put_uint(w, "photos", t->photos.list.count);
    json_put_uint(w, "views", t->views);
    json_put_double_or_null(w, "l2", t->head.l2); /* null: the features told nothing, the head is the prior */
    json_put_double(w, "temperature", t->head.temperature); /* is in the weights */
    json_put_bool(w, "shuffled_labels", o->shuffle_labels);
    train_put_summary(w, "cross_fit", &t->report);
    if (t->held_out.list.count > 0)
        train_put_summary(w, "held_out", &t->held_out_report);
    json_object_close(w);
}

static enum infomask_status write_model_json(const struct teaching *t, struct infomask_error *err)
{
    const struct json *from = model_document(t->backbone);
    bool pc = t->options->pc_softmax;
    struct json_writer w;
    char source[200];
    enum infomask_status status;

    json_writer_init(&w, 2);
    json_object_open(&w, NULL);
    json_put_string(&w, "name", t->folder.name);
    json_put_string(&w, "version", "1");
    json_put_string(&w, "file", "model.onnx");
    json_put_string(&w, "labels", "labels.txt");
    put_copy(&w, from, "input");
    json_put_string(&w, "prior", "prior.txt");
    json_put_string(&w, "logit_prior", pc ? "uniform" : "prior.txt");
    json_put_string(&w, "objective", pc ? "pc-softmax" : "softmax");
    put_copy(&w, from, "mask");
    put_copy(&w, from, "licence");
    (void)snprintf(source, sizeof source, "infomask train: a head of %zu classes on the features of %.63s",
                   t->names.count, model_name(t->backbone));
    json_put_string(&w, "source", source);
    put_training(&w, t);
    json_object_close(&w);
    status = folder_write_json(&t->folder, "model.json", &w, err);
    json_writer_fini(&w);
    return status;
}

/* All that was found: of the cross-fit, and of --held-out. */
static void put_report(struct json_writer *w, const struct teaching *t, enum view_units units)
{
    json_object_open(w, NULL);
    json_put_string(w, "model", t->folder.name);
    json_put_uint(w, "photos", t->photos.list.count);
    json_put_uint(w, "from_cache", t->photos.from_cache);
    json_put_uint(w, "near_copies", t->near);
    rejected_put(w, "rejected", &t->photos.rejected);
    json_put_double_or_null(w, "l2", t->head.l2);
    json_put_double(w, "temperature", t->head.temperature);
    json_put_int(w, "folds", t->head.folds);
    json_object_open(w, "cross_fit");
    view_estimate_members(w, &t->report, units);
    json_object_close(w);
    if (t->options->held_out != NULL)
        rejected_put(w, "held_out_rejected", &t->held_out.rejected);
    if (t->held_out.list.count > 0) {
        json_object_open(w, "held_out");
        view_estimate_members(w, &t->held_out_report, units);
        json_object_close(w);
    }
    json_object_close(w);
}

static enum infomask_status write_report(const struct teaching *t, struct infomask_error *err)
{
    struct json_writer w;
    enum infomask_status status;

    json_writer_init(&w, 2);
    put_report(&w, t, VIEW_NATS);
    status = folder_write_json(&t->folder, "report.json", &w, err);
    json_writer_fini(&w);
    return status;
}

static enum infomask_status write_folder(struct teaching *t, struct infomask_error *err)
{
    const struct infomask_model_spec *spec = model_spec(t->backbone);
    char *path = folder_write_file(&t->folder, "model.onnx");
    enum infomask_status status = path != NULL ? infomask_write_head(spec->path, spec->output, &t->head, path, err)
                                               : error_set(err, INFOMASK_MEMORY, "out of memory");

    free(path);
    if (status == INFOMASK_OK)
        status = folder_write_classes(&t->folder, (const char *const *)t->names.names, t->names.count, t->head.prior,
                                      err);
    if (status == INFOMASK_OK)
        status = write_report(t, err);
    if (status == INFOMASK_OK)
        status = write_model_json(t, err);
    if (status == INFOMASK_OK)
        status = folder_write_finish(&t->folder, err);
    return status;
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

static int print_text(const struct teaching *t, enum view_units units)
{
    const struct train_photos *p = &t->photos;

    (void)printf("%-22s %s, %zu classes, on the features of %s%s\n", "model", t->folder.path, t->names.count,
                 model_name(t->backbone), t->options->shuffle_labels ? "; LABELS SHUFFLED" : "");
    (void)printf("%-22s %zu of %zu (%zu bad, %zu twice, %zu near copies kept in one fold)\n", "photos", p->list.count,
                 p->list.count + p->rejected.count, p->rejected.count - p->duplicates, p->duplicates, t->near);
    (void)printf("%-22s L2 %g, temperature %.3g\n", "head", t->head.l2, t->head.temperature);
    (void)printf("\nHeld out by %d-fold cross-fit:\n", t->head.folds);
    (void)train_print_state(t->cli, &t->report, units);
    if (t->held_out.list.count > 0) {
        (void)printf("\nHeld out, %s:\n", t->options->held_out);
        (void)train_print_state(t->cli, &t->held_out_report, units);
    }
    (void)printf("\nTry: infomask classify --model %s PHOTO\n",
                 strchr(t->options->name, '/') != NULL ? t->folder.path : t->folder.name);
    return CLI_DONE;
}

static int print(const struct teaching *t)
{
    enum view_units units = t->cli->params.value[PARAM_ID_UNITS].integer == 1 ? VIEW_BITS : VIEW_NATS;
    struct json_writer w;
    struct infomask_error err;

    if (!t->options->json)
        return print_text(t, units);
    json_writer_init(&w, json_indent(false));
    put_report(&w, t, units);
    return write_json(&w, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(t->cli->command, "%s", err.text);
}

static void teaching_fini(struct teaching *t)
{
    folder_write_close(&t->folder);
    estimate_state_fini(&t->report);
    estimate_state_fini(&t->held_out_report);
    infomask_head_fini(&t->head);
    free(t->groups);
    train_photos_fini(&t->photos);
    train_photos_fini(&t->held_out);
    class_names_fini(&t->names);
    model_release(t->backbone);
    pool_free(t->pool);
}

int train_head(const struct cli *cli, const struct train_options *options)
{
    struct teaching t = {.cli = cli, .options = options};
    struct infomask_error err;
    enum infomask_status status;
    int code = CLI_DONE;

    (void)train_looks(options->augment, t.looks, &t.views);
    status = folder_write_open(&t.folder, cli->config.models_dir, options->name, options->replace, &err);
    if (status == INFOMASK_OK)
        status = open_backbone(&t, &err);
    if (status == INFOMASK_OK)
        status = read_photos(&t, &err);
    if (status == INFOMASK_OK && options->shuffle_labels)
        shuffle_labels(&t.photos, options->seed);
    if (status == INFOMASK_OK)
        status = count_classes(&t, &err);
    if (status == INFOMASK_OK)
        status = fit(&t, &err);
    if (status == INFOMASK_OK)
        status = measure(&t, &err);
    if (status == INFOMASK_OK)
        status = write_folder(&t, &err);
    if (status != INFOMASK_OK)
        code = cli_fails(cli->command, "%s", err.text);
    else
        code = print(&t);
    teaching_fini(&t);
    return code;
}
