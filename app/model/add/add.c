#include "app/model/add/add.h"

#include <stdlib.h>
#include <string.h>

#include "app/model/add/copy.h"
#include "app/model/folder_write.h"
#include "app/model/folders.h"
#include "app/model/labels.h"
#include "app/settings/files.h"
#include "app/settings/places.h"

#define NETWORK "model.onnx"
#define MOST_TEXT ((size_t)64 << 20)

/* A file's own names, where they are as many as its outputs and can be a labels.txt. */
static bool take_told(struct model_added *added)
{
    struct labels labels = {0};
    char *text = added->file.classes;

    if (text == NULL || labels_parse(text, strlen(text), &labels, NULL) != INFOMASK_OK)
        return false;
    added->told_labels = labels.count == added->file.outputs;
    labels_fini(&labels);
    if (!added->told_labels)
        return false;
    added->labels = text;
    added->labels_size = strlen(text);
    added->file.classes = NULL;
    return true;
}

/* Those of config.json, likewise. */
static bool take_hub(struct model_added *added)
{
    struct labels labels = {0};

    if (added->hub.class_count != added->file.outputs ||
        labels_parse(added->hub.classes, strlen(added->hub.classes), &labels, NULL) != INFOMASK_OK)
        return false;
    labels_fini(&labels);
    added->labels = added->hub.classes;
    added->labels_size = strlen(added->labels);
    added->hub.classes = NULL;
    added->hub_labels = true;
    return true;
}

