/* infomask serve: the parts of the service put together. */
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/places.h"
#include "cli/work.h"
#include "core/base/pool.h"
#include "server/estimates.h"
#include "server/files.h"
#include "server/log.h"
#include "server/traffic.h"

static bool take(void *context, int letter, const char *value)
{
    (void)context;
    (void)letter;
    (void)value;
    return true;
}

static void log_warning(void *context, const char *sentence)
{
    log_message(context, LOG_WARNING, "%s", sentence);
}

static enum infomask_status open_models(const struct config *config, struct pool *pool, struct log *log,
                                        struct models **models, struct infomask_error *err)
{
    struct model_options options;
    char *directory = place_of_models(config->models_dir);
    enum infomask_status status = directory != NULL ? work_model_options(config, pool, &options, err)
                                                    : error_set(err, INFOMASK_MEMORY, "out of memory");

    options.warn = log_warning;
    options.warn_context = log;
    if (status == INFOMASK_OK)
        status = models_create(directory, config->model, &options, models, err);
    free(directory);
    return status;
}

/* Without a place for state estimates are refused, the traffic is kept in memory, and everything else works. */
static enum infomask_status open_state(const struct config *config, struct server_parts *parts, struct infomask_error *fatal)
{
    const struct estimates_options options = {config->state_limit,
                                              config->logits_limit > 0 ? config->logits_limit : UINT64_MAX};
    char *folder = place_of_state(config->state_dir), *path = NULL;
    struct infomask_error err;
    enum infomask_status status;

    if (folder == NULL || (path = file_join(folder, "estimates.db")) == NULL)
        log_message(parts->log, LOG_WARNING, "estimates are refused: the state folder cannot be made");
    else if (estimates_open(path, &options, &parts->estimates, &err) != INFOMASK_OK)
        log_message(parts->log, LOG_WARNING, "estimates are refused: %s", err.text);
    status = traffic_create(parts->estimates != NULL ? folder : NULL, parts->pool, &parts->traffic, fatal);
    free(folder);
    free(path);
    return status;
}

static int run_server(const struct server_parts *parts, const char *command)
{
    struct server *server = NULL;
    struct infomask_error err;

    if (server_create(parts, &server, &err) != INFOMASK_OK)
        return cli_fails(command, "%s", err.text);
    if (server_run(server) == SERVER_CUT)
        return CLI_CUT;
    server_free(server);
    return CLI_DONE;
}

static int serve(const struct config *config, const char *command)
{
    struct server_parts parts = {.config = config, .announce = stdout};
    struct infomask_error err;
    enum infomask_status status;
    int code;

    server_block_signals();
    status = log_create(&parts.log, STDERR_FILENO, strcmp(config->log_format, "json") == 0,
                        log_level_of(config->log_level), config->log_rate, &err);
    if (status == INFOMASK_OK)
        status = work_pool(config, &parts.pool, &err);
    if (status == INFOMASK_OK)
        status = open_models(config, parts.pool, parts.log, &parts.models, &err);
    if (status == INFOMASK_OK)
        status = open_state(config, &parts, &err);
    code = status == INFOMASK_OK ? run_server(&parts, command) : cli_fails(command, "%s", err.text);
    if (code == CLI_CUT)
        return code;
    models_free(parts.models);
    pool_free(parts.pool);
    traffic_free(parts.traffic);
    estimates_close(parts.estimates);
    log_free(parts.log);
    return code;
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
