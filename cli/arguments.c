#include "app/json/nearest.h"
#include "cli/arguments.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings/places.h"
#include "cli/batch/plain.h"
#include "cli/cli.h"

#define CODE_PARAM 1000
#define CODE_SETTING 2000
#define MOST_FLAGS 40
#define MOST_OPTIONS (2 * (MOST_FLAGS + PARAM_COUNT + CONFIG_COUNT) + 4)
#define NAME_SIZE 40

extern char **environ;

int cli_fails(const char *command, const char *format, ...)
{
    va_list args;
    (void)fprintf(stderr, "infomask %s: ", command);
    va_start(args, format);
    plain_say(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_misused(const char *command, const char *format, ...)
{
    va_list args;
    (void)fprintf(stderr, "infomask %s: ", command);
    va_start(args, format);
    plain_say(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\nTry: infomask %s --help\n", command);
    return CLI_USAGE;
}

void cli_warns(void *unused, const char *sentence)
{
    (void)unused;
    (void)fprintf(stderr, "infomask: warning: %s\n", sentence);
}

/* ---- The table of options ---------------------------------------------------------------------------------------- */

struct options {
    struct option list[MOST_OPTIONS];
    char names[MOST_OPTIONS][NAME_SIZE];
    int count;
    char letters[2 * MOST_FLAGS + 8];
};

static void add_spelling(struct options *options, const char *name, bool value, int code, char from, char to)
{
    char *copy = options->names[options->count];

    (void)snprintf(copy, NAME_SIZE, "%s", name);
    for (char *c = copy; *c != '\0'; c++)
        if (*c == from)
            *c = to;
    options->list[options->count++] = (struct option){copy, value ? required_argument : no_argument, NULL, code};
}

/* both spellings of names of several words */
static void add_option(struct options *options, const char *name, bool value, int code)
{
    add_spelling(options, name, value, code, '_', '-');
    if (strpbrk(name, "_-") != NULL)
        add_spelling(options, name, value, code, '-', '_');
}

/* A setting may be a flag of every command that names its section; the parameter `model` is the setting of that name.
 */
static bool is_param(const struct cli_spec *spec, int id)
{
    return id != PARAM_ID_MODEL && (param_info((enum param_id)id)->groups & spec->params) != 0;
}

static bool is_setting(const struct cli_spec *spec, int key)
{
    const struct config_setting setting = config_setting((enum config_key)key);
    bool bounds_photos = strcmp(setting.name, "max_body") == 0; /* a service's bodies are photos */
    char section[40];
    (void)snprintf(section, sizeof section, " %s ", bounds_photos ? "images" : setting.section);
    return spec->sections != NULL && strstr(spec->sections, section) != NULL;
}

static void fill_options(struct options *options, const struct cli_spec *spec)
{
    char *letter = options->letters;

    *letter++ = 'h';
    if (!spec->offline) {
        *letter++ = 'c';
        *letter++ = ':';
        add_option(options, "config", true, 'c');
    }
    add_option(options, "help", false, 'h');
    for (size_t i = 0; i < spec->flag_count; i++) {
        const struct cli_flag *flag = &spec->flags[i];
        add_option(options, flag->name, flag->value != NULL, flag->letter);
        if (flag->letter < 256)
            *letter++ = (char)flag->letter;
        if (flag->letter < 256 && flag->value != NULL)
            *letter++ = ':';
    }
    for (int id = 0; id < PARAM_COUNT; id++)
        if (is_param(spec, id))
            add_option(options, param_info((enum param_id)id)->name, true, CODE_PARAM + id);
    for (int key = 0; key < CONFIG_COUNT; key++)
        if (is_setting(spec, key))
            add_option(options, config_setting((enum config_key)key).name, true, CODE_SETTING + key);
}

/* ---- Help -------------------------------------------------------------------------------------------------------- */

#define HELP_COLUMN 30
#define HELP_WIDTH 100

/* `text` in lines from HELP_COLUMN to HELP_WIDTH; the first line goes on where the cursor is, at `column` */
static void print_wrapped(const char *text, int column)
{
    if (column >= HELP_COLUMN)
        (void)printf("\n%*s", HELP_COLUMN, "");
    else
        (void)printf("%*s", HELP_COLUMN - column, "");
    column = HELP_COLUMN;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            (void)printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += printf("%s%.*s", column > HELP_COLUMN ? " " : "", word, text);
        text += word + (text[word] != '\0');
    }
    (void)putchar('\n');
}

static void print_option(int letter, const char *name, const char *value, const char *help)
{
    char spelled[NAME_SIZE];
    int column;

    (void)snprintf(spelled, sizeof spelled, "%s", name);
    for (char *c = spelled; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    column = letter > 0 && letter < 256 ? printf("  -%c, --%s", letter, spelled) : printf("      --%s", spelled);
    if (value != NULL)
        column += printf("=%s", value);
    print_wrapped(help, column);
}

static void print_param(int id)
{
    const struct param_info *info = param_info((enum param_id)id);
    char help[512];
    int used = snprintf(help, sizeof help, "%s", info->description);

    if (info->words[0] != '\0')
        used += snprintf(help + used, sizeof help - (size_t)used, " (%s)", info->words);
    else if (info->type == PARAM_INTEGER || info->type == PARAM_NUMBER)
        used += snprintf(help + used, sizeof help - (size_t)used, " (%.16g to %.16g)", info->low, info->high);
    if (info->value[0] != '\0')
        (void)snprintf(help + used, sizeof help - (size_t)used, "; default %s", info->value);
    print_option(0, info->name, "VALUE", help);
}

static void print_setting(const struct config *defaults, int key)
{
    struct config_setting setting = config_setting((enum config_key)key);
    char help[512], value[64];
    int used = snprintf(help, sizeof help, "%s", setting.description);

    (void)config_value_text(defaults, (enum config_key)key, value, sizeof value);
    if (setting.words != NULL)
        used += snprintf(help + used, sizeof help - (size_t)used, " (%s)", setting.words);
    if (value[0] != '\0')
        (void)snprintf(help + used, sizeof help - (size_t)used, "; default %s", value);
    print_option(0, setting.name, "VALUE", help);
}

static void print_settings(const struct cli_spec *spec)
{
    struct config defaults;

    if (spec->offline)
        return;
    (void)printf("\nSettings (also in the file, or as INFOMASK_NAME in the environment):\n");
    print_option('c', "config", "FILE", "INI file of settings");
    if (config_init(&defaults, NULL) != INFOMASK_OK)
        return;
    for (int key = 0; key < CONFIG_COUNT; key++)
        if (is_setting(spec, key))
            print_setting(&defaults, key);
    config_fini(&defaults);
}

static void print_help(const struct cli_spec *spec)
{
    (void)printf("Usage: infomask %s\n\n%s\n\nOptions:\n", spec->usage, spec->about);
    for (size_t i = 0; i < spec->flag_count; i++)
        print_option(spec->flags[i].letter, spec->flags[i].name, spec->flags[i].value, spec->flags[i].help);
    print_option('h', "help", NULL, "show this and exit");
    if (spec->params != 0)
        (void)printf("\nParameters, as of the service:\n");
    for (int id = 0; id < PARAM_COUNT; id++)
        if (is_param(spec, id))
            print_param(id);
    print_settings(spec);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* What was given for the settings, until the file and the environment have been read. */
struct given {
    const char *file;
    const char *settings[CONFIG_COUNT];
};

/* The nearest option's name, if what getopt refused is the long name of none. */
static void suggest(const struct options *options, const char *wrong)
{
    char name[64];
    struct nearest nearest;

    if (strncmp(wrong, "--", 2) != 0)
        return;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(wrong + 2, "="), wrong + 2);
    nearest = nearest_begin(name);
    for (int i = 0; i < options->count; i++)
        nearest_offer(&nearest, options->list[i].name);
    if (nearest.name != NULL && nearest.distance > 0)
        (void)fprintf(stderr, "Did you mean --%s?\n", nearest.name);
}

/* "top_k must be ..." as it is typed: "--top-k must be ...". */
static void name_option(struct infomask_error *err)
{
    char old[INFOMASK_ERROR_TEXT];

    memcpy(old, err->text, sizeof old);
    (void)snprintf(err->text, sizeof err->text, "--%.*s", (int)(sizeof old - 3), old);
    for (char *p = err->text; *p != '\0' && *p != ' '; p++)
        if (*p == '_')
            *p = '-';
}

static bool take_option(struct cli *cli, const struct cli_spec *spec, int code, struct given *given)
{
    struct infomask_error err;

    if (code == '?') { /* getopt has said what is wrong */
        (void)fprintf(stderr, "Try: infomask %s --help\n", cli->command);
        return false;
    }
    if (code >= CODE_SETTING) {
        given->settings[code - CODE_SETTING] = optarg;
    } else if (code >= CODE_PARAM) {
        const char *name = param_info((enum param_id)(code - CODE_PARAM))->name;
        if (params_set(&cli->params, spec->params, name, optarg, &err) != INFOMASK_OK) {
            name_option(&err);
            (void)cli_misused(cli->command, "%s", err.text);
            return false;
        }
    } else if (code == 'c' && !spec->offline) {
        given->file = optarg;
    } else {
        return spec->take(spec->context, code, optarg);
    }
    return true;
}

static enum infomask_status read_file(struct cli *cli, const char *path, struct infomask_error *err)
{
    enum infomask_status status = config_read_file(&cli->config, path, err);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", path);
    return status;
}

static enum infomask_status read_default_file(struct cli *cli, struct infomask_error *err)
{
    char *path = place_of_config();
    enum infomask_status status = INFOMASK_OK;

    if (path != NULL)
        status = read_file(cli, path, err);
    free(path);
    return status;
}

static enum infomask_status read_settings(struct cli *cli, const struct given *given, bool thorough,
                                          struct infomask_error *err)
{
    const char *file = given->file != NULL ? given->file : getenv("INFOMASK_CONFIG");
    enum infomask_status status = config_init(&cli->config, err);

    if (status != INFOMASK_OK)
        return status;
    status = file != NULL && file[0] != '\0' ? read_file(cli, file, err) : read_default_file(cli, err);
    if (status == INFOMASK_OK)
        status = config_read_environment(&cli->config, environ, thorough ? cli_warns : NULL, NULL, err);
    for (int key = 0; key < CONFIG_COUNT && status == INFOMASK_OK; key++)
        if (given->settings[key] != NULL) {
            status = config_set(&cli->config, (enum config_key)key, given->settings[key], CONFIG_FLAG, err);
            if (status != INFOMASK_OK)
                name_option(err);
        }
    if (status != INFOMASK_OK)
        config_fini(&cli->config);
    return status;
}

int cli_open(struct cli *cli, const struct cli_spec *spec, int argc, char **argv)
{
    struct options options = {.count = 0};
    struct given given = {0};
    struct infomask_error err;
    char name[64];
    int code;

    *cli = (struct cli){.command = argv[0]};
    params_init(&cli->params);
    fill_options(&options, spec);
    (void)snprintf(name, sizeof name, "infomask %s", argv[0]);
    argv[0] = name; /* getopt's messages begin with it */
    optind = 0;
    while ((code = getopt_long(argc, argv, options.letters, options.list, NULL)) != -1) {
        if (code == 'h') {
            print_help(spec);
            argv[0] = (char *)(uintptr_t)cli->command;
            return CLI_DONE;
        }
        if (code == '?')
            suggest(&options, argv[optind - 1]);
        if (!take_option(cli, spec, code, &given)) {
            argv[0] = (char *)(uintptr_t)cli->command;
            return CLI_USAGE;
        }
    }
    argv[0] = (char *)(uintptr_t)cli->command;
    cli->operands = argv + optind;
    cli->operand_count = argc - optind;
    if (!spec->offline && read_settings(cli, &given, spec->thorough, &err) != INFOMASK_OK)
        return err.status == INFOMASK_ARGUMENT ? cli_misused(cli->command, "%s", err.text)
                                               : cli_fails(cli->command, "%s", err.text);
    return -1;
}

void cli_close(struct cli *cli)
{
    config_fini(&cli->config);
}
