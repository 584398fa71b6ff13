/* infomask models add: a model folder for somebody's ONNX file, and what was assumed in making it. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/model/folders.h"
#include "app/model/labels.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "cli/models/add.h"
#include "cli/models/check.h"
#include "cli/models/models.h"
#include "cli/models/preset.h"
#include "cli/work.h"

#define NETWORK "model.onnx"
#define MOST_TEXT ((size_t)64 << 20)
#define SMALL_FILE (64 << 20)

enum { FLAG_NAME = 300, FLAG_LABELS, FLAG_PRESET, FLAG_MEAN, FLAG_STD, FLAG_COLOR, FLAG_SIZE, FLAG_HEAD, FLAG_OUTPUT,
       FLAG_REPLACE, FLAG_NO_CHECK, FLAG_JSON };

static const struct cli_flag flags[] = {
    {FLAG_NAME, "name", "NAME", "what the model is called: a folder of that name is made below the models"},
    {FLAG_LABELS, "labels", "FILE", "its classes, one a line: label, then aliases with tabs between them"},
    {FLAG_PRESET, "preset", "PRESET",
     "how its photos are prepared: imagenet, inception, tf, keras, caffe, clip, unit, bytes; "
     "without it what the file tells, else the most common one, and a word that it is assumed"},
    {FLAG_MEAN, "mean", "M[,M,M]", "what is subtracted, of values from 0 to 255"},
    {FLAG_STD, "std", "S[,S,S]", "what it is divided by then"},
    {FLAG_COLOR, "color", "ORDER", "RGB, BGR or GRAY"},
    {FLAG_SIZE, "size", "N|WxH", "size of a photo, where the file leaves it open; default 224"},
    {FLAG_HEAD, "head", "KIND",
     "what its output is: softmax (logits), probabilities, or sigmoid (several labels a photo); "
     "by default what the file ends in"},
    {FLAG_OUTPUT, "output", "TENSOR", "the output to take; default the file's first"},
    {FLAG_REPLACE, "replace", NULL, "make an existing model of that name anew"},
    {FLAG_NO_CHECK, "no-check", NULL, "do not compare it with the reference kernels"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
};

struct adding {
    struct models_add_request request;
    bool json;
};

static bool fails(const char *flag, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fails(const char *flag, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "infomask models add: --%s ", flag);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return false;
}

/* one number for all channels, or three */
static bool take_numbers(const char *flag, const char *text, double values[3], int *count)
{
    char *end = NULL;

    for (*count = 0; *count < 3; text = end + 1) {
        values[(*count)++] = strtod(text, &end);
        if (end == text || !isfinite(values[*count - 1]) || (*end != ',' && *end != '\0'))
            break;
        if (*end == '\0')
            return *count != 2 ? true : fails(flag, "takes one number, or three with commas between them");
    }
    return fails(flag, "takes one number, or three with commas between them");
}

