#include "app/model/folder_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/model/document/keys.h"
#include "app/model/document/prior.h"
#include "app/model/folders.h"
#include "app/settings/files.h"
#include "app/settings/npy.h"
#include "app/settings/params.h"

#define MOST_JSON (1 << 20)
#define MOST_TEXT (64 << 20)
#define MOST_EMBEDDINGS ((size_t)1 << 30)

/* ---- Names and files --------------------------------------------------------------------------------------------- */

static void check_model_name(struct document_reader *reader, const char *name)
{
    if (name == NULL)
        document_fails(reader, "name", "is missing");
    else if (!folder_is_good_name(name))
        document_fails(reader, "name", "must be 1 to 63 of A-Za-z0-9._- and not begin with a dot");
}

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool is = path != NULL && access(path, F_OK) == 0; /* what may not be read is told of when it is */

    free(path);
    return is;
}

/* Those that model.json names, else labels.txt if it is there. */
static void read_labels(struct document_reader *reader, struct model_folder *folder)
{
    const char *name = NULL;
    char *text = NULL;
    size_t size = 0;

    document_string(reader, "labels", &name);
    if (name == NULL && has_file(folder->path, "labels.txt"))
        name = "labels.txt";
    folder->labels_path = document_own_file(reader, folder->path, "labels", name);
    if (folder->labels_path == NULL)
        return;
    reader->status = file_read_regular(folder->labels_path, MOST_TEXT, &text, &size, reader->err);
    if (reader->status == INFOMASK_OK)
        reader->status = labels_parse(text, size, &folder->labels, reader->err);
    if (reader->status != INFOMASK_OK)
        error_prefix(reader->err, "%.80s", name);
    free(text);
    folder->spec.labels = folder->labels.count;
}

/* groups.tsv, where there is one. */
static void read_groups(struct document_reader *reader, struct model_folder *folder)
{
    char *text = NULL;
    size_t size = 0;

    if (reader->status != INFOMASK_OK)
        return;
    folder->groups_path = file_join(folder->path, "groups.tsv");
    if (folder->groups_path == NULL)
        reader->status = error_set(reader->err, INFOMASK_MEMORY, "out of memory");
    else if (access(folder->groups_path, F_OK) != 0)
        return;
    else
        reader->status = file_read_regular(folder->groups_path, MOST_TEXT, &text, &size, reader->err);
    if (reader->status == INFOMASK_OK)
        reader->status = class_groups_parse(text, size, folder->labels.count, &folder->groups, reader->err);
    if (reader->status != INFOMASK_OK)
        error_prefix(reader->err, "groups.tsv");
    free(text);
    folder->spec.groups = folder->groups.sets;
    folder->spec.group_count = folder->groups.count;
}

static void read_training_prior(struct document_reader *reader, struct model_folder *folder)
{
    const char *word = json_string(document_member(reader, "prior"));

    if (word == NULL || strcmp(word, "uniform") != 0) /* uniform is core's NULL and needs no labels */
        folder->prior = document_prior(reader, folder, "prior");
    folder->logit_prior = document_prior(reader, folder, "logit_prior");
    folder->spec.prior = folder->prior;
    folder->spec.logit_prior = folder->logit_prior;
}

/* ---- The parts of model.json ------------------------------------------------------------------------------------- */

/* three numbers, or one for all channels */
static void read_channels(struct document_reader *reader, const char *key, double low, float value[3])
{
    const struct json *node = document_member(reader, key), *item = json_first(node);
    size_t count = json_count(node);
    double number = 0;

    if (node == NULL)
        return;
    if (json_kind(node) != JSON_ARRAY || (count != 1 && count != 3)) {
        document_fails(reader, key, "must be an array of 3 numbers (or of 1, for all channels)");
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!json_number(item, &number) || number < low || number > 1e6) {
            document_fails(reader, key, "must hold numbers from %g to 1e+06", low);
            return;
        }
        value[i] = (float)number;
        item = count == 3 ? json_next(item) : item;
    }
}

static void read_resize_to(struct document_reader *reader, struct infomask_model_spec *spec)
{
    const struct json *node = document_member(reader, "resize_to"), *first = json_first(node);
    int64_t size[2] = {0, 0};
    bool fine;

    if (node == NULL)
        return;
    if (json_kind(node) == JSON_ARRAY)
        fine = json_count(node) == 2 && json_integer(first, &size[0]) && json_integer(json_next(first), &size[1]);
    else
        fine = json_integer(node, &size[0]) && json_integer(node, &size[1]);
    if (!fine || size[0] < 1 || size[1] < 1 || size[0] > 4096 || size[1] > 4096) {
        document_fails(reader, "resize_to", "must be a side or [width, height], integers from 1 to 4096");
        return;
    }
    spec->resize_width = (int)size[0];
    spec->resize_height = (int)size[1];
}

