/* infomask models add: a model folder for somebody's ONNX file, and what was assumed in making it. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model/add/add.h"
#include "cli/cli.h"
#include "cli/models/check.h"
#include "cli/models/models.h"
#include "cli/work.h"

enum { FLAG_NAME = 300, FLAG_LABELS, FLAG_PRESET, FLAG_MEAN, FLAG_STD, FLAG_COLOR, FLAG_SIZE, FLAG_HEAD, FLAG_OUTPUT,
       FLAG_REPLACE, FLAG_NO_CHECK, FLAG_JSON };

static const struct cli_flag flags[] = {
    {FLAG_NAME, "name", "NAME", "what the model is called: a folder of that name is made below the models"},
    {FLAG_LABELS, "labels", "FILE",
     "its classes, one a line: label, then aliases with tabs between them; without it those that the "
     "file or config.json beside it names"},
    {FLAG_PRESET, "preset", "PRESET",
     "how its photos are prepared: imagenet, inception, tf, keras, caffe, clip, unit, bytes; "
     "without it what the file tells, or preprocessor_config.json or timm's config.json beside it, "
     "else the most common one, and a word that it is assumed"},
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
    struct model_add request;
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

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static bool take(void *context, int letter, const char *value)
{
    struct adding *adding = context;
    struct model_add *request = &adding->request;

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
        return models_take_size("models add", value, &request->width, &request->height);
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

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

/* ", but --mean and --color as given" */
static void tell_changed(const struct model_add *request, const struct model_added *added)
{
    const char *changed[3];
    int count = model_added_changed(request, added, changed);

    for (int i = 0; i < count; i++)
        (void)printf("%s--%s", i == 0 ? ", but " : i == count - 1 ? " and " : ", ", changed[i]);
    (void)fputs(count > 0 ? " as given" : "", stdout);
}

static void print_added(const struct model_add *request, const struct model_added *added)
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
    else if (added->told_labels)
        (void)printf("classes: as the file names them\n");
    else if (added->hub_labels)
        (void)printf("classes: as config.json beside the file names them\n");
    else if (added->assumed_labels)
        (void)printf("classes: those of ImageNet (assumed: there are 1000)\n");
    if (!request->no_check)
        models_check_print(&added->check);
}

static enum infomask_status report_added(const struct model_add *request, const struct model_added *added,
                                         struct infomask_error *err)
{
    const char *changed[3];
    int count = model_added_changed(request, added, changed);
    struct json_writer w;

    json_writer_init(&w, json_indent(false));
    json_object_open(&w, NULL);
    model_added_put(&w, "document", added, request, request->name);
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
        model_check_put(&w, "check", &added->check);
    json_object_close(&w);
    return write_json(&w, NULL, err);
}

int models_add(int argc, char **argv)
{
    struct adding adding = {.request.warn = cli_warns};
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
    struct model_added added = {0};
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
    else if (model_add(&cli.config, &adding.request, &added, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else if (adding.json)
        code = report_added(&adding.request, &added, &err) == INFOMASK_OK ? CLI_DONE
                                                                          : cli_fails(cli.command, "%s", err.text);
    else
        print_added(&adding.request, &added);
    model_added_fini(&added);
    cli_close(&cli);
    return code < 0 ? CLI_DONE : code;
}
