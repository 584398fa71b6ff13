/* GNU long options of a command: its own flags, the parameters of the service (app/settings/params.h) and the settings
 * (app/settings/config.h), each with dashes or underscores; and the help text made from the same tables. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/settings/config.h"
#include "app/settings/params.h"

/* A flag of the command itself. */
struct cli_flag {
    int letter;        /* its short form, or a number over 255; what take gets */
    const char *name;
    const char *value; /* what the help calls its value; NULL: it has none */
    const char *help;
};

struct cli_spec {
    const char *usage;            /* after "infomask ": "classify [OPTION]... FILE..." */
    const char *about;
    const struct cli_flag *flags;
    size_t flag_count;
    unsigned params;              /* the group whose parameters are flags; 0: none */
    const char *sections;         /* sections of settings that are flags, with spaces around each; NULL: none */
    bool offline;                 /* no settings are read at all */
    bool thorough;                /* variables INFOMASK_... that are no setting are warned about */
    /* Takes one of the command's own flags; false: wrong usage (and said so on standard error). */
    bool (*take)(void *context, int letter, const char *value);
    void *context;
};

struct cli {
    const char *command;
    struct config config;
    struct params params;
    char **operands; /* of argv, permuted */
    int operand_count;
};

/* Reads everything.  Returns -1 if the command is to go on (then cli_close it), else the exit code: --help was asked
 * for, or something was wrong. */
int cli_open(struct cli *cli, const struct cli_spec *spec, int argc, char **argv) __attribute__((warn_unused_result));
void cli_close(struct cli *cli);

#endif
