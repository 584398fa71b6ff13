/* infomask serve: the service until a signal ends it. */
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "server/daemon/service.h"

static bool take(void *context, int letter, const char *value)
{
    (void)context;
    (void)letter;
    (void)value;
    return true;
}

static int serve(const struct config *config, const char *command)
{
    struct infomask_error err;

    switch (service_run(config, stdout, &err)) {
    case SERVICE_FAILED:
        return cli_fails(command, "%s", err.text);
    case SERVICE_CUT:
        return CLI_CUT;
    case SERVICE_DRAINED:
        break;
    }
    return CLI_DONE;
}

int cmd_serve(int argc, char **argv)
{
    const struct cli_spec spec = {
        .usage = "serve [OPTION]...",
        .about = "Runs the HTTP service until SIGTERM or SIGINT, and prints \"listening on http://ADDRESS:PORT\" when it\n"
                 "takes requests.",
        .sections = " server security images models compute state log ",
        .take = take,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = cli.operand_count > 0 ? cli_misused(cli.command, "\"%s\" is not an option", cli.operands[0])
                                 : serve(&cli.config, cli.command);
    cli_close(&cli);
    return code;
}
