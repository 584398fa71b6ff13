/* infomask evaluate masks: scores of masks against truths, and by what the model says when pixels go. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "cli/cli.h"
#include "app/settings/npy.h"
#include "cli/work.h"
#include "core/infomask_lab.h"

enum { FLAG_IMAGES = 300, FLAG_MASKS, FLAG_MAPS, FLAG_TARGETS, FLAG_QUICK, FLAG_JSON };

static const struct cli_flag flags[] = {
    {FLAG_IMAGES, "images", "DIR", "the photos"},
    {FLAG_MASKS, "masks", "DIR", "the truths: PNG or .npy of the same stem, over half of its maximum on the object"},
    {FLAG_MAPS, "maps", "DIR", "score these maps (PNG or .npy, same stem) instead of infomask's own"},
    {FLAG_TARGETS, "targets", "FILE", "lines of stem, tab, class; by default --target or the best class"},
    {FLAG_QUICK, "quick", NULL, "no deletion, insertion, ROAD and drop: they take 45 passes a photo"},
    {FLAG_JSON, "json", NULL, "JSON with a row for each photo, instead of the table"},
};

struct evaluation {
    const char *images, *masks, *maps, *targets;
    bool quick, json;
    char *target_text;
    struct work *work;
    int code;
};

struct result {
    struct infomask_mask_score score;
    int target;
    double pmi, largest_window_pmi; /* the second NAN with --maps */
};

struct total {
    int count, pointing, increase, faithful;
    int box_hits[INFOMASK_BOX_LEVELS];
    double pixel_ap, iou, deletion, insertion, road, drop;
};

static bool take(void *context, int letter, const char *value)
{
    struct evaluation *e = context;

    switch (letter) {
    case FLAG_IMAGES: e->images = value; break;
    case FLAG_MASKS: e->masks = value; break;
    case FLAG_MAPS: e->maps = value; break;
    case FLAG_TARGETS: e->targets = value; break;
    case FLAG_QUICK: e->quick = true; break;
    default: e->json = true; break;
    }
    return true;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static int stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? (int)(dot - name) : (int)strlen(name);
}

static bool is_picture(const struct dirent *entry)
{
    static const char *const ends[] = {".png", ".jpg", ".jpeg", ".webp", ".PNG", ".JPG", ".JPEG", ".WEBP"};
    const char *end = entry->d_name + stem_length(entry->d_name);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(end, ends[i]) == 0)
            return true;
    return false;
}

/* Not a pipe either, whose writer would be waited for. */
static int picture_filter(const struct dirent *entry)
{
    return is_picture(entry) && entry->d_type != DT_FIFO ? 1 : 0;
}

struct file {
    char *path, *bytes; /* owned; the path is for messages, too */
    size_t size;
};

static void file_fini(struct file *file)
{
    free(file->path);
    free(file->bytes);
}

/* The file of that stem in the folder with the first of a map's extensions that is there. */
static enum infomask_status read_stem(const struct evaluation *e, const char *folder, const char *name,
                                      struct file *file, struct infomask_error *err)
{
    static const char *const ends[] = {".npy", ".png", ".jpg", ".webp"};
    enum infomask_status status = INFOMASK_IO;

    for (size_t i = 0; status == INFOMASK_IO && i < sizeof ends / sizeof *ends; i++) {
        free(file->path);
        file->path = NULL;
        if (asprintf(&file->path, "%s/%.*s%s", folder, stem_length(name), name, ends[i]) < 0) {
            file->path = NULL;
            return error_set(err, INFOMASK_MEMORY, "out of memory");
        }
        status = file_read_regular(file->path, e->work->cli->config.max_body, &file->bytes, &file->size, err);
    }
    return status;
}

