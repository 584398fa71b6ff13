/* What classify, mask and filter share: the threads, the model with a session, photos from files, and results to where
 * the user wants them. */
#ifndef CLI_WORK_H
#define CLI_WORK_H

#include "app/json/json.h"
#include "app/model/models.h"
#include "app/settings/params.h"
#include "app/view/views.h"
#include "cli/arguments.h"
#include "core/infomask.h"

struct work {
    struct cli *cli;
    struct pool *pool;
    struct model *model;
    struct infomask_session *session;
    struct param_options options; /* what the parameters mean for this model; not to be copied */
};

/* Makes all of it from the settings and parameters.  Returns -1 to go on (then work_close), else the exit code. */
int work_open(struct work *work, struct cli *cli) __attribute__((warn_unused_result));
void work_close(struct work *work);

/* The setting `precision`, one of its words. */
enum infomask_precision work_precision(const struct config *config);
/* Settings to what models_create takes; needs a pool (may be NULL).  ARGUMENT for kernels or a precision that is not
 * here. */
enum infomask_status work_model_options(const struct config *config, struct pool *pool, struct model_options *options,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
/* The pool of the setting `threads`. */
enum infomask_status work_pool(const struct config *config, struct pool **pool, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The model of a MODEL argument (NULL: the setting `model`, or the default one), loaded. */
enum infomask_status work_model(const struct config *config, const char *name, const struct model_options *options,
                                struct model **model, struct infomask_error *err) __attribute__((warn_unused_result));
/* The limits of photos in the settings. */
struct infomask_limits work_photo_limits(const struct config *config);

/* ---- One photo -------------------------------------------------------------------------------------------------------- */

struct shot {
    const char *path;
    char *bytes;
    size_t size;
    struct infomask_photo *photo;
    struct infomask_classification classification;
    struct view_head head;
};

/* Reads, looks at the header, and classifies.  whole: a mask or a filter follows.  On failure the shot is empty. */
enum infomask_status shot_open(struct work *work, const char *path, bool whole, struct shot *shot,
                               struct infomask_error *err) __attribute__((warn_unused_result));
void shot_close(struct shot *shot);

/* ---- Output ----------------------------------------------------------------------------------------------------------- */

struct output {
    const char *path;      /* -o; NULL: standard output */
    const char *extension; /* of a picture: "png", "jpg"; NULL: JSON */
    bool folder;           /* path is a folder: one picture a photo, named as the photo */
    bool quiet, pretty;
    bool show;             /* pictures are drawn on the terminal, beside -o if that is given */
    int count;             /* photos */
};

/* Checks -o against what is to be written, and makes the folder; complains on standard error.  Returns -1 to go on, else
 * the exit code. */
int output_open(struct output *output, const struct cli *cli) __attribute__((warn_unused_result));
/* Writes a picture of the photo at `path`. */
enum infomask_status output_picture(const struct output *output, const char *path,
                                    const struct infomask_encoded *encoded, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* One line about it on standard error, unless quiet or the picture goes to standard output. */
void output_tell(const struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- The loop over the files --------------------------------------------------------------------------------------------- */

/* Does one photo: writes its JSON into `writer` (as the top or an array's entry), or its picture. */
typedef enum infomask_status work_step(struct work *work, const struct output *output, const char *path,
                                       struct json_writer *writer, void *context, struct infomask_error *err);

/* Every operand through `step`, on the pool.  JSON of one photo is the service's object; that of several is
 * {"results": [...]} with a problem where a photo was bad.  Returns the exit code. */
int work_files(struct work *work, const struct output *output, work_step *step, void *context);

/* The text of a writer to a file or standard output ("-" or NULL). */
enum infomask_status write_json(struct json_writer *writer, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* 2 for a person at a terminal, else 0 (one line). */
int json_indent(bool pretty);

#endif
