/* infomask estimate: the stores that hold estimates, and merging. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "app/state/store.h"
#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/work.h"

#define CACHE_BYTES ((uint64_t)256 << 20) /* of a store's pages: a million samples are read in an order of their own */

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static enum infomask_status default_store(const struct estimate_run *run, char **path, struct infomask_error *err)
{
    char *folder;

    if (run->options->store != NULL) {
        *path = strdup(run->options->store);
        return *path != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    if (strcmp(run->cli->config.state, "sqlite") != 0) {
        *path = strdup(run->cli->config.state);
        return *path != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    folder = place_of_state(run->cli->config.state_dir);
    if (folder == NULL)
        return error_set(err, INFOMASK_IO, "there is no state folder; say --store FILE or --state-dir FOLDER");
    *path = file_join(folder, "estimates.db");
    free(folder);
    return *path != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
}

/* Why a server does not answer, which what fails in the end does not say. */
static void tell_on_stderr(void *context, const char *sentence)
{
    (void)fprintf(stderr, "infomask %s: %s\n", (const char *)context, sentence);
}

static enum infomask_status open_path(const struct estimate_run *run, const char *path, struct estimates **estimates,
                                      struct infomask_error *err)
{
    const struct config *config = &run->cli->config;
    const struct estimates_options options = {.max_bytes = config->state_limit,
                                              .logit_bytes = config->logits_limit > 0 ? config->logits_limit
                                                                                      : UINT64_MAX,
                                              .relaxed = strcmp(config->durability, "relaxed") == 0,
                                              .passing = path == run->temporary,
                                              .cache_bytes = CACHE_BYTES,
                                              .password_file = config->state_password,
                                              .tell = tell_on_stderr,
                                              .tell_context = (void *)(uintptr_t)run->cli->command};
    enum infomask_status status = estimates_open(path, &options, estimates, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.200s", path);
    return status;
}

enum infomask_status estimate_open_store(struct estimate_run *run, struct infomask_error *err)
{
    char *path = NULL;
    enum infomask_status status = default_store(run, &path, err);

    if (status == INFOMASK_OK)
        status = open_path(run, path, &run->estimates, err);
    free(path);
    return status;
}

struct only {
    size_t count;
    char id[ESTIMATE_ID_SIZE];
};

static bool count_one(void *context, const struct estimate_info *info)
{
    struct only *only = context;

    only->count++;
    memcpy(only->id, info->id, sizeof only->id);
    return true;
}

/* name NULL: the only one. */
static enum infomask_status find_in(struct estimates *estimates, const char *path, const char *name,
                                    char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    struct only only = {0};
    struct estimate_info info = {0};
    enum infomask_status status;

    if (name == NULL) {
        status = estimates_list(estimates, 0, 0, count_one, &only, err);
        if (status == INFOMASK_OK && only.count != 1)
            status = error_set(err, INFOMASK_ARGUMENT, "%.200s has %zu estimates; say which: FILE#NAME", path,
                               only.count);
        memcpy(id, only.id, sizeof only.id);
        return status;
    }
    status = estimates_find(estimates, name, &info, err);
    memcpy(id, info.id, sizeof info.id);
    estimate_info_fini(&info);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.200s", path);
    return status;
}

static bool is_file(const char *path)
{
    struct stat at;

    return stat(path, &at) == 0 && S_ISREG(at.st_mode);
}

enum infomask_status estimate_open_operand(struct estimate_run *run, const char *operand, struct estimates **estimates,
                                           char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    const char *hash = strrchr(operand, '#'), *name = operand;
    char *path = NULL;
    enum infomask_status status = INFOMASK_OK;

    if (is_file(operand)) {
        path = strdup(operand);
        name = NULL;
    } else if (hash != NULL && (path = strndup(operand, (size_t)(hash - operand))) != NULL && is_file(path)) {
        name = hash + 1;
    } else {
        free(path);
        path = NULL;
        status = default_store(run, &path, err);
        if (status == INFOMASK_OK && !store_is_server(path) && !is_file(path))
            status = error_set(err, INFOMASK_NO_SUCH_ESTIMATE, "there is neither a file nor an estimate \"%.150s\"",
                               operand);
    }
    if (status == INFOMASK_OK && path == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = open_path(run, path, estimates, err);
    if (status == INFOMASK_OK)
        status = find_in(*estimates, path, name, id, err);
    free(path);
    return status;
}

void estimate_of_groups(struct estimate_run *run)
{
    if (run->state.limits.units == run->state.limits.samples)
        return;
    run->state.report.standard_error = run->state.limits.standard_error;
    run->state.report.lower_limit_t = NAN;
}

enum infomask_status estimate_finish(struct estimate_run *run, const char *id, struct infomask_error *err)
{
    struct infomask_limits_of_estimate limits;
    enum infomask_status status = estimates_update_limits(run->estimates, id, &limits, err);

    if (status == INFOMASK_OK || status == INFOMASK_STATE_FULL) /* full: they are there, only not cached */
        status = estimates_read(run->estimates, id, run->options->suspects, &run->state, err);
    if (status == INFOMASK_OK) {
        run->state.limits = limits;
        estimate_of_groups(run);
    }
    return status;
}

/* ---- Merging ----------------------------------------------------------------------------------------------------- */

/* Without --store the sum is printed and forgotten. */
enum infomask_status estimate_open_target(struct estimate_run *run, struct infomask_error *err)
{
    int file;

    if (run->options->store != NULL)
        return estimate_open_store(run, err);
    (void)snprintf(run->temporary, sizeof run->temporary, "/tmp/infomask-estimate-XXXXXX");
    file = mkstemp(run->temporary);
    if (file < 0) {
        run->temporary[0] = '\0';
        return error_set(err, INFOMASK_IO, "no temporary file can be made in /tmp; say --store FILE");
    }
    (void)close(file);
    return open_path(run, run->temporary, &run->estimates, err);
}

enum infomask_status estimate_free_name(struct estimate_run *run, const char *name, struct infomask_error *err)
{
    struct estimate_info old = {0};
    enum infomask_status status = estimates_find(run->estimates, name, &old, err);

    if (status == INFOMASK_OK && !run->options->fresh)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "the store has an estimate \"%.100s\"; give another --name, or --fresh", name);
    else if (status == INFOMASK_OK)
        status = estimates_delete(run->estimates, old.id, err);
    else if (status == INFOMASK_NO_SUCH_ESTIMATE)
        status = INFOMASK_OK;
    estimate_info_fini(&old);
    return status;
}

static enum infomask_status create_like(struct estimate_run *run, struct estimates *first, const char *first_id,
                                        char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    const char *name = run->options->name != NULL ? run->options->name : "merged";
    struct estimate_info info = {0};
    enum infomask_status status = estimate_free_name(run, name, err);

    if (status == INFOMASK_OK)
        status = estimates_find(first, first_id, &info, err);
    if (status == INFOMASK_OK) {
        (void)snprintf(info.name, sizeof info.name, "%s", name);
        for (size_t y = 1; info.label != NULL && y < info.spec.classes; y++)
            info.labels[info.label[y] - info.labels - 1] = '\n'; /* lines again */
        free(info.label); /* made anew */
        info.label = NULL;
        status = estimates_create(run->estimates, &info, err);
        memcpy(id, info.id, sizeof info.id);
    }
    estimate_info_fini(&info);
    return status;
}

static enum infomask_status merge_one(struct estimate_run *run, const char *operand, bool first,
                                      char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    struct estimates *from = NULL;
    char from_id[ESTIMATE_ID_SIZE];
    enum infomask_status status = estimate_open_operand(run, operand, &from, from_id, err);

    if (status == INFOMASK_OK && first)
        status = create_like(run, from, from_id, id, err);
    if (status == INFOMASK_OK)
        status = estimates_merge(run->estimates, id, from, from_id, err);
    estimates_close(from);
    return status;
}

int estimate_merge(struct estimate_run *run)
{
    struct infomask_error err;
    char id[ESTIMATE_ID_SIZE] = "";
    enum infomask_status status = estimate_open_target(run, &err);

    for (int i = 0; status == INFOMASK_OK && i < run->cli->operand_count; i++) {
        status = merge_one(run, run->cli->operands[i], i == 0, id, &err);
        if (status != INFOMASK_OK) {
            struct infomask_error ignored;
            if (id[0] != '\0') /* half a merge is none */
                (void)!estimates_delete(run->estimates, id, &ignored);
            error_prefix(&err, "%.100s", run->cli->operands[i]);
        }
    }
    if (status == INFOMASK_OK)
        status = estimate_finish(run, id, &err);
    return status == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
}