static enum infomask_status read_labels(struct model_added *added, const struct model_add *request,
                                        const char *directories, struct infomask_error *err)
{
    size_t outputs = added->file.outputs;
    char *path = request->labels != NULL ? strdup(request->labels) : NULL, *text = NULL;
    size_t size = 0;
    struct labels labels = {0};
    enum infomask_status status;

    if (request->classes != NULL) {
        added->labels = strdup(request->classes);
        added->labels_size = strlen(request->classes);
        return added->labels != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    if (request->labels == NULL && (take_told(added) || take_hub(added)))
        return INFOMASK_OK;
    added->assumed_labels = request->labels == NULL && outputs == 1000;
    if (added->assumed_labels) { /* the names of ImageNet's classes, in the order that everybody uses */
        char *folder = models_folder(directories, "efficientnet-lite0");
        path = folder != NULL ? file_join(folder, "labels.txt") : NULL;
        free(folder);
    }
    if (path == NULL)
        return INFOMASK_OK;
    status = file_read(path, MOST_TEXT, &text, &size, err);
    free(path);
    if (status != INFOMASK_OK && added->assumed_labels) {
        added->assumed_labels = false;
        return INFOMASK_OK;
    }
    if (status == INFOMASK_OK)
        status = labels_parse(text, size, &labels, err);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.80s", file_name(request->labels != NULL ? request->labels : "labels.txt"));
    else if (labels.count != outputs)
        status = error_set(err, INFOMASK_BAD_MODEL,
                           "the network has %zu output%s, but %.80s has %zu label%s (one a line)", outputs,
                           outputs == 1 ? "" : "s", file_name(request->labels), labels.count,
                           labels.count == 1 ? "" : "s");
    labels_fini(&labels);
    if (status == INFOMASK_OK) {
        added->labels = text;
        added->labels_size = size;
    } else {
        free(text);
    }
    return status;
}

static const char *head_name(enum infomask_output_kind head)
{
    return head == INFOMASK_HEAD_SIGMOID         ? "sigmoid"
           : head == INFOMASK_HEAD_PROBABILITIES ? "probabilities"
                                                 : "softmax";
}

static void choose_size(struct model_added *added, const struct model_add *request)
{
    int width = request->width > 0 ? request->width : added->hub.width;
    int height = request->height > 0 ? request->height : added->hub.height;

    added->width = added->file.width > 0 ? added->file.width : width > 0 ? width : 224;
    added->height = added->file.height > 0 ? added->file.height : height > 0 ? height : 224;
    added->assumed_size = (added->file.width == 0 || added->file.height == 0) && width == 0;
}

static bool changes(const double *values, int count, double nothing)
{
    for (int i = 0; i < count; i++)
        if (values[i] != nothing)
            return true;
    return false;
}

/* What lies beside the file goes before what its metadata say. */
static void guess(struct model_added *added)
{
    added->preset = hub_preset(&added->hub, &added->file, &added->known, &added->reason);
    if (added->preset == &added->hub.preset || !added->file.blue_first || added->file.channels != 3)
        return;
    added->own = preset_blue_first(added->preset);
    added->preset = &added->own;
}

static enum infomask_status choose(struct model_added *added, const struct model_add *request,
                                   struct infomask_error *err)
{
    enum infomask_status status;
    const char *why;

    added->preset = request->preset;
    added->known = true;
    added->reason = "as asked for";
    if (request->preset == NULL)
        guess(added);
    if (request->preset == NULL && request->mean_count > 0 && request->std_count > 0) {
        added->known = true;
        added->reason = "mean and deviation are given";
    }
    why = request->preset != NULL ? preset_contradiction(request->preset, &added->file) : NULL;
    if (why != NULL)
        return error_set(err, INFOMASK_ARGUMENT, "preset %s %s", request->preset->name, why);
    if (added->file.whole_numbers && (changes(request->mean, request->mean_count, 0) ||
                                      changes(request->std, request->std_count, 1)))
        return error_set(err, INFOMASK_ARGUMENT,
                         "the file takes whole numbers from 0 to 255: --mean and --std would make others of them");
    if (request->color != NULL && (strcmp(request->color, "GRAY") == 0) != (added->file.channels == 1))
        return error_set(err, INFOMASK_ARGUMENT, "the network takes %d channels: its colour cannot be %s",
                         added->file.channels, request->color);
    status = model_fits_size(&added->file, request->width, request->height, err);
    if (status != INFOMASK_OK)
        return status;
    choose_size(added, request);
    added->head = request->head != NULL       ? request->head
                  : added->file.outputs == 1 ? "sigmoid" /* one number: yes or no */
                  : added->hub.several_labels && added->file.head != INFOMASK_HEAD_PROBABILITIES
                      ? "sigmoid"
                      : head_name(added->file.head);
    return INFOMASK_OK;
}

static void put_channels(struct json_writer *w, const char *key, const double *values, int count)
{
    json_array_open(w, key);
    for (int i = 0; i < count; i++)
        json_put_double(w, NULL, values[i]);
    json_array_close(w);
}

/* A preset's numbers belong to its colours, whatever order the network wants them in. */
static void put_preset(struct json_writer *w, const char *key, const struct model_added *added,
                       const struct model_add *request, const double values[3])
{
    const double turned[3] = {values[2], values[1], values[0]};
    bool other = added->file.channels == 3 && request->color != NULL &&
                 strcmp(request->color, added->preset->color) != 0;

    put_channels(w, key, other ? turned : values, added->file.channels);
}

static void put_input(struct json_writer *w, const struct model_added *added, const struct model_add *request)
{
    const struct preset *preset = added->preset;
    int channels = added->file.channels;

    json_object_open(w, "input");
    json_put_int(w, "width", added->width);
    json_put_int(w, "height", added->height);
    json_put_string(w, "color", channels == 1 ? "GRAY" : request->color != NULL ? request->color : preset->color);
    json_put_string(w, "layout", added->file.nhwc ? "NHWC" : "NCHW");
    json_put_string(w, "fit", preset->fit);
    json_put_double(w, "crop", preset->crop);
    json_put_string(w, "resize", preset->resize);
    if (preset->resize_to > 0)
        json_put_int(w, "resize_to", preset->resize_to);
    if (request->mean_count > 0)
        put_channels(w, "mean", request->mean, request->mean_count);
    else
        put_preset(w, "mean", added, request, preset->mean);
    if (request->std_count > 0)
        put_channels(w, "std", request->std, request->std_count);
    else
        put_preset(w, "std", added, request, preset->std);
    json_object_close(w);
}

void model_added_put(struct json_writer *w, const char *key, const struct model_added *added,
                     const struct model_add *request, const char *name)
{
    json_object_open(w, key);
    json_put_string(w, "name", name);
    json_put_string(w, "version", request->version != NULL ? request->version : "1");
    json_put_string(w, "file", NETWORK);
    if (added->labels != NULL)
        json_put_string(w, "labels", "labels.txt");
    if (request->output != NULL)
        json_put_string(w, "output", request->output);
    put_input(w, added, request);
    json_put_string(w, "head", added->head);
    if (request->licence != NULL)
        json_put_string(w, "licence", request->licence);
    json_put_string(w, "source", request->source != NULL ? request->source : file_name(request->file));
    json_object_open(w, "added");
    json_put_string(w, "preset", added->preset->name);
    json_put_bool(w, "preset_known", added->known);
    json_put_bool(w, "labels_assumed", added->assumed_labels);
    json_object_close(w);
    json_object_close(w);
}

static enum infomask_status write_folder(struct folder_write *folder, struct model_added *added,
                                         const struct model_add *request, struct infomask_error *err)
{
    struct json_writer w;
    enum infomask_status status = INFOMASK_OK;

    if (added->labels != NULL)
        status = folder_write_text(folder, "labels.txt", added->labels, added->labels_size, err);
    json_writer_init(&w, 2);
    model_added_put(&w, NULL, added, request, folder->name);
    if (status == INFOMASK_OK)
        status = folder_write_json(folder, "model.json", &w, err);
    else
        json_writer_fini(&w);
    return status;
}

static enum infomask_status look_at_copy(const struct folder_write *folder, struct model_added *added,
                                         const struct model_add *request, struct infomask_error *err)
{
    char *copy = NULL;
    enum infomask_status status = copy_network(folder, request->file, NETWORK, &copy, err);

    if (status == INFOMASK_OK && (status = infomask_inspect(copy, request->output, &added->file, err)) != INFOMASK_OK)
        error_prefix(err, "%.80s", file_name(request->file));
    free(copy);
    if (status == INFOMASK_OK)
        status = hub_read(request->file, &added->hub, err);
    if (status == INFOMASK_BAD_DATA && request->preset != NULL) /* nobody needs it */
        status = INFOMASK_OK;
    return status == INFOMASK_OK ? choose(added, request, err) : status;
}

static enum infomask_status compare(const struct config *config, const struct model_add *request, const char *folder,
                                    struct model_check *check, struct infomask_error *err)
{
    const struct model_check_of of = {.folder = folder, .keep = true, .warn = request->warn};
    enum infomask_status status = model_check(config, &of, check, err);

    if (status == INFOMASK_OK && check->not_finite)
        return error_set(err, INFOMASK_BAD_MODEL, MODEL_CHECK_NOT_FINITE ": it is not added");
    if (status == INFOMASK_OK && !check->equal)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "the network as it is run differs from the reference kernels by %.2g of "
                         "the spread of its outputs (at most %g): it is not added",
                         check->error, check->most);
    return status;
}

