#include "server/daemon/service.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/host/confine.h"
#include "app/host/sockets.h"
#include "app/model/folders.h"
#include "app/model/load.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "app/state/estimates.h"
#include "app/state/traffic.h"
#include "core/base/pool.h"
#include "server/daemon/server.h"
#include "server/observe/log.h"

static void log_warning(void *context, const char *sentence)
{
    log_message(context, LOG_WARNING, "%s", sentence);
}

static void log_note(void *context, const char *sentence)
{
    log_message(context, LOG_INFO, "%s", sentence);
}

static enum infomask_status open_models(const struct config *config, struct pool *pool, struct log *log,
                                        struct models **models, struct infomask_error *err)
{
    struct model_options options;
    char *directory = place_of_models(config->models_dir);
    enum infomask_status status = directory != NULL ? load_options(config, pool, &options, err)
                                                    : error_set(err, INFOMASK_MEMORY, "out of memory");

    options.serves = true;
    options.memory = config->models_memory;
    options.warn = log_warning;
    options.note = log_note;
    options.warn_context = log;
    if (status == INFOMASK_OK)
        status = models_create(directory, config->model, &options, models, err);
    free(directory);
    return status;
}

static bool in_file(const struct config *config)
{
    return strcmp(config->state, "sqlite") == 0;
}

/* Without a place for state estimates are refused, the traffic is kept in memory, and everything else works; an address
 * that is wrong ends the start. */
static enum infomask_status open_state(const struct config *config, const char *folder, struct log *log,
                                       struct server_parts *parts, struct infomask_error *fatal)
{
    const struct estimates_options options = {.max_bytes = config->state_limit,
                                              .logit_bytes = config->logits_limit > 0 ? config->logits_limit
                                                                                      : UINT64_MAX,
                                              .relaxed = strcmp(config->durability, "relaxed") == 0,
                                              .password_file = config->state_password,
                                              .tell = log_warning,
                                              .tell_context = log};
    bool file = in_file(config);
    char *where = !file ? strdup(config->state) : folder != NULL ? file_join(folder, "estimates.db") : NULL;
    struct infomask_error err;
    enum infomask_status status = INFOMASK_OK;

    if (where == NULL)
        log_message(log, LOG_WARNING, "estimates are refused: the state folder cannot be made");
    else if ((status = estimates_open(where, &options, &parts->estimates, &err)) != INFOMASK_OK && file)
        log_message(log, LOG_WARNING, "estimates are refused: %s", err.text);
    free(where);
    if (status != INFOMASK_OK && !file)
        return error_set(fatal, status, "%s", err.text);
    return traffic_create(parts->estimates, &parts->traffic, fatal);
}

/* ---- Confinement ------------------------------------------------------------------------------------------------- */

enum { MOST_PORTS = 8 };

/* The TCP ports of the state's server. */
struct outward {
    int ports[MOST_PORTS], count;
};

/* What is read again on SIGHUP, what is written, and the names that the sockets leave behind. */
static void confine_to_files(const struct config *config, const struct server *server, const char *state,
                             const struct outward *outward, struct confined *confined)
{
    enum { FIXED = 6 };
    char *models = place_of_models(config->models_dir), *folders[FOLDERS_MOST] = {NULL};
    struct confine_path paths[FIXED + FOLDERS_MOST + SOCKETS_MAX] = {
        {strchr(config->model, '/') != NULL ? config->model : NULL, CONFINE_READ},
        {state, CONFINE_WRITE},
        {config->keys, CONFINE_BESIDE},
        {config->tls_certificate, CONFINE_BESIDE},
        {config->tls_key, CONFINE_BESIDE},
        {config->state_password, CONFINE_BESIDE},
    };
    size_t count = FIXED;

    for (size_t i = 0; models != NULL && (folders[i] = folders_part(models, i)) != NULL; i++)
        paths[count++] = (struct confine_path){folders[i], CONFINE_READ};
    for (int i = 0; server_local_name(server, i) != NULL; i++)
        paths[count++] = (struct confine_path){server_local_name(server, i), CONFINE_UNLINK};
    confine_files(paths, count, outward->ports, outward->count, confined);
    for (size_t i = 0; i < FOLDERS_MOST; i++)
        free(folders[i]);
    free(models);
}

static enum infomask_status confine_early(const struct config *config, const struct server *server, const char *state,
                                          struct log *log, struct confined *confined, struct infomask_error *err)
{
    struct outward outward = {.count = 0};
    enum infomask_status status;

    *confined = (struct confined){0};
    if (*config->user != '\0' && confine_user(config->user, state, err) != INFOMASK_OK)
        return err->status;
    if (geteuid() == 0)
        log_message(log, LOG_WARNING, "running as root; --user NAME becomes another user once the sockets are open");
    status = in_file(config) ? INFOMASK_OK
                             : estimates_prepare(config->state, outward.ports, MOST_PORTS, &outward.count, err);
    if (status == INFOMASK_OK && config->confine)
        confine_to_files(config, server, state, &outward, confined);
    return status;
}

static void confine_late(const struct config *config, struct log *log, struct confined *confined)
{
    char text[CONFINED_TEXT];

    if (!config->confine) {
        log_message(log, LOG_WARNING, "not confined: confine = false");
        return;
    }
    confine_calls(confined);
    confined_text(confined, text);
    log_message(log, confined->calls && confined->landlock > 0 ? LOG_INFO : LOG_WARNING, "confined: %s", text);
}

/* ---- Serving ----------------------------------------------------------------------------------------------------- */

/* All that serve makes, in the order in which it is made. */
struct service {
    const struct config *config;
    struct log *log;
    struct server *server;
    char *state;
    struct confined confined;
    struct server_parts parts;
};

static enum infomask_status start(struct service *service, struct infomask_error *err)
{
    const struct config *config = service->config;
    struct server_parts *parts = &service->parts;
    enum infomask_status status = server_create(config, service->log, &service->server, err);

    service->state = place_of_state(config->state_dir);
    if (status == INFOMASK_OK)
        status = confine_early(config, service->server, service->state, service->log, &service->confined, err);
    if (status == INFOMASK_OK)
        status = load_pool(config, &parts->pool, err);
    if (status == INFOMASK_OK)
        status = open_models(config, parts->pool, service->log, &parts->models, err);
    if (status == INFOMASK_OK)
        status = open_state(config, service->state, service->log, parts, err);
    if (status == INFOMASK_OK)
        status = server_start(service->server, parts, err);
    if (status == INFOMASK_OK)
        confine_late(config, service->log, &service->confined);
    return status;
}

static void end(struct service *service)
{
    server_free(service->server);
    models_free(service->parts.models);
    pool_free(service->parts.pool);
    traffic_free(service->parts.traffic);
    estimates_close(service->parts.estimates);
    free(service->state);
    log_free(service->log);
}

enum service_end service_run(const struct config *config, FILE *announce, struct infomask_error *err)
{
    struct service service = {.config = config};
    enum infomask_status status;

    server_block_signals();
    status = log_create(&service.log, STDERR_FILENO, strcmp(config->log_format, "json") == 0,
                        log_level_of(config->log_level), config->log_rate, err);
    if (status == INFOMASK_OK)
        status = start(&service, err);
    if (status == INFOMASK_OK && server_run(service.server, announce) == SERVER_CUT)
        return SERVICE_CUT;
    end(&service);
    return status == INFOMASK_OK ? SERVICE_DRAINED : SERVICE_FAILED;
}
