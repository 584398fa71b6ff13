/* infomask version: what was built, with what, and what runs here. */
#include <stdio.h>
#include <string.h>

#include "app/host/confine.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "core/base/cpu.h"
#include "core/infomask.h"

#ifndef INFOMASK_LIBRARIES /* the Makefile asks pkg-config */
#define INFOMASK_LIBRARIES "unknown"
#endif

static bool take(void *context, int letter, const char *value)
{
    (void)context;
    (void)letter;
    (void)value;
    return true;
}

static void print_processor(void)
{
    const struct cpu_features *cpu = cpu_features();

    (void)printf("processor: %d cores%s%s%s%s%s\n", cpu_count(), cpu->avx2_fma ? ", avx2" : "",
                 cpu->avx512 ? ", avx512" : "", cpu->avx512_bf16 ? ", bf16" : "", cpu->avx512_vnni ? ", vnni" : "",
                 cpu->amx ? ", amx" : "");
    (void)printf("openblas computes for: %s\n", infomask_openblas_core(NULL));
}

static void print_precisions(const struct config *config)
{
    (void)printf("precision: %s (here:", infomask_precision_name(load_precision(config)));
    for (int i = 0; i < INFOMASK_PRECISIONS; i++)
        if (infomask_precision_check((enum infomask_precision)i, config->isa, NULL) == INFOMASK_OK)
            (void)printf(" %s", infomask_precision_name((enum infomask_precision)i));
    (void)printf(")\n");
}

static void print_confinement(void)
{
    struct confined available;
    char text[CONFINED_TEXT];

    confine_available(&available);
    confined_text(&available, text);
    (void)printf("confinement here: %s\n", text);
}

static int print_version(const struct cli *cli)
{
    struct infomask_error err;
    const char *isa = infomask_isa(cli->config.isa, &err);

    if (isa == NULL || infomask_precision_check(load_precision(&cli->config), isa, &err) != INFOMASK_OK)
        return cli_fails(cli->command, "%s", err.text);
    (void)printf("infomask %s\nisa: %s\n", INFOMASK_VERSION, isa);
    print_precisions(&cli->config);
    print_processor();
    print_confinement();
    (void)printf("compiler: %s\nlibraries: %s\n", __VERSION__, INFOMASK_LIBRARIES);
    return CLI_DONE;
}

int cmd_version(int argc, char **argv)
{
    const struct cli_spec spec = {
        .usage = "version [OPTION]...",
        .about = "Prints the version, the instruction set and precision in use, what the kernel has for the service to "
                 "confine\n"
                 "itself with, and the libraries that it was built with.",
        .sections = " compute ",
        .take = take,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = cli.operand_count > 0 ? cli_misused(cli.command, "\"%s\" is not an option", cli.operands[0])
                                 : print_version(&cli);
    cli_close(&cli);
    return code;
}
