#include "cli/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/batch/interrupt.h"
#include "cli/cli.h"
#include "cli/read/photo_list.h"
#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"

/* ---- Threads and model ------------------------------------------------------------------------------------------- */

enum infomask_status work_model_options(const struct config *config, struct pool *pool, struct model_options *options,
                                        struct infomask_error *err)
{
    enum infomask_status status = load_options(config, pool, options, err);

    options->warn = cli_warns;
    return status;
}

enum infomask_status work_load(const struct config *config, struct pool *pool, const char *name, struct model **model,
                               struct infomask_error *err)
{
    struct model_options options;
    enum infomask_status status = work_model_options(config, pool, &options, err);

    return status == INFOMASK_OK ? load_model(config, name, &options, model, err) : status;
}

enum infomask_status work_take(struct work *work, const struct cli *cli, const char *name, enum view_problem *problem,
                               struct infomask_error *err)
{
    struct model *model = NULL;
    enum infomask_status status;

    *work = (struct work){.cli = cli};
    *problem = VIEW_INTERNAL;
    status = load_pool(&cli->config, &work->pool, err);
    if (status == INFOMASK_OK)
        status = work_load(&cli->config, work->pool, name, &model, err);
    return status == INFOMASK_OK ? ask_open(&work->ask, model, &cli->params, problem, err) : status;
}

int work_open(struct work *work, struct cli *cli)
{
    enum view_problem problem;
    struct infomask_error err;
    enum infomask_status status = work_take(work, cli, NULL, &problem, &err);

    if (status == INFOMASK_OK)
        status = ask_session(&work->ask, &err);
    if (status == INFOMASK_OK)
        return -1;
    work_close(work);
    return problem == VIEW_BAD_PARAMETER ? cli_misused(cli->command, "%s", err.text)
                                         : cli_fails(cli->command, "%s", err.text);
}

void work_close(struct work *work)
{
    ask_close(&work->ask);
    pool_free(work->pool);
}

/* ---- One photo --------------------------------------------------------------------------------------------------- */

/* -1 with errno.  A pipe is waited for (it is opened without waiting for a writer), unless a signal ends the wait. */
static int open_photo(const char *path)
{
    bool input = strcmp(path, "-") == 0;
    int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat at;

    if (fd < 0 || (fstat(fd, &at) == 0 && !S_ISFIFO(at.st_mode)))
        return fd;
    if (!interrupt_await_input(fd)) {
        if (!input)
            (void)close(fd);
        errno = EINTR;
        return -1;
    }
    if (!input)
        (void)fcntl(fd, F_SETFL, 0); /* from here on its writer is waited for */
    return fd;
}

static enum infomask_status read_photo(const struct work *work, struct shot *shot, struct infomask_error *err)
{
    int fd = open_photo(shot->path);
    size_t most = work->cli->config.max_body;
    enum infomask_status status;

    if (fd < 0)
        return error_set(err, INFOMASK_IO, "cannot be read: %s", strerror(errno));
    status = photo_was_read(file_read_from(fd, most, &shot->bytes, &shot->size, err), most, err);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return status;
}

enum infomask_status shot_open(const struct work *work, struct infomask_session *session, const char *path, bool whole,
                               struct shot *shot, struct infomask_error *err)
{
    struct infomask_limits limits = ask_limits(&work->cli->config);
    double started_ms = clock_ms();
    enum infomask_status status;

    *shot = (struct shot){.path = path};
    status = read_photo(work, shot, err);
    if (status == INFOMASK_OK)
        status = infomask_photo_open(shot->bytes, shot->size, &limits, &shot->photo, err);
    if (status == INFOMASK_OK && whole)
        infomask_photo_whole(shot->photo);
    if (status == INFOMASK_OK)
        status = infomask_classify(session, shot->photo, &work->ask.options.classify, &shot->classification, err);
    if (status != INFOMASK_OK) {
        shot_close(shot);
        return status;
    }
    shot->head = ask_head(&work->ask, infomask_photo_info(shot->photo));
    shot->head.started_ms = started_ms;
    return INFOMASK_OK;
}

void shot_close(struct shot *shot)
{
    infomask_classification_fini(&shot->classification);
    infomask_photo_close(shot->photo);
    free(shot->bytes);
    *shot = (struct shot){0};
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

int json_indent(bool pretty)
{
    return pretty || isatty(STDOUT_FILENO) ? 2 : 0;
}

enum infomask_status write_json(struct json_writer *writer, const char *path, struct infomask_error *err)
{
    enum infomask_status status;
    char *text = NULL;
    size_t size;

    if (path == NULL)
        path = "-";
    status = json_writer_take(writer, &text, &size, err);
    if (status == INFOMASK_OK)
        status = file_write(path, text, size, err);
    if (status == INFOMASK_IO)
        error_prefix(err, "%.120s", strcmp(path, "-") == 0 ? "standard output" : path);
    free(text);
    return status;
}