static enum infomask_status check_map(const struct npy *npy, struct infomask_error *err)
{
    if (npy->rank != 2 || npy->count == 0)
        return error_set(err, INFOMASK_BAD_DATA, "a map has two dimensions, and at least one number");
    for (size_t i = 0; i < npy->count; i++)
        if (!isfinite(npy->data[i]))
            return error_set(err, INFOMASK_BAD_DATA, "value %zu of the map is not finite", i);
    return INFOMASK_OK;
}

/* Somebody's map, or a truth. */
static enum infomask_status read_map(const struct evaluation *e, const char *folder, const char *name, float **map,
                                     int *h, int *w, struct infomask_error *err)
{
    struct file file = {0};
    struct npy npy = {0};
    enum infomask_status status = read_stem(e, folder, name, &file, err);

    if (status == INFOMASK_OK && strcmp(file.path + strlen(file.path) - 4, ".npy") == 0) {
        status = npy_parse_numbers(file.bytes, file.size, &npy, err);
        if (status == INFOMASK_OK)
            status = check_map(&npy, err);
        if (status == INFOMASK_OK) {
            *map = npy.data;
            *h = (int)npy.dims[0];
            *w = (int)npy.dims[1];
            npy.data = NULL;
        }
        npy_fini(&npy);
    } else if (status == INFOMASK_OK) {
        status = infomask_read_map(file.bytes, file.size, map, h, w, err);
    }
    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", file.path != NULL ? file.path : folder);
    file_fini(&file);
    return status;
}

static enum infomask_status read_truth(const struct evaluation *e, const char *name, uint8_t **truth, int *h, int *w,
                                       struct infomask_error *err)
{
    float *map = NULL, most = 0;
    size_t n;
    enum infomask_status status = read_map(e, e->masks, name, &map, h, w, err);

    if (status != INFOMASK_OK)
        return status;
    n = (size_t)*h * (size_t)*w;
    for (size_t i = 0; i < n; i++)
        most = map[i] > most ? map[i] : most;
    *truth = malloc(n);
    for (size_t i = 0; *truth != NULL && i < n; i++)
        (*truth)[i] = map[i] > most / 2 ? 255 : 0;
    free(map);
    return *truth != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
}

/* The class that --targets names for the file, or the usual one. */
static enum infomask_status target_of(const struct evaluation *e, const struct shot *shot, const char *name,
                                      int *target, struct infomask_error *err)
{
    const struct infomask_mask_options *options = &e->work->ask.options.filter.mask;
    size_t length = (size_t)stem_length(name);
    const char *line = e->target_text;
    char class_name[256];

    *target = options->target_count > 0 ? options->targets[0] : shot->classification.order[0];
    while (line != NULL && *line != '\0') {
        size_t end = strcspn(line, "\n");
        if (end > length + 1 && strncmp(line, name, length) == 0 && line[length] == '\t') {
            struct infomask_error none;
            (void)snprintf(class_name, sizeof class_name, "%.*s", (int)(end - length - 1), line + length + 1);
            if (model_find_class(e->work->ask.model, class_name, target, &none) == MODEL_CLASS_FOUND)
                return INFOMASK_OK;
            return error_set(err, INFOMASK_ARGUMENT, "%.60s is not a class of this model", class_name);
        }
        line += end + (line[end] == '\n');
    }
    return INFOMASK_OK;
}

/* ---- One photo --------------------------------------------------------------------------------------------------- */

struct subject {
    struct shot shot;
    struct infomask_mask mask; /* empty with --maps */
    float *map;                /* with --maps */
    uint8_t *truth;
    int truth_h, truth_w;
    int target;
};

static void subject_fini(struct subject *s)
{
    infomask_mask_fini(&s->mask);
    shot_close(&s->shot);
    free(s->map);
    free(s->truth);
}

static enum infomask_status score_subject(const struct evaluation *e, struct subject *s, const char *name,
                                          struct infomask_mask_score *score, struct infomask_error *err)
{
    struct infomask_mask_options options = e->work->ask.options.filter.mask;
    struct infomask_truth truth = {s->truth, s->truth_h, s->truth_w};
    struct infomask_ranking saliency;
    enum infomask_status status;

