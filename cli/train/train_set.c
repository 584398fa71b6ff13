/* infomask train --data: what networks from scratch learn from. */
#include <limits.h>
#include <math.h>
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
#include "cli/work.h"
#include "core/base/checked.h"

static const char *const fashion[] = {"T-shirt/top", "trouser", "pullover", "dress", "coat",
                                      "sandal", "shirt", "sneaker", "bag", "ankle boot"};

/* ---- IDX files --------------------------------------------------------------------------------------------------- */

static enum infomask_status add_name(struct class_names *names, const char *name, struct infomask_error *err)
{
    char **more = reallocarray(names->names, names->count + 1, sizeof *more);

    if (more != NULL) {
        names->names = more;
        more[names->count] = strdup(name);
    }
    if (more == NULL || more[names->count] == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    names->count++;
    return INFOMASK_OK;
}

static enum infomask_status name_classes(struct train_set *set, bool clothes, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    char digits[16];

    for (int i = 0; i < set->train.classes && status == INFOMASK_OK; i++) {
        (void)snprintf(digits, sizeof digits, "%d", i);
        status = add_name(&set->names, clothes && set->train.classes == 10 ? fashion[i] : digits, err);
    }
    return status;
}

/* folder/NAME or folder/NAME.gz; malloc'ed; NULL: neither is there. */
static char *idx_file(const char *folder, const char *name)
{
    char *path;

    for (int i = 0; i < 2; i++) {
        if (asprintf(&path, "%s/%s%s", folder, name, i == 0 ? "" : ".gz") < 0)
            return NULL;
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static enum infomask_status read_pair(const char *images, const char *labels, struct infomask_pictures *pictures,
                                      struct infomask_error *err)
{
    enum infomask_status status = infomask_pictures_read(images, labels, pictures, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.150s", images);
    return status;
}

/* The four files of MNIST's kind.  False: the folder has no such files. */
static bool read_idx_folder(struct train_set *set, const char *folder, enum infomask_status *status,
                            struct infomask_error *err)
{
    static const char *const names[4] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte"};
    char *files[4];
    bool all = true;

    for (int i = 0; i < 4; i++) {
        files[i] = idx_file(folder, names[i]);
        all = all && files[i] != NULL;
    }
    if (all) {
        *status = read_pair(files[0], files[1], &set->train, err);
        if (*status == INFOMASK_OK)
            *status = read_pair(files[2], files[3], &set->held_out, err);
        set->canvas = true;
    }
    for (int i = 0; i < 4; i++)
        free(files[i]);
    return all;
}

/* "IMAGES,LABELS" */
static enum infomask_status read_idx_text(const char *text, struct infomask_pictures *pictures,
                                          struct infomask_error *err)
{
    const char *comma = strchr(text, ',');
    char *images = comma != NULL ? strndup(text, (size_t)(comma - text)) : NULL;
    enum infomask_status status;

    if (comma == NULL)
        return error_set(err, INFOMASK_ARGUMENT, "\"%.150s\" is neither a folder nor IMAGES,LABELS", text);
    status = images != NULL ? read_pair(images, comma + 1, pictures, err)
                            : error_set(err, INFOMASK_MEMORY, "out of memory");
    free(images);
    return status;
}

static enum infomask_status read_known(struct train_set *set, const char *name, struct infomask_error *err)
{
    bool clothes = strcmp(name, "fashion") == 0;
    char *folder = place_of_data(name);
    enum infomask_status status = INFOMASK_OK;

    if (folder == NULL && clothes)
        folder = strdup("/usr/share/datasets/fashion-mnist");
    if (folder == NULL || !read_idx_folder(set, folder, &status, err))
        status = error_set(err, INFOMASK_IO, "%s is not here; make data fetches it",
                           clothes ? "Fashion-MNIST" : "MNIST");
    free(folder);
    return status == INFOMASK_OK ? name_classes(set, clothes, err) : status;
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------- */

#define TASK_TRAIN 20000
#define TASK_HELD_OUT 10000
#define TASK_ZERO 128
#define TASK_SCALE 12 /* bytes a unit: a twelfth of the noise's deviation costs less than 0.001 nats */

static enum infomask_status draw_task(const struct infomask_task *task, uint64_t seed, int count,
                                      struct infomask_pictures *pictures, struct infomask_error *err)
{
    float x[INFOMASK_TASK_MAX], log_p[INFOMASK_TASK_MAX];
    size_t d = task->dimensions;

    *pictures = (struct infomask_pictures){.count = count, .classes = (int)task->classes, .height = 1, .width = (int)d,
                                           .channels = 1, .pixels = malloc((size_t)count * d),
                                           .labels = malloc((size_t)count * sizeof(int))};
    if (pictures->pixels == NULL || pictures->labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < (size_t)count; i++) {
        pictures->labels[i] = (int)infomask_task_sample(task, seed, i, x, log_p);
        for (size_t j = 0; j < d; j++)
            pictures->pixels[i * d + j] = (uint8_t)fmin(fmax((double)x[j] * TASK_SCALE + TASK_ZERO + 0.5, 0), 255);
    }
    return INFOMASK_OK;
}

static enum infomask_status read_task(struct train_set *set, const char *name, uint64_t seed,
                                      struct infomask_error *err)
{
    struct infomask_task task;
    enum infomask_status status;

    if (!infomask_task_find(name, &task))
        return error_set(err, INFOMASK_ARGUMENT, "there is no task \"%.60s\"; infomask estimate --task ? lists them",
                         name);
    set->truth = task.information;
    set->mean = TASK_ZERO;
    set->std = TASK_SCALE;
    status = draw_task(&task, 2 * seed, TASK_TRAIN, &set->train, err);
    if (status == INFOMASK_OK)
        status = draw_task(&task, 2 * seed + 1, TASK_HELD_OUT, &set->held_out, err);
    return status == INFOMASK_OK ? name_classes(set, false, err) : status;
}

/* ---- Folders of photos ------------------------------------------------------------------------------------------- */

struct shrinking {
    const struct photo_list *list;
    const struct train_options *options;
    const struct cli *cli;
    struct infomask_limits limits;
    struct infomask_pictures *pictures;
    struct infomask_error *errors; /* [photos] */
    struct progress progress;
};

static void shrink_one(void *context, int i, int worker)
{
    struct shrinking *s = context;
    struct infomask_pictures *p = s->pictures;
    struct infomask_error *err = &s->errors[i];
    struct infomask_photo *photo = NULL;
    char *bytes = NULL;
    size_t size;

    (void)worker;
    err->status = photo_read(&s->list->photos[i], s->cli->config.max_body, &bytes, &size, err);
    if (err->status == INFOMASK_OK)
        err->status = infomask_photo_open(bytes, size, &s->limits, &photo, err);
    if (err->status == INFOMASK_OK)
        err->status = infomask_photo_pixels(
            photo, p->width, p->height, p->channels == 1,
            p->pixels + (size_t)i * (size_t)p->width * (size_t)p->height * (size_t)p->channels, err);
    infomask_photo_close(photo);
    free(bytes);
    p->labels[i] = s->list->photos[i].label;
    progress_add(&s->progress, 1, err->status != INFOMASK_OK);
}

static void leave_bad_out(struct shrinking *s)
{
    struct infomask_pictures *p = s->pictures;
    size_t item = (size_t)p->width * (size_t)p->height * (size_t)p->channels;
    int kept = 0;

    for (int i = 0; i < p->count; i++) {
        if (s->errors[i].status != INFOMASK_OK) {
            if (!s->options->quiet)
                (void)fprintf(stderr, "infomask train: %s: %s\n", s->list->photos[i].path, s->errors[i].text);
            continue;
        }
        memmove(p->pixels + (size_t)kept * item, p->pixels + (size_t)i * item, item);
        p->labels[kept++] = p->labels[i];
    }
    p->count = kept;
}

static enum infomask_status read_photos(struct train_set *set, const char *folder, const struct cli *cli,
                                        const struct train_options *o, struct pool *pool,
                                        struct infomask_pictures *pictures, struct infomask_error *err)
{
    struct photo_list list = {0};
    struct shrinking s = {
        .list = &list, .options = o, .cli = cli, .limits = ask_limits(&cli->config), .pictures = pictures};
    size_t side = (size_t)o->size, bytes = 0;
    enum infomask_status status = photo_list_classes(&list, &set->names, folder, err);

    set->names.fixed = true;
    if (status == INFOMASK_OK &&
        (list.count >= INT_MAX || !checked_mul3(list.count, side * side, o->gray ? 1 : 3, &bytes)))
        status = error_set(err, INFOMASK_LIMIT, "%zu photos are too many", list.count);
    if (status == INFOMASK_OK) {
        *pictures = (struct infomask_pictures){.count = (int)list.count,
                                               .classes = (int)set->names.count,
                                               .width = o->size,
                                               .height = o->size,
                                               .channels = o->gray ? 1 : 3,
                                               .pixels = malloc(bytes + 1),
                                               .labels = malloc((list.count + 1) * sizeof(int))};
        s.errors = calloc(list.count + 1, sizeof *s.errors);
        if (pictures->pixels == NULL || pictures->labels == NULL || s.errors == NULL)
            status = error_set(err, INFOMASK_MEMORY, "no memory for %zu photos", list.count);
    }
    if (status == INFOMASK_OK) {
        progress_start(&s.progress, list.count, o->quiet);
        pool_for(pool, (int)list.count, shrink_one, &s);
        progress_end(&s.progress);
        leave_bad_out(&s);
    }
    free(s.errors);
    photo_list_fini(&list);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISDIR(at.st_mode);
}

static enum infomask_status read_either(struct train_set *set, const char *text, const struct cli *cli,
                                        const struct train_options *o, struct pool *pool,
                                        struct infomask_pictures *pictures, struct infomask_error *err)
{
    enum infomask_status status;

    if (is_folder(text))
        return read_photos(set, text, cli, o, pool, pictures, err);
    status = read_idx_text(text, pictures, err);
    set->canvas = true;
    return status;
}

enum infomask_status train_set_read(struct train_set *set, const struct cli *cli, const struct train_options *o,
                                    struct pool *pool, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    *set = (struct train_set){.std = 255, .truth = NAN};
    if (strncmp(o->data, "task:", 5) == 0)
        return read_task(set, o->data + 5, o->seed, err);
    if (strcmp(o->data, "mnist") == 0 || strcmp(o->data, "fashion") == 0)
        return read_known(set, o->data, err);
    if (is_folder(o->data) && read_idx_folder(set, o->data, &status, err))
        return status == INFOMASK_OK ? name_classes(set, strstr(o->data, "fashion") != NULL, err) : status;
    status = read_either(set, o->data, cli, o, pool, &set->train, err);
    if (status == INFOMASK_OK && set->canvas)
        status = name_classes(set, false, err);
    if (status == INFOMASK_OK && o->held_out != NULL)
        status = read_either(set, o->held_out, cli, o, pool, &set->held_out, err);
    else if (status == INFOMASK_OK)
        status = infomask_pictures_split(&set->train, o->held_out_share, o->seed, &set->held_out, err);
    return status;
}

void train_set_fini(struct train_set *set)
{
    infomask_pictures_fini(&set->train);
    infomask_pictures_fini(&set->held_out);
    class_names_fini(&set->names);
}