enum infomask_status model_add(const struct config *config, const struct model_add *request, struct model_added *added,
                               struct infomask_error *err)
{
    char *directories = place_of_models(config->models_dir);
    struct folder_write folder = {0};
    enum infomask_status status = folder_write_open(&folder, config->models_dir, request->name, request->replace, err);

    if (status == INFOMASK_OK)
        status = look_at_copy(&folder, added, request, err);
    if (status == INFOMASK_OK)
        status = directories != NULL ? read_labels(added, request, directories, err)
                                   : error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = write_folder(&folder, added, request, err);
    if (status == INFOMASK_OK && !request->no_check)
        status = compare(config, request, folder.part, &added->check, err);
    folder.tried = !request->no_check;
    if (status == INFOMASK_OK)
        status = folder_write_finish(&folder, err);
    folder_write_close(&folder);
    free(directories);
    return status;
}

void model_added_fini(struct model_added *added)
{
    free(added->labels);
    free(added->file.classes);
    hub_fini(&added->hub);
    *added = (struct model_added){0};
}

/* Of each channel; one value is for all. */
static bool are_others(const double *values, int count, const double *than, int channels)
{
    for (int i = 0; i < channels && i < 3; i++)
        if (values[count == 1 ? 0 : i] != than[i])
            return true;
    return false;
}

int model_added_changed(const struct model_add *request, const struct model_added *added, const char *changed[3])
{
    const struct preset *preset = added->preset;
    int count = 0;

    if (request->mean_count > 0 && are_others(request->mean, request->mean_count, preset->mean, added->file.channels))
        changed[count++] = "mean";
    if (request->std_count > 0 && are_others(request->std, request->std_count, preset->std, added->file.channels))
        changed[count++] = "std";
    if (request->color != NULL && added->file.channels > 1 && strcmp(request->color, preset->color) != 0)
        changed[count++] = "color";
    return count;
}