    options.targets = &s->target;
    options.target_count = 1;
    if (e->maps != NULL)
        status = read_map(e, e->maps, name, &s->map, &saliency.h, &saliency.w, err);
    else
        status = infomask_mask(e->work->ask.session, s->shot.photo, &s->shot.classification, &options, &s->mask, err);
    if (status != INFOMASK_OK)
        return status;
    saliency.values = e->maps != NULL ? s->map : infomask_mask_saliency(&s->mask, &saliency.h, &saliency.w);
    status = infomask_score_mask(s->shot.photo, &saliency, s->mask.pixels, &truth, score, err);
    if (status == INFOMASK_OK && !e->quick)
        status = infomask_score_faithfulness(e->work->ask.session, s->shot.photo, &s->shot.classification, s->target,
                                             &saliency, score, err);
    return status;
}

static enum infomask_status evaluate_photo(const struct evaluation *e, const char *name, struct result *result,
                                           struct infomask_error *err)
{
    struct subject s = {0};
    char *path = file_join(e->images, name);
    enum infomask_status status = path == NULL ? error_set(err, INFOMASK_MEMORY, "out of memory")
                                               : read_truth(e, name, &s.truth, &s.truth_h, &s.truth_w, err);

    if (status == INFOMASK_OK)
        status = shot_open(e->work, e->work->ask.session, path, true, &s.shot, err);
    if (status == INFOMASK_OK)
        status = target_of(e, &s.shot, name, &s.target, err);
    if (status == INFOMASK_OK)
        status = score_subject(e, &s, name, &result->score, err);
    if (status == INFOMASK_OK) {
        result->target = s.target;
        result->pmi = s.shot.classification.pmi[s.target];
        result->largest_window_pmi = s.mask.maps != NULL ? s.mask.maps[0].largest_window_pmi : NAN;
    }
    subject_fini(&s);
    free(path);
    return status;
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

static void add_score(struct total *total, const struct infomask_mask_score *score)
{
    total->count++;
    total->pixel_ap += score->pixel_ap;
    total->iou += score->iou;
    total->pointing += score->pointing;
    for (int i = 0; i < INFOMASK_BOX_LEVELS; i++)
        total->box_hits[i] += score->box_iou[i] >= 0.5F;
    if (isnan(score->deletion))
        return;
    total->faithful++;
    total->deletion += score->deletion;
    total->insertion += score->insertion;
    total->road += score->road;
    total->drop += score->drop;
    total->increase += score->increase;
}

static double best_box_accuracy(const struct total *total)
{
    int best = 0;

    for (int i = 0; i < INFOMASK_BOX_LEVELS; i++)
        best = total->box_hits[i] > best ? total->box_hits[i] : best;
    return (double)best / total->count;
}

static void put_scores(struct json_writer *json, const struct total *total)
{
    double n = total->count, f = total->faithful;

    json_put_double(json, "pixel_ap", total->pixel_ap / n);
    json_put_double(json, "mask_iou", total->iou / n);
    json_put_double(json, "max_box_accuracy", best_box_accuracy(total));
    json_put_double(json, "pointing", total->pointing / n);
    if (total->faithful == 0)
        return;
    json_put_double(json, "deletion", total->deletion / f);
    json_put_double(json, "insertion", total->insertion / f);
    json_put_double(json, "road", total->road / f);
    json_put_double(json, "average_drop", total->drop / f);
    json_put_double(json, "increase", total->increase / f);
}

static void put_photo(struct json_writer *json, const struct evaluation *e, const char *name,
                      const struct result *result)
{
    struct total alone = {0};

    add_score(&alone, &result->score);
    json_object_open(json, NULL);
    json_put_string(json, "file", name);
    json_put_int(json, "target", result->target);
    json_put_string(json, "label", model_label(e->work->ask.model, (size_t)result->target));
    json_put_double(json, "pmi", result->pmi);
    json_put_double_or_null(json, "largest_window_pmi", result->largest_window_pmi);
    put_scores(json, &alone);
    json_object_close(json);
}

static void print_table(const struct total *total)
{
    double n = total->count, f = total->faithful;

    (void)printf("%-18s %d\n%-18s %.3f\n%-18s %.3f\n%-18s %.3f\n%-18s %.3f\n", "photos", total->count, "pixel AP",
                 total->pixel_ap / n, "mask IoU", total->iou / n, "MaxBoxAcc 0.5", best_box_accuracy(total), "pointing",
                 total->pointing / n);
    if (total->faithful > 0)
        (void)printf("%-18s %.3f nats\n%-18s %.3f nats\n%-18s %.3f nats\n%-18s %.3f\n%-18s %.3f\n", "deletion",
                     total->deletion / f, "insertion", total->insertion / f, "ROAD", total->road / f, "average drop",
                     total->drop / f, "increase", total->increase / f);
}

static void evaluate_names(struct evaluation *e, struct dirent **names, int count)
{
    struct total total = {0};
    struct json_writer json;
    struct infomask_error err = {0};

    json_writer_init(&json, 0);
    json_object_open(&json, NULL);
    json_array_open(&json, "photos");
    for (int i = 0; i < count; i++) {
        struct result result;
        if (evaluate_photo(e, names[i]->d_name, &result, &err) != INFOMASK_OK) {
            e->code = cli_fails(e->work->cli->command, "%s: %s", names[i]->d_name, err.text);
            continue;
        }
        add_score(&total, &result.score);
        put_photo(&json, e, names[i]->d_name, &result);
    }
    json_array_close(&json);
    json_object_open(&json, "mean");
    json_put_int(&json, "photos", total.count);
    if (total.count > 0)
        put_scores(&json, &total);
    json_object_close(&json);
    json_object_close(&json);
    if (total.count == 0)
        e->code = cli_fails(e->work->cli->command, "no photo in %s could be scored", e->images);
    else if (!e->json)
        print_table(&total);
    else if (write_json(&json, NULL, &err) != INFOMASK_OK)
        e->code = cli_fails(e->work->cli->command, "%s", err.text);
    json_writer_fini(&json);
}

static void evaluate_all(void *context)
{
    struct evaluation *e = context;
    struct dirent **names = NULL;
    struct infomask_error err;
    size_t size;
    int count = scandir(e->images, &names, picture_filter, alphasort);

    if (count < 0) {
        e->code = cli_fails(e->work->cli->command, "%s: %s", e->images, strerror(errno));
        return;
    }
    if (e->targets != NULL && file_read(e->targets, (size_t)1 << 24, &e->target_text, &size, &err) != INFOMASK_OK)
        e->code = cli_fails(e->work->cli->command, "%s: %s", e->targets, err.text);
    else
        evaluate_names(e, names, count);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(e->target_text);
}

int cmd_evaluate(int argc, char **argv)
{
    struct evaluation e = {.code = CLI_DONE};
    const struct cli_spec spec = {
        .usage = "evaluate masks --images DIR --masks DIR [OPTION]...",
        .about = "Scores masks against truths (pixel average precision, IoU, MaxBoxAcc, pointing game) and by what\n"
                 "the model says when their pixels go or come (deletion, insertion, ROAD, confidence drop).",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_MASK,
        .sections = " models images compute ",
        .take = take,
        .context = &e,
    };
    struct cli cli;
    struct work work;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count != 1 || strcmp(cli.operands[0], "masks") != 0)
        code = cli_misused(cli.command, "what is to be evaluated? infomask evaluate masks");
    else if (e.images == NULL || e.masks == NULL)
        code = cli_misused(cli.command, "--images and --masks are needed");
    else
        code = work_open(&work, &cli);
    if (code < 0) {
        e.work = &work;
        pool_run(work.pool, evaluate_all, &e);
        work_close(&work);
        code = e.code;
    }
    cli_close(&cli);
    return code;
}