static void read_input(struct document_reader *reader, struct infomask_model_spec *spec, const char *name,
                       model_warn *warn, void *context)
{
    struct document_reader input = document_object(reader, "input", "input.");
    static const char *const filters[] = {"bicubic", "bilinear", "nearest", "lanczos"};
    int color = (int)spec->color, fit = (int)spec->fit, layout = 0, resize = 0;

    document_integer(&input, "width", 1, 4096, &spec->width);
    document_integer(&input, "height", 1, 4096, &spec->height);
    document_choice(&input, "color", "RGB|BGR|GRAY", &color);
    document_choice(&input, "fit", "crop|squash", &fit);
    document_choice(&input, "layout", "NCHW|NHWC", &layout);
    document_choice(&input, "resize", "bicubic|bilinear|nearest|lanczos", &resize);
    document_number(&input, "crop", 0.01, 1, &spec->crop);
    read_channels(&input, "mean", -1e6, spec->mean);
    read_channels(&input, "std", 1e-6, spec->std);
    read_resize_to(&input, spec);
    document_warn_of_unknown(&input, "|width|height|color|fit|layout|resize|crop|mean|std|resize_to|", name, warn,
                             context);
    spec->color = (enum infomask_color)color;
    spec->fit = (enum infomask_fit)fit;
    spec->nhwc = layout == 1;
    spec->resize = filters[resize];
    reader->status = input.status;
}

static void read_meaning(struct document_reader *reader, struct infomask_model_spec *spec)
{
    int objective = 0, kind = 0, head = INFOMASK_HEAD_AUTO - 1;
    double dropout = 0;

    document_choice(reader, "objective", "softmax|pc-softmax", &objective);
    document_choice(reader, "output_kind", "logits|probabilities", &kind);
    document_choice(reader, "head", "softmax|probabilities|sigmoid", &head);
    document_string(reader, "output", &spec->output);
    document_number(reader, "dropout", 0, 0.99, &dropout);
    document_number(reader, "label_smoothing", 0, 0.99, &spec->label_smoothing);
    document_number(reader, "temperature", 1e-3, 1e3, &spec->temperature);
    spec->pc_softmax = objective == 1;
    spec->probabilities = kind == 1;
    spec->dropout = (float)dropout;
    spec->head = (enum infomask_output_kind)(head + 1);
}

/* head.npy, where there is one: embeddings of the classes, which make an encoder a classifier. */
static void read_embeddings(struct document_reader *reader, struct model_folder *folder)
{
    struct infomask_model_spec *spec = &folder->spec;
    struct npy npy = {0};
    bool is = has_file(folder->path, "head.npy");

    document_number(reader, "head_scale", -INFINITY, INFINITY, &spec->embedding_scale);
    if (reader->status != INFOMASK_OK)
        return;
    if (json_get(reader->object, "head_scale") != NULL && !(spec->embedding_scale > 0))
        document_fails(reader, "head_scale", "must be more than 0, not %g", spec->embedding_scale);
    else if (is && json_get(reader->object, "head_scale") == NULL)
        document_fails(reader, "head_scale",
                       "is missing: what the cosines with head.npy are multiplied by (CLIP: 100)");
    else if (!is && json_get(reader->object, "head_scale") != NULL)
        document_fails(reader, "head_scale", "is for the classes of a head.npy, and there is none in the folder");
    if (reader->status != INFOMASK_OK || !is)
        return;
    folder->head_path = file_join(folder->path, "head.npy");
    reader->status = folder->head_path != NULL
                         ? npy_read(folder->head_path, file_read_regular, MOST_EMBEDDINGS, &npy, reader->err)
                         : error_set(reader->err, INFOMASK_MEMORY, "out of memory");
    if (reader->status == INFOMASK_OK && npy.rank != 2)
        reader->status = error_set(reader->err, INFOMASK_BAD_DATA, "must have two dimensions, [classes][numbers of an "
                                                                   "embedding], not %d", npy.rank);
    if (reader->status == INFOMASK_BAD_DATA && reader->err != NULL)
        reader->err->status = reader->status = INFOMASK_BAD_MODEL;
    if (reader->status != INFOMASK_OK) {
        error_prefix(reader->err, "head.npy");
        npy_fini(&npy);
        return;
    }
    folder->embeddings = npy.data; /* taken over */
    spec->embeddings = npy.data;
    spec->embedding_rows = npy.dims[0];
    spec->embedding_size = npy.dims[1];
}

