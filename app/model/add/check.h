/* A network as it is served beside the reference kernels: what models check tells, and models add asks for. */
#ifndef APP_MODEL_ADD_CHECK_H
#define APP_MODEL_ADD_CHECK_H

#include "app/json/json.h"
#include "app/settings/config.h"
#include "core/infomask_lab.h"

#define MODEL_CHECK_NOT_FINITE "its outputs for pictures of noise are infinite or not numbers, and tell no classes"

struct model_check {
    bool equal, not_finite, constant; /* its outputs, see infomask_model_info */
    double error, most; /* largest difference, and what rounding may do, as a share of the spread of the outputs */
    double ms;        /* median of one pass on one photo, all threads */
    size_t weight_bytes, session_bytes;
    size_t classes;
    int width, height, channels;
    bool has[INFOMASK_METHODS]; /* of making maps */
    char methods[80];           /* their names */
    const char *why_not;        /* of the first that it has not; NULL: it has all */
    char isa[16], precision[16], sha256[65];
    const char *preset, *preset_reason; /* of a file without a folder: what models add would take; else NULL */
    bool preset_known;
};

struct model_check_of {
    const char *name;   /* a MODEL argument; NULL: the setting */
    const char *folder; /* or, unless NULL, a folder, whose model has no rounded weights */
    bool keep;          /* what is found, for the loads to come (app/model/check_record.h) */
    void (*warn)(void *context, const char *sentence); /* of what can be gone on with; may be NULL */
};

/* An error where the model cannot be loaded or run at all. */
enum infomask_status model_check(const struct config *config, const struct model_check_of *of,
                                 struct model_check *check, struct infomask_error *err)
    __attribute__((warn_unused_result));
struct model_check_of_file {
    const char *path, *output; /* output: the tensor to take, NULL: the file's first */
    int width, height;         /* of a photo, where the file leaves it open; 0: 224 */
};

/* Of an ONNX file without a folder: what it tells of itself, and `of`, is all there is, and nothing is kept. */
enum infomask_status model_check_file(const struct config *config, const struct model_check_of_file *of,
                                      struct model_check *check, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* May photos of that size (0: not said) be asked of it?  ARGUMENT where the file fixes another. */
enum infomask_status model_fits_size(const struct infomask_inspection *file, int width, int height,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

void model_check_put(struct json_writer *writer, const char *key, const struct model_check *check);

#endif
