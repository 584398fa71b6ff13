#include "app/model/folder_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/npy.h"
#include "app/settings/params.h"

#define MOST_JSON (1 << 20)
#define MOST_TEXT (64 << 20)
#define MOST_EMBEDDINGS ((size_t)1 << 30)

/* ---- Typed reading, with sentences that name the key ------------------------------------------------------------- */

/* One object of model.json. */
struct reader {
    const struct json *object; /* NULL: not there, every key is absent */
    const char *prefix;        /* "", "input.", ... */
    struct infomask_error *err;
    enum infomask_status status; /* the first failure; then nothing more is read */
};

__attribute__((format(printf, 3, 4)))
static void reader_fails(struct reader *reader, const char *key, const char *format, ...)
{
    char what[160];
    va_list args;

    if (reader->status != INFOMASK_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    reader->status = error_set(reader->err, INFOMASK_BAD_MODEL, "model.json: \"%s%s\" %s", reader->prefix, key, what);
}

/* The member, or NULL where it is absent or something failed before. */
static const struct json *member(const struct reader *reader, const char *key)
{
    return reader->status == INFOMASK_OK ? json_get(reader->object, key) : NULL;
}

static void must_be(struct reader *reader, const char *key, const char *what, const struct json *node)
{
    reader_fails(reader, key, "must be %s, not %s", what, json_kind_name(json_kind(node)));
}

/* Absent keys leave *value as it was. */
static void read_string(struct reader *reader, const char *key, const char **value)
{
    const struct json *node = member(reader, key);
    if (node == NULL)
        return;
    if (json_string(node) == NULL || json_string(node)[0] == '\0')
        must_be(reader, key, "a string of at least one character", node);
    else
        *value = json_string(node);
}

static void read_number(struct reader *reader, const char *key, double low, double high, double *value)
{
    const struct json *node = member(reader, key);
    double number;

    if (node == NULL)
        return;
    if (!json_number(node, &number))
        must_be(reader, key, "a number", node);
    else if (!(number >= low && number <= high))
        reader_fails(reader, key, "must be %g to %g, not %g", low, high, number);
    else
        *value = number;
}

static void read_integer(struct reader *reader, const char *key, int low, int high, int *value)
{
    const struct json *node = member(reader, key);
    int64_t number;

    if (node == NULL)
        return;
    if (!json_integer(node, &number) || number < low || number > high)
        reader_fails(reader, key, "must be an integer from %d to %d", low, high);
    else
        *value = (int)number;
}

/* words: "RGB|BGR|GRAY"; *value: the index of the one that it is. */
static void read_choice(struct reader *reader, const char *key, const char *words, int *value)
{
    const struct json *node = member(reader, key);
    const char *text = json_string(node), *at = words;

    if (node == NULL)
        return;
    for (int i = 0; text != NULL; i++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *value = i;
            return;
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    reader_fails(reader, key, "must be one of %s", words);
}

static struct reader read_object(const struct reader *outer, const char *key, const char *prefix)
{
    struct reader inner = {member(outer, key), prefix, outer->err, outer->status};
    if (inner.object != NULL && json_kind(inner.object) != JSON_OBJECT) {
        struct reader copy = *outer;
        must_be(&copy, key, "an object", inner.object);
        inner.status = copy.status;
    }
    return inner;
}

/* keys: "|name|version|" */
static void warn_of_unknown(const struct reader *reader, const char *keys, const char *name, model_warn *warn,
                            void *context)
{
    if (warn == NULL || reader->status != INFOMASK_OK)
        return;
    for (const struct json *node = json_first(reader->object); node != NULL; node = json_next(node)) {
        char key[64], sentence[200];
        int length = snprintf(key, sizeof key, "|%.60s|", json_key(node));
        if (length < (int)sizeof key && strchr(json_key(node), '|') == NULL && strstr(keys, key) != NULL)
            continue;
        (void)snprintf(sentence, sizeof sentence,
                       "model %.63s: model.json: unknown key \"%s%.60s\" is kept and not used", name, reader->prefix,
                       json_key(node));
        warn(context, sentence);
    }
}

/* ---- Names and files --------------------------------------------------------------------------------------------- */

static void check_model_name(struct reader *reader, const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = name != NULL ? strlen(name) : 0;

    if (name == NULL)
        reader_fails(reader, "name", "is missing");
    else if (length > 63 || name[strspn(name, allowed)] != '\0' || name[0] == '.')
        reader_fails(reader, "name", "must be 1 to 63 of A-Za-z0-9._- and not begin with a dot");
}

/* A folder says which of its own files to read, and none outside it. */
static char *own_file(struct reader *reader, const char *folder, const char *key, const char *name)
{
    char *path;

    if (reader->status != INFOMASK_OK || name == NULL)
        return NULL;
    if (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 || strstr(name, "/..") != NULL) {
        reader_fails(reader, key, "must be a file of the model's own folder, not \"%.80s\"", name);
        return NULL;
    }
    path = file_join(folder, name);
    if (path == NULL)
        reader->status = error_set(reader->err, INFOMASK_MEMORY, "out of memory");
    return path;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool is = path != NULL && access(path, F_OK) == 0; /* what may not be read is told of when it is */

    free(path);
    return is;
}

/* Those that model.json names, else labels.txt if it is there. */
static void read_labels(struct reader *reader, struct model_folder *folder)
{
    const char *name = NULL;
    char *text = NULL;
    size_t size = 0;

    read_string(reader, "labels", &name);
    if (name == NULL && has_file(folder->path, "labels.txt"))
        name = "labels.txt";
    folder->labels_path = own_file(reader, folder->path, "labels", name);
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
static void read_groups(struct reader *reader, struct model_folder *folder)
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

/* ---- Priors ------------------------------------------------------------------------------------------------------ */

/* K positive numbers with spaces or commas between them. */
static size_t parse_numbers(const char *text, double *numbers, size_t room)
{
    size_t count = 0;

    for (;;) {
        char *end;
        double value;
        text += strspn(text, " \t\r\n,");
        if (*text == '\0')
            return count;
        value = strtod(text, &end);
        if (end == text || count == room)
            return room + 1;
        numbers[count++] = value;
        text = end;
    }
}

static size_t prior_of_file(struct reader *reader, const char *folder, const char *key, const char *name, double *p,
                            size_t room)
{
    char *path = own_file(reader, folder, key, name), *text = NULL;
    size_t size = 0, count = 0;

    if (path == NULL)
        return 0;
    reader->status = file_read_regular(path, MOST_TEXT, &text, &size, reader->err);
    if (reader->status == INFOMASK_OK)
        count = parse_numbers(text, p, room);
    else
        error_prefix(reader->err, "%.80s", name);
    free(text);
    free(path);
    return count;
}

static size_t prior_of_array(const struct json *node, double *p, size_t room)
{
    size_t count = 0;
    for (const struct json *item = json_first(node); item != NULL; item = json_next(item))
        if (count == room || !json_number(item, &p[count++]))
            return room + 1;
    return count;
}

static void normalise(struct reader *reader, const char *key, double *p, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (!(p[i] > 0) || !isfinite(p[i])) {
            reader_fails(reader, key, "must be positive for every class; class %zu has %g", i, p[i]);
            return;
        }
        sum += p[i];
    }
    if (!isfinite(sum))
        reader_fails(reader, key, "is too large to be normalised");
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

/* "uniform" (all equal), a file of K numbers, or K numbers; NULL where the key is absent. */
static double *read_prior(struct reader *reader, const struct model_folder *folder, const char *key)
{
    const struct json *node = member(reader, key);
    size_t classes = folder->labels.count, count = 0;
    const char *name = json_string(node);
    double *p;

    if (node == NULL)
        return NULL;
    if (name == NULL && json_kind(node) != JSON_ARRAY)
        must_be(reader, key, "\"uniform\", a file's name or an array of numbers", node);
    else if (classes == 0)
        reader_fails(reader, key, "needs \"labels\", which say how many classes there are");
    p = reader->status == INFOMASK_OK ? malloc(classes * sizeof *p) : NULL;
    if (p == NULL) {
        if (reader->status == INFOMASK_OK)
            reader->status = error_set(reader->err, INFOMASK_MEMORY, "out of memory");
        return NULL;
    }
    if (name != NULL && strcmp(name, "uniform") == 0)
        for (; count < classes; count++)
            p[count] = 1;
    else if (name != NULL)
        count = prior_of_file(reader, folder->path, key, name, p, classes);
    else
        count = prior_of_array(node, p, classes);
    if (count != classes)
        reader_fails(reader, key, "must hold %zu numbers, one for each class", classes);
    if (reader->status == INFOMASK_OK && folder->spec.head != INFOMASK_HEAD_SIGMOID) /* there each is its own */
        normalise(reader, key, p, classes);
    if (reader->status != INFOMASK_OK) {
        free(p);
        return NULL;
    }
    return p;
}

static void read_training_prior(struct reader *reader, struct model_folder *folder)
{
    const char *word = json_string(member(reader, "prior"));

    if (word == NULL || strcmp(word, "uniform") != 0) /* uniform is core's NULL and needs no labels */
        folder->prior = read_prior(reader, folder, "prior");
    folder->logit_prior = read_prior(reader, folder, "logit_prior");
    folder->spec.prior = folder->prior;
    folder->spec.logit_prior = folder->logit_prior;
}

/* ---- The parts of model.json ------------------------------------------------------------------------------------- */

/* three numbers, or one for all channels */
static void read_channels(struct reader *reader, const char *key, double low, float value[3])
{
    const struct json *node = member(reader, key), *item = json_first(node);
    size_t count = json_count(node);
    double number = 0;

    if (node == NULL)
        return;
    if (json_kind(node) != JSON_ARRAY || (count != 1 && count != 3)) {
        reader_fails(reader, key, "must be an array of 3 numbers (or of 1, for all channels)");
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (!json_number(item, &number) || number < low || number > 1e6) {
            reader_fails(reader, key, "must hold numbers from %g to 1e+06", low);
            return;
        }
        value[i] = (float)number;
        item = count == 3 ? json_next(item) : item;
    }
}

static void read_resize_to(struct reader *reader, struct infomask_model_spec *spec)
{
    const struct json *node = member(reader, "resize_to"), *first = json_first(node);
    int64_t size[2] = {0, 0};
    bool fine;

    if (node == NULL)
        return;
    if (json_kind(node) == JSON_ARRAY)
        fine = json_count(node) == 2 && json_integer(first, &size[0]) && json_integer(json_next(first), &size[1]);
    else
        fine = json_integer(node, &size[0]) && json_integer(node, &size[1]);
    if (!fine || size[0] < 1 || size[1] < 1 || size[0] > 4096 || size[1] > 4096) {
        reader_fails(reader, "resize_to", "must be a side or [width, height], integers from 1 to 4096");
        return;
    }
    spec->resize_width = (int)size[0];
    spec->resize_height = (int)size[1];
}

static void read_input(struct reader *reader, struct infomask_model_spec *spec, const char *name, model_warn *warn,
                       void *context)
{
    struct reader input = read_object(reader, "input", "input.");
    static const char *const filters[] = {"bicubic", "bilinear", "nearest", "lanczos"};
    int color = (int)spec->color, fit = (int)spec->fit, layout = 0, resize = 0;

    read_integer(&input, "width", 1, 4096, &spec->width);
    read_integer(&input, "height", 1, 4096, &spec->height);
    read_choice(&input, "color", "RGB|BGR|GRAY", &color);
    read_choice(&input, "fit", "crop|squash", &fit);
    read_choice(&input, "layout", "NCHW|NHWC", &layout);
    read_choice(&input, "resize", "bicubic|bilinear|nearest|lanczos", &resize);
    read_number(&input, "crop", 0.01, 1, &spec->crop);
    read_channels(&input, "mean", -1e6, spec->mean);
    read_channels(&input, "std", 1e-6, spec->std);
    read_resize_to(&input, spec);
    warn_of_unknown(&input, "|width|height|color|fit|layout|resize|crop|mean|std|resize_to|", name, warn, context);
    spec->color = (enum infomask_color)color;
    spec->fit = (enum infomask_fit)fit;
    spec->nhwc = layout == 1;
    spec->resize = filters[resize];
    reader->status = input.status;
}

static void read_meaning(struct reader *reader, struct infomask_model_spec *spec)
{
    int objective = 0, kind = 0, head = INFOMASK_HEAD_AUTO - 1;
    double dropout = 0;

    read_choice(reader, "objective", "softmax|pc-softmax", &objective);
    read_choice(reader, "output_kind", "logits|probabilities", &kind);
    read_choice(reader, "head", "softmax|probabilities|sigmoid", &head);
    read_string(reader, "output", &spec->output);
    read_number(reader, "dropout", 0, 0.99, &dropout);
    read_number(reader, "label_smoothing", 0, 0.99, &spec->label_smoothing);
    read_number(reader, "temperature", 1e-3, 1e3, &spec->temperature);
    spec->pc_softmax = objective == 1;
    spec->probabilities = kind == 1;
    spec->dropout = (float)dropout;
    spec->head = (enum infomask_output_kind)(head + 1);
}

/* head.npy, where there is one: embeddings of the classes, which make an encoder a classifier. */
static void read_embeddings(struct reader *reader, struct model_folder *folder)
{
    struct infomask_model_spec *spec = &folder->spec;
    struct npy npy = {0};
    bool is = has_file(folder->path, "head.npy");

    read_number(reader, "head_scale", -INFINITY, INFINITY, &spec->embedding_scale);
    if (reader->status != INFOMASK_OK)
        return;
    if (json_get(reader->object, "head_scale") != NULL && !(spec->embedding_scale > 0))
        reader_fails(reader, "head_scale", "must be more than 0, not %g", spec->embedding_scale);
    else if (is && json_get(reader->object, "head_scale") == NULL)
        reader_fails(reader, "head_scale", "is missing: what the cosines with head.npy are multiplied by (CLIP: 100)");
    else if (!is && json_get(reader->object, "head_scale") != NULL)
        reader_fails(reader, "head_scale", "is for the classes of a head.npy, and there is none in the folder");
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

static void read_threshold(struct reader *mask, struct infomask_model_spec *spec)
{
    const char *text = NULL;

    read_string(mask, "threshold", &text);
    if (text != NULL && !param_threshold(text, &spec->mask_threshold, &spec->mask_threshold_value))
        reader_fails(mask, "threshold", "must be auto, otsu, window, max:V, share:V, nats:V or bits:V, not \"%.40s\"",
                     text);
}

static void read_mask(struct reader *reader, struct infomask_model_spec *spec, const char *name, model_warn *warn,
                      void *context)
{
    static const enum infomask_fill fills[] = {INFOMASK_MATCH, INFOMASK_INPAINT, INFOMASK_DIFFUSE, INFOMASK_BLUR,
                                               INFOMASK_MEAN};
    struct reader mask = read_object(reader, "mask", "mask.");
    int fill = -1;

    read_threshold(&mask, spec);
    if (json_string(member(&mask, "resolution")) != NULL &&
        strcmp(json_string(member(&mask, "resolution")), "native") == 0)
        spec->mask_resolution = -1;
    else
        read_integer(&mask, "resolution", 32, 16384, &spec->mask_resolution);
    read_number(&mask, "min_evidence", 0, 1000, &spec->mask_min_evidence);
    read_integer(&mask, "window", 1, 1000, &spec->mask_window);
    read_number(&mask, "scale", 1, 8, &spec->mask_scale);
    read_choice(&mask, "fill", "match|inpaint|diffuse|blur|mean", &fill);
    if (fill >= 0)
        spec->fill = fills[fill];
    warn_of_unknown(&mask, "|threshold|resolution|scale|min_evidence|window|fill|", name, warn, context);
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

static struct precision_record read_precision(struct reader *precisions, const char *name, const char *prefix)
{
    struct reader object = read_object(precisions, name, prefix);
    struct precision_record record = {0};
    double clear;

    read_number(&object, "agreement", 0, 1, &record.agreement);
    if (json_number(member(&object, "clear_agreement"), &clear))
        read_number(&object, "clear_agreement", 0, 1, &record.agreement);
    read_number(&object, "log_probability_error", 0, 1e3, &record.error);
    read_string(&object, "file", &record.file);
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
static void read_network(struct reader *reader, struct model_folder *folder, enum infomask_precision precision,
                         const char *isa)
{
    struct reader precisions = read_object(reader, "precisions", "precisions.");
    struct precision_record bf16 = read_precision(&precisions, "bf16", "precisions.bf16.");
    struct precision_record int8 = read_precision(&precisions, "int8", "precisions.int8.");
    const char *file = "model.onnx";

    reader->status = precisions.status;
    read_string(reader, "file", &file);
    if (precision == INFOMASK_AUTO)
        precision = choose_precision(isa, &bf16, &int8);
    folder->spec.precision = precision;
    if (precision == INFOMASK_INT8) {
        if (int8.file == NULL)
            reader_fails(reader, "precisions.int8.file", "is missing: this model has no int8 version");
        folder->int8_path = own_file(reader, folder->path, "precisions.int8.file", int8.file);
        folder->spec.int8_path = folder->int8_path;
    }
    folder->network_path = own_file(reader, folder->path, "file", file);
    folder->spec.path = folder->network_path;
}

static enum infomask_status read_document(struct model_folder *folder, enum infomask_precision precision,
                                          const char *isa, model_warn *warn, void *context, struct infomask_error *err)
{
    struct reader reader = {folder->document, "", err, INFOMASK_OK};

    if (json_kind(folder->document) != JSON_OBJECT)
        return error_set(err, INFOMASK_BAD_MODEL, "model.json: must be an object");
    folder->version = "1";
    read_string(&reader, "name", &folder->name);
    check_model_name(&reader, folder->name);
    read_string(&reader, "version", &folder->version);
    read_network(&reader, folder, precision, isa);
    read_labels(&reader, folder);
    read_groups(&reader, folder);
    read_input(&reader, &folder->spec, folder->name, warn, context);
    read_meaning(&reader, &folder->spec);
    read_embeddings(&reader, folder);
    read_training_prior(&reader, folder);
    read_mask(&reader, &folder->spec, folder->name, warn, context);
    warn_of_unknown(
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
