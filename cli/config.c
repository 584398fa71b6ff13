/* infomask config: the settings in force and where each is from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/work.h"

enum { FLAG_JSON = 300, FLAG_TEMPLATE };

struct shown {
    bool json, template;
};

static const struct cli_flag flags[] = {
    {FLAG_JSON, "json", NULL, "print JSON"},
    {FLAG_TEMPLATE, "template", NULL, "print a settings file with every default, commented out"},
};

static bool take(void *context, int letter, const char *value)
{
    struct shown *shown = context;
    (void)value;
    if (letter == FLAG_JSON)
        shown->json = true;
    else
        shown->template = true;
    return true;
}

static void print_settings(const struct config *config)
{
    const char *section = "";

    for (int key = 0; key < CONFIG_COUNT; key++) {
        struct config_setting setting = config_setting((enum config_key)key);
        char value[4200], source[4200];
        (void)config_value_text(config, (enum config_key)key, value, sizeof value);
        (void)config_source_text(config, (enum config_key)key, source, sizeof source);
        if (strcmp(section, setting.section) != 0)
            (void)printf("%s[%s]\n", key > 0 ? "\n" : "", setting.section);
        section = setting.section;
        (void)printf("%-16s = %-24s ; %s\n", setting.name, value, source);
    }
}

static int print_json(const struct cli *cli)
{
    struct json_writer writer;
    struct infomask_error err;

    json_writer_init(&writer, json_indent(false));
    json_object_open(&writer, NULL);
    json_put_string(&writer, "file", cli->config.file);
    json_object_open(&writer, "settings");
    for (int key = 0; key < CONFIG_COUNT; key++) {
        char value[4200], source[4200];
        (void)config_value_text(&cli->config, (enum config_key)key, value, sizeof value);
        (void)config_source_text(&cli->config, (enum config_key)key, source, sizeof source);
        json_object_open(&writer, config_setting((enum config_key)key).name);
        json_put_string(&writer, "value", value);
        json_put_string(&writer, "from", source);
        json_object_close(&writer);
    }
    json_object_close(&writer);
    json_object_close(&writer);
    return write_json(&writer, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(cli->command, "%s", err.text);
}

static int print_template(const char *command)
{
    char *text = config_template();

    if (text == NULL)
        return cli_fails(command, "out of memory");
    (void)fputs(text, stdout);
    free(text);
    return CLI_DONE;
}

int cmd_config(int argc, char **argv)
{
    struct shown shown = {0};
    const struct cli_spec spec = {
        .usage = "config [OPTION]...",
        .about = "Prints the settings in force, each with where it is from: its default, the file and line, the\n"
                 "environment or a flag.  Later ones win in this order.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .thorough = true,
        .sections = " server security images models compute state log ",
        .take = take,
        .context = &shown,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count > 0)
        code = cli_misused(cli.command, "\"%s\" is not an option", cli.operands[0]);
    else if (shown.template)
        code = print_template(cli.command);
    else if (shown.json)
        code = print_json(&cli);
    else {
        print_settings(&cli.config);
        code = CLI_DONE;
    }
    cli_close(&cli);
    return code;
}