static void read_threshold(struct document_reader *mask, struct infomask_model_spec *spec)
{
    const char *text = NULL;

    document_string(mask, "threshold", &text);
    if (text != NULL && !param_threshold(text, &spec->mask_threshold, &spec->mask_threshold_value))
        document_fails(mask, "threshold", "must be auto, otsu, window, max:V, share:V, nats:V or bits:V, not \"%.40s\"",
                     text);
}

static void read_mask(struct document_reader *reader, struct infomask_model_spec *spec, const char *name,
                      model_warn *warn, void *context)
{
    static const enum infomask_fill fills[] = {INFOMASK_MATCH, INFOMASK_INPAINT, INFOMASK_DIFFUSE, INFOMASK_BLUR,
                                               INFOMASK_MEAN};
    struct document_reader mask = document_object(reader, "mask", "mask.");
    int fill = -1;

    read_threshold(&mask, spec);
    if (json_string(document_member(&mask, "resolution")) != NULL &&
        strcmp(json_string(document_member(&mask, "resolution")), "native") == 0)
        spec->mask_resolution = -1;
    else
        document_integer(&mask, "resolution", 32, 16384, &spec->mask_resolution);
    document_number(&mask, "min_evidence", 0, 1000, &spec->mask_min_evidence);
    document_integer(&mask, "window", 1, 1000, &spec->mask_window);
    document_number(&mask, "scale", 1, 8, &spec->mask_scale);
    document_choice(&mask, "fill", "match|inpaint|diffuse|blur|mean", &fill);
    if (fill >= 0)
        spec->fill = fills[fill];
    document_warn_of_unknown(&mask, "|threshold|resolution|scale|min_evidence|window|fill|", name, warn, context);
    reader->status = mask.status;
}

/* What `auto` asks of a precision: the best class of f32 where that is no matter of rounding, and log p near f32's. */
#define AUTO_AGREEMENT 0.99
#define AUTO_ERROR 0.1 /* nats */

/* What the folder records of a precision: its share of photos with the best class of f32, of those (if it was recorded)
 * whose two best classes are 0.1 nats apart, the error of log p, and its file if it has one. */
struct precision_record {
    double agreement, error;
    const char *file;
};

static struct precision_record read_precision(struct document_reader *precisions, const char *name, const char *prefix)
{
    struct document_reader object = document_object(precisions, name, prefix);
    struct precision_record record = {0};
    double clear;

    document_number(&object, "agreement", 0, 1, &record.agreement);
    if (json_number(document_member(&object, "clear_agreement"), &clear))
        document_number(&object, "clear_agreement", 0, 1, &record.agreement);
    document_number(&object, "log_probability_error", 0, 1e3, &record.error);
    document_string(&object, "file", &record.file);
    precisions->status = object.status;
    return record;
}

static bool auto_takes(const struct precision_record *record)
{
    return record->agreement >= AUTO_AGREEMENT && record->error <= AUTO_ERROR;
}

static enum infomask_precision choose_precision(const char *isa, const struct precision_record *bf16,
                                                const struct precision_record *int8)
{
    if (int8->file != NULL && auto_takes(int8) &&
        infomask_precision_check(INFOMASK_INT8, isa, NULL) == INFOMASK_OK)
        return INFOMASK_INT8;
    if (auto_takes(bf16) && infomask_precision_check(INFOMASK_BF16, isa, NULL) == INFOMASK_OK)
        return INFOMASK_BF16;
    return INFOMASK_F32;
}

/* The network's file, and that of its quantised weights if the precision asks for them. */
static void read_network(struct document_reader *reader, struct model_folder *folder, enum infomask_precision precision,
                         const char *isa)
{
    struct document_reader precisions = document_object(reader, "precisions", "precisions.");
    struct precision_record bf16 = read_precision(&precisions, "bf16", "precisions.bf16.");
    struct precision_record int8 = read_precision(&precisions, "int8", "precisions.int8.");
    const char *file = "model.onnx";

    reader->status = precisions.status;
    document_string(reader, "file", &file);
    if (precision == INFOMASK_AUTO)
        precision = choose_precision(isa, &bf16, &int8);
    folder->spec.precision = precision;
    if (precision == INFOMASK_INT8) {
        if (int8.file == NULL)
            document_fails(reader, "precisions.int8.file", "is missing: this model has no int8 version");
        folder->int8_path = document_own_file(reader, folder->path, "precisions.int8.file", int8.file);
        folder->spec.int8_path = folder->int8_path;
    }
    folder->network_path = document_own_file(reader, folder->path, "file", file);
    folder->spec.path = folder->network_path;
}

