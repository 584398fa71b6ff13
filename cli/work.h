/* What the commands share that look at photos: the threads, the model with a session, and a photo from a file. */
#ifndef CLI_WORK_H
#define CLI_WORK_H

#include "app/ask/ask.h"
#include "app/json/json.h"
#include "app/model/folder_write.h"
#include "app/model/load.h"
#include "cli/arguments.h"
#include "core/infomask.h"

struct work {
    const struct cli *cli;
    struct pool *pool;
    struct ask ask; /* with a session, for what is done on one thread */
};

/* Makes all of it from the settings and parameters.  Returns -1 to go on (then work_close), else the exit code. */
int work_open(struct work *work, struct cli *cli) __attribute__((warn_unused_result));
/* The same for a MODEL argument (NULL: the setting), without a session; complains of nothing.  *problem: what a failure
 * is to a client.  work_close in any case. */
enum infomask_status work_take(struct work *work, const struct cli *cli, const char *model,
                               enum view_problem *problem, struct infomask_error *err)
    __attribute__((warn_unused_result));
void work_close(struct work *work);

/* load_options, and warnings go to standard error. */
enum infomask_status work_model_options(const struct config *config, struct pool *pool, struct model_options *options,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
/* load_model with those. */
enum infomask_status work_load(const struct config *config, struct pool *pool, const char *name, struct model **model,
                               struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- One photo --------------------------------------------------------------------------------------------------- */

struct shot {
    const char *path;
    char *bytes;
    size_t size;
    struct infomask_photo *photo;
    struct infomask_classification classification;
    struct view_head head;
};

/* Reads, looks at the header, and classifies.  whole: a mask or a filter follows.  On failure the shot is empty. */
enum infomask_status shot_open(const struct work *work, struct infomask_session *session, const char *path, bool whole,
                               struct shot *shot, struct infomask_error *err) __attribute__((warn_unused_result));
void shot_close(struct shot *shot);

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* The text of a writer to a file or standard output ("-" or NULL). */
enum infomask_status write_json(struct json_writer *writer, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* 2 for a person at a terminal, else 0 (one line). */
int json_indent(bool pretty);

#endif
