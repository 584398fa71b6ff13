/* A network as it is served beside the reference kernels: what models check prints, and models add asks for. */
#ifndef CLI_MODELS_CHECK_H
#define CLI_MODELS_CHECK_H

#include "app/json/json.h"
#include "cli/arguments.h"
#include "core/infomask_lab.h"

#define MODELS_CHECK_NOT_FINITE "its outputs for pictures of noise are infinite or not numbers, and tell no classes"

struct models_check {
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

/* Of a folder; keep: for the loads to come (app/model/check_record.h).  An error where it cannot be loaded or run at
 * all. */
enum infomask_status models_check_folder(const struct cli *cli, const char *folder, bool keep,
                                         struct models_check *check, struct infomask_error *err)
    __attribute__((warn_unused_result));
void models_check_print(const struct models_check *check);
void models_check_put(struct json_writer *writer, const char *key, const struct models_check *check);

#endif