static bool take_size(const char *text, int *width, int *height)
{
    char *end;
    long w = strtol(text, &end, 10), h = w;

    if (end != text && *end == 'x')
        h = strtol(end + 1, &end, 10);
    if (end == text || *end != '\0' || w < 8 || h < 8 || w > 4096 || h > 4096)
        return fails("size", "takes a side or WIDTHxHEIGHT, from 8 to 4096, not \"%.40s\"", text);
    *width = (int)w;
    *height = (int)h;
    return true;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static bool take(void *context, int letter, const char *value)
{
    struct adding *adding = context;
    struct models_add_request *request = &adding->request;

    switch (letter) {
    case FLAG_NAME:
        request->name = value;
        return true;
    case FLAG_LABELS:
        request->labels = value;
        return true;
    case FLAG_PRESET:
        request->preset = preset_named(value);
        return request->preset != NULL || fails("preset", "is one of %s, not \"%.40s\"", preset_names(), value);
    case FLAG_MEAN:
        return take_numbers("mean", value, request->mean, &request->mean_count);
    case FLAG_STD:
        if (!take_numbers("std", value, request->std, &request->std_count))
            return false;
        for (int i = 0; i < request->std_count; i++)
            if (!(request->std[i] > 0))
                return fails("std", "takes positive numbers, not %g", request->std[i]);
        return true;
    case FLAG_COLOR:
        request->color = value;
        return is_one_of(value, "RGB", "BGR", "GRAY") || fails("color", "is RGB, BGR or GRAY, not \"%.40s\"", value);
    case FLAG_SIZE:
        return take_size(value, &request->width, &request->height);
    case FLAG_HEAD:
        request->head = value;
        return is_one_of(value, "softmax", "sigmoid", "probabilities") ||
               fails("head", "is softmax, sigmoid or probabilities, not \"%.40s\"", value);
    case FLAG_OUTPUT:
        request->output = value;
        return true;
    case FLAG_REPLACE:
        request->replace = true;
        return true;
    case FLAG_NO_CHECK:
        request->no_check = true;
        return true;
    default:
        adding->json = true;
        return true;
    }
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static enum infomask_status copy_file(const char *from, const char *to, struct infomask_error *err)
{
    char buffer[1 << 16];
    FILE *in = fopen(from, "rb"), *out = in != NULL ? fopen(to, "wb") : NULL;
    bool fine = in != NULL && out != NULL;
    int reason = errno;
    size_t got;

    while (fine && (got = fread(buffer, 1, sizeof buffer, in)) > 0)
        fine = fwrite(buffer, 1, got, out) == got;
    fine = fine && ferror(in) == 0;
    if (in != NULL)
        (void)fclose(in);
    if (out != NULL && fclose(out) != 0)
        fine = false;
    if (fine)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_IO, "%.120s cannot be copied: %s", file_name(from),
                     strerror(in == NULL ? reason : errno));
}

/* A file whose weights lie beside it names them: every file of its folder whose name is in its bytes comes along. */
static enum infomask_status copy_beside(const struct folder_write *folder, const char *file, const char *bytes,
                                        size_t size, struct infomask_error *err)
{
    char *parent = strndup(file, (size_t)(file_name(file) - file));
    DIR *entries = parent != NULL ? opendir(parent[0] != '\0' ? parent : ".") : NULL;
    enum infomask_status status = parent != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    struct stat of;

    for (struct dirent *entry; status == INFOMASK_OK && entries != NULL && (entry = readdir(entries)) != NULL;) {
        char *from, *to;
        if (strlen(entry->d_name) < 4 || strcmp(entry->d_name, file_name(file)) == 0 ||
            memmem(bytes, size, entry->d_name, strlen(entry->d_name)) == NULL)
            continue;
        from = file_join(parent[0] != '\0' ? parent : ".", entry->d_name);
        to = folder_write_file(folder, entry->d_name);
        if (from == NULL || to == NULL)
            status = error_set(err, INFOMASK_MEMORY, "out of memory");
        else if (stat(from, &of) == 0 && S_ISREG(of.st_mode))
            status = copy_file(from, to, err);
        free(from);
        free(to);
    }
    if (entries != NULL)
        (void)closedir(entries);
    free(parent);
    return status;
}

/* The weights of a large file are in it; one of a few megabytes may have them beside it. */
static enum infomask_status copy_small(const struct folder_write *folder, const char *file, const char *to,
                                       struct infomask_error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = file_read_regular(file, SMALL_FILE, &bytes, &size, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.80s", file_name(file));
    if (status == INFOMASK_OK)
        status = file_write(to, bytes, size, err);
    if (status == INFOMASK_OK)
        status = copy_beside(folder, file, bytes, size, err);
    free(bytes);
    return status;
}

/* The only time that the file is read: whatever is found out afterwards is found out of the copy, *to (malloc'ed). */
static enum infomask_status copy_network(const struct folder_write *folder, const char *file, char **to,
                                         struct infomask_error *err)
{
    struct stat of;

    *to = folder_write_file(folder, NETWORK);
    if (*to == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    return stat(file, &of) == 0 && S_ISREG(of.st_mode) && of.st_size > SMALL_FILE
               ? copy_file(file, *to, err)
               : copy_small(folder, file, *to, err);
}

/* ---- What is made of the file ------------------------------------------------------------------------------------ */

static enum infomask_status read_labels(struct models_added *added, const struct models_add_request *request,
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

static void choose_size(struct models_added *added, const struct models_add_request *request)
{
    added->width = added->file.width > 0 ? added->file.width : request->width > 0 ? request->width : 224;
    added->height = added->file.height > 0 ? added->file.height : request->height > 0 ? request->height : 224;
    added->assumed_size = (added->file.width == 0 || added->file.height == 0) && request->width == 0;
}

static bool changes(const double *values, int count, double nothing)
{
    for (int i = 0; i < count; i++)
        if (values[i] != nothing)
            return true;
    return false;
}

static enum infomask_status choose(struct models_added *added, const struct models_add_request *request,
                                   struct infomask_error *err)
{
    const char *why;

    added->preset = request->preset;
    added->known = true;
    added->reason = "as asked for";
    if (request->preset == NULL)
        added->preset = preset_guess(&added->file, &added->known, &added->reason);
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
    if (request->width > 0 && ((added->file.width > 0 && added->file.width != request->width) ||
                               (added->file.height > 0 && added->file.height != request->height)))
        return error_set(err, INFOMASK_ARGUMENT, "the file fixes the size at %d x %d: it cannot be %d x %d",
                         added->file.width, added->file.height, request->width, request->height);
    choose_size(added, request);
    added->head = request->head != NULL       ? request->head
                  : added->file.outputs == 1 ? "sigmoid" /* one number: yes or no */
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
static void put_preset(struct json_writer *w, const char *key, const struct models_added *added,
                       const struct models_add_request *request, const double values[3])
{
    const double turned[3] = {values[2], values[1], values[0]};
    bool other = added->file.channels == 3 && request->color != NULL &&
                 strcmp(request->color, added->preset->color) != 0;

    put_channels(w, key, other ? turned : values, added->file.channels);
}

static void put_input(struct json_writer *w, const struct models_added *added, const struct models_add_request *request)
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

static void put_document(struct json_writer *w, const char *key, const struct models_added *added,
                         const struct models_add_request *request, const char *name)
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

static enum infomask_status write_folder(struct folder_write *folder, struct models_added *added,
                                         const struct models_add_request *request, struct infomask_error *err)
{
    struct json_writer w;
    enum infomask_status status = INFOMASK_OK;

    if (added->labels != NULL)
        status = folder_write_text(folder, "labels.txt", added->labels, added->labels_size, err);
    json_writer_init(&w, 2);
    put_document(&w, NULL, added, request, folder->name);
    if (status == INFOMASK_OK)
        status = folder_write_json(folder, "model.json", &w, err);
    else
        json_writer_fini(&w);
    return status;
}

static enum infomask_status look_at_copy(const struct folder_write *folder, struct models_added *added,
                                         const struct models_add_request *request, struct infomask_error *err)
{
    char *copy = NULL;
    enum infomask_status status = copy_network(folder, request->file, &copy, err);

    if (status == INFOMASK_OK && (status = infomask_inspect(copy, request->output, &added->file, err)) != INFOMASK_OK)
        error_prefix(err, "%.80s", file_name(request->file));
    free(copy);
    return status == INFOMASK_OK ? choose(added, request, err) : status;
}

enum infomask_status models_add_file(const struct cli *cli, const struct models_add_request *request,
                                     struct models_added *added, struct infomask_error *err)
{
    char *directories = place_of_models(cli->config.models_dir);
    struct folder_write folder = {0};
    enum infomask_status status = work_folder_write(&cli->config, request->name, request->replace, &folder, err);

    if (status == INFOMASK_OK)
        status = look_at_copy(&folder, added, request, err);
    if (status == INFOMASK_OK)
        status = directories != NULL ? read_labels(added, request, directories, err)
                                   : error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = write_folder(&folder, added, request, err);
    if (status == INFOMASK_OK && !request->no_check)
        status = models_check_folder(cli, folder.part, true, &added->check, err);
    if (status == INFOMASK_OK && !request->no_check && added->check.not_finite)
        status = error_set(err, INFOMASK_BAD_MODEL, MODELS_CHECK_NOT_FINITE ": it is not added");
    if (status == INFOMASK_OK && !request->no_check && !added->check.equal)
        status = error_set(err, INFOMASK_BAD_MODEL,
                           "the network as it is run differs from the reference kernels by %.2g of "
                           "the spread of its outputs (at most %g): it is not added",
                           added->check.error, added->check.most);
    folder.tried = !request->no_check;
    if (status == INFOMASK_OK)
        status = folder_write_finish(&folder, err);
    folder_write_close(&folder);
    free(directories);
    return status;
}

void models_added_fini(struct models_added *added)
{
    free(added->labels);
    *added = (struct models_added){0};
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

/* Of each channel; one value is for all. */
static bool are_others(const double *values, int count, const double *than, int channels)
{
    for (int i = 0; i < channels && i < 3; i++)
        if (values[count == 1 ? 0 : i] != than[i])
            return true;
    return false;
}

/* What the flags made otherwise than the preset has it: "mean", "std", "color"; how many. */
static int changed_of_preset(const struct models_add_request *request, const struct models_added *added,
                             const char *changed[3])
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

/* ", but --mean and --color as given" */
static void tell_changed(const struct models_add_request *request, const struct models_added *added)
{
    const char *changed[3];
    int count = changed_of_preset(request, added, changed);

    for (int i = 0; i < count; i++)
        (void)printf("%s--%s", i == 0 ? ", but " : i == count - 1 ? " and " : ", ", changed[i]);
    (void)fputs(count > 0 ? " as given" : "", stdout);
}

static void print_added(const struct models_add_request *request, const struct models_added *added)
{
    (void)printf("%s: %zu class%s, %s %d x %d%s, %s\n", request->name, added->file.outputs,
                 added->file.outputs == 1 ? "" : "es",
                 added->file.nhwc ? "NHWC" : "NCHW", added->width, added->height,
                 added->assumed_size ? " (assumed: the file takes any size)" : "", added->head);
    (void)printf("photos: preset %s (%s)", added->preset->name, added->reason);
    tell_changed(request, added);
    (void)printf("%s\n", added->known ? ""
                                       : "; if that is not how it was trained, add it again with --preset or --mean "
                                         "and --std");
    if (added->file.others[0] != '\0')
        (void)printf("output: %s (the file has others, which --output takes: %s)\n",
                     request->output != NULL ? request->output : "its first", added->file.others);
    if (added->labels == NULL)
        (void)printf("classes: numbers, as no --labels are given\n");
    else if (added->assumed_labels)
        (void)printf("classes: those of ImageNet (assumed: there are 1000)\n");
    if (!request->no_check)
        models_check_print(&added->check);
}

static enum infomask_status report_added(const struct models_add_request *request, const struct models_added *added,
                                         struct infomask_error *err)
{
    const char *changed[3];
    int count = changed_of_preset(request, added, changed);
    struct json_writer w;

    json_writer_init(&w, json_indent(false));
    json_object_open(&w, NULL);
    put_document(&w, "document", added, request, request->name);
    json_put_string(&w, "preset", added->preset->name);
    json_put_bool(&w, "preset_known", added->known);
    json_put_string(&w, "preset_reason", added->reason);
    json_array_open(&w, "preset_changed");
    for (int i = 0; i < count; i++)
        json_put_string(&w, NULL, changed[i]);
    json_array_close(&w);
    if (added->file.others[0] != '\0')
        json_put_string(&w, "other_outputs", added->file.others);
    json_put_bool(&w, "labels_assumed", added->assumed_labels);
    json_put_bool(&w, "size_assumed", added->assumed_size);
    if (!request->no_check)
        models_check_put(&w, "check", &added->check);
    json_object_close(&w);
    return write_json(&w, NULL, err);
}

int models_add(int argc, char **argv)
{
    struct adding adding = {0};
    const struct cli_spec spec = {
        .usage = "models add [OPTION]... --name NAME FILE.onnx",
        .about = "Makes a model folder of an ONNX image classifier: looks at the file, runs it, compares it with the\n"
                 "reference kernels, and says what it had to assume.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &adding,
    };
    struct models_added added = {0};
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    adding.request.file = cli.operand_count > 0 ? cli.operands[0] : NULL;
    if (cli.operand_count != 1)
        code = cli_misused(cli.command, "one FILE.onnx is needed");
    else if (adding.request.name == NULL)
        code = cli_misused(cli.command, "--name is needed: what the model will be called");
    else if (models_add_file(&cli, &adding.request, &added, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else if (adding.json)
        code = report_added(&adding.request, &added, &err) == INFOMASK_OK ? CLI_DONE
                                                                          : cli_fails(cli.command, "%s", err.text);
    else
        print_added(&adding.request, &added);
    models_added_fini(&added);
    cli_close(&cli);
    return code < 0 ? CLI_DONE : code;
}