static enum infomask_status read_document(struct model_folder *folder, enum infomask_precision precision,
                                          const char *isa, model_warn *warn, void *context, struct infomask_error *err)
{
    struct document_reader reader = {folder->document, "", err, INFOMASK_OK};

    if (json_kind(folder->document) != JSON_OBJECT)
        return error_set(err, INFOMASK_BAD_MODEL, "model.json: must be an object");
    folder->version = "1";
    document_string(&reader, "name", &folder->name);
    check_model_name(&reader, folder->name);
    document_string(&reader, "version", &folder->version);
    read_network(&reader, folder, precision, isa);
    read_labels(&reader, folder);
    read_groups(&reader, folder);
    read_input(&reader, &folder->spec, folder->name, warn, context);
    read_meaning(&reader, &folder->spec);
    read_embeddings(&reader, folder);
    read_training_prior(&reader, folder);
    read_mask(&reader, &folder->spec, folder->name, warn, context);
    document_warn_of_unknown(
        &reader,
        "|name|version|file|labels|input|prior|objective|dropout|licence|source|logit_prior|"
        "label_smoothing|temperature|calibration|output|output_kind|head|head_scale|added|"
        "mask|precisions|quantize|training|",
        folder->name, warn, context);
    return reader.status;
}

static enum infomask_status parse_document(struct model_folder *folder, struct infomask_error *err)
{
    char *path = file_join(folder->path, "model.json"), *text = NULL;
    enum infomask_status status;
    size_t size = 0;

    if (path == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = file_read_regular(path, MOST_JSON, &text, &size, err);
    if (status == INFOMASK_OK)
        status = json_parse(text, size, NULL, &folder->document, err);
    if (status == INFOMASK_BAD_DATA)
        status = err != NULL ? (err->status = INFOMASK_BAD_MODEL) : INFOMASK_BAD_MODEL;
    if (status != INFOMASK_OK)
        error_prefix(err, "model.json");
    free(text);
    free(path);
    return status;
}

enum infomask_status model_folder_read(const char *path, enum infomask_precision precision, const char *isa,
                                       model_warn *warn, void *context, struct model_folder *folder,
                                       struct infomask_error *err)
{
    enum infomask_status status;

    *folder = (struct model_folder){.path = strdup(path), .spec = infomask_default_spec()};
    if (folder->path == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = parse_document(folder, err);
    if (status == INFOMASK_OK)
        status = read_document(folder, precision, isa, warn, context, err);
    if (status == INFOMASK_OK)
        folder->stamp = model_folder_stamp(folder);
    else
        model_folder_fini(folder);
    return status;
}

void model_folder_fini(struct model_folder *folder)
{
    json_free(folder->document);
    labels_fini(&folder->labels);
    class_groups_fini(&folder->groups);
    free(folder->path);
    free(folder->network_path);
    free(folder->labels_path);
    free(folder->groups_path);
    free(folder->int8_path);
    free(folder->head_path);
    free(folder->embeddings);
    free(folder->prior);
    free(folder->logit_prior);
    *folder = (struct model_folder){0};
}

struct model_stamp model_folder_stamp(const struct model_folder *folder)
{
    char *document = file_join(folder->path, "model.json"), *check = file_join(folder->path, "check.json");
    const char *files[MODEL_FOLDER_FILES] = {document, folder->network_path, folder->labels_path, folder->int8_path,
                                             folder->groups_path, folder->head_path, check};
    struct model_stamp stamp = {0};
    struct stat at;

    for (int i = 0; i < MODEL_FOLDER_FILES; i++)
        if (files[i] != NULL && stat(files[i], &at) == 0) {
            stamp.size[i] = (int64_t)at.st_size;
            stamp.seconds[i] = (int64_t)at.st_mtim.tv_sec;
            stamp.nanoseconds[i] = (int64_t)at.st_mtim.tv_nsec;
            stamp.inode[i] = (uint64_t)at.st_ino;
        }
    free(document);
    free(check);
    return stamp;
}
