/* infomask doctor: would the service start with these settings, and serve? */
#include "cli/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/host/proxies.h"
#include "cli/cli.h"
#include "cli/work.h"

enum { FLAG_JSON = 300 };

static const struct cli_flag flags[] = {
    {FLAG_JSON, "json", NULL, "print JSON"},
};

static const char *const state_names[] = {"ok", "warn", "fail"};

static bool take(void *context, int letter, const char *value)
{
    (void)letter;
    (void)value;
    *(bool *)context = true;
    return true;
}

static enum doctor_state worst(const struct doctor *doctor)
{
    enum doctor_state state = DOCTOR_OK;

    for (size_t i = 0; i < doctor->count; i++)
        state = doctor->lines[i].state > state ? doctor->lines[i].state : state;
    return state;
}

static void print_lines(const struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_line *line = &doctor->lines[i];
        (void)printf("%-4s  %-11s  %s%s%s\n", state_names[line->state], line->check, line->text,
                     line->remedy != NULL ? "; " : "", line->remedy != NULL ? line->remedy : "");
    }
}

static int print_json(const struct doctor *doctor)
{
    struct json_writer writer;
    struct infomask_error err;

    json_writer_init(&writer, json_indent(false));
    json_object_open(&writer, NULL);
    json_put_string(&writer, "state", state_names[worst(doctor)]);
    json_array_open(&writer, "checks");
    for (size_t i = 0; i < doctor->count; i++) {
        json_object_open(&writer, NULL);
        json_put_string(&writer, "check", doctor->lines[i].check);
        json_put_string(&writer, "state", state_names[doctor->lines[i].state]);
        json_put_string(&writer, "text", doctor->lines[i].text);
        json_put_string(&writer, "remedy", doctor->lines[i].remedy);
        json_object_close(&writer);
    }
    json_array_close(&writer);
    json_object_close(&writer);
    return write_json(&writer, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(doctor->cli->command, "%s", err.text);
}

/* What root does first comes first: ports are opened before the service becomes its user. */
static const struct {
    const char *name; /* what is asked for; the words of its lines may be others */
    void (*look)(struct doctor *doctor);
} checks[] = {
    {"port", doctor_ports},        {"user", doctor_user},   {"certificate", doctor_certificate},
    {"keys", doctor_keys},         {"confinement", doctor_confinement}, {"state", doctor_state_of_service},
    {"limits", doctor_limits},     {"models", doctor_models},
};
#define CHECKS (sizeof checks / sizeof *checks)

static bool is_asked(const struct cli *cli, const char *name)
{
    for (int i = 0; i < cli->operand_count; i++)
        if (strcmp(cli->operands[i], name) == 0)
            return true;
    return cli->operand_count == 0;
}

/* -1, or the exit code: there is no such check. */
static int check_operands(const struct cli *cli)
{
    for (int i = 0; i < cli->operand_count; i++) {
        size_t k = 0;
        while (k < CHECKS && strcmp(cli->operands[i], checks[k].name) != 0)
            k++;
        if (k == CHECKS)
            return cli_misused(cli->command,
                               "there is no check \"%s\": they are port, user, certificate, keys, confinement, state, "
                               "limits and models",
                               cli->operands[i]);
    }
    return -1;
}

/* That they were read is known; of what no type tells, the start would say no. */
static void look_at_settings(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    struct proxies *proxies;
    struct infomask_error err;

    if (proxies_read(&proxies, config->proxies, &err) != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "settings", "mend the list", "%s", err.text);
    else
        doctor_say(doctor, DOCTOR_OK, "settings", NULL, "%s%s", config->file != NULL ? "read from " : "defaults",
                   config->file != NULL ? config->file : "");
    proxies_free(proxies);
}

static int examine(const struct cli *cli, bool json)
{
    struct doctor doctor = {.cli = cli};
    int code = CLI_DONE;

    look_at_settings(&doctor);
    for (size_t i = 0; i < CHECKS; i++)
        if (is_asked(cli, checks[i].name))
            checks[i].look(&doctor);
    if (json)
        code = print_json(&doctor);
    else
        print_lines(&doctor);
    if (code == CLI_DONE && worst(&doctor) == DOCTOR_FAIL)
        code = CLI_FAILED;
    free(doctor.lines);
    return code;
}

int cmd_doctor(int argc, char **argv)
{
    bool json = false;
    const struct cli_spec spec = {
        .usage = "doctor [OPTION]... [CHECK]...",
        .about =
            "Looks at what the service will need with these settings, before it is started or started again: ports,\n"
            "user, certificate, keys, state folder, disk, limits, kernels, and that every model loads and answers.\n"
            "One line each: ok, warn or fail, and what helps.  Exit code 1 if one of them fails.  CHECK (port, user,\n"
            "certificate, keys, confinement, state, limits, models): only these.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " server security images models compute state ",
        .take = take,
        .context = &json,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = check_operands(&cli);
    if (code < 0)
        code = examine(&cli, json);
    cli_close(&cli);
    return code;
}
