/* A model folder that is made: written beside its place, tried, and renamed when it is whole, so that nobody serves a
 * half. What a killed process left is removed by the next one that makes the same model. */
#ifndef APP_MODEL_FOLDER_WRITE_H
#define APP_MODEL_FOLDER_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "app/json/json.h"
#include "core/base/status.h"

struct folder_write {
    char *path, *part; /* what it will be, what it is until then; owned */
    const char *name;  /* in path */
    bool replace;
    bool tried; /* it was loaded, and can be served */
};

/* name: of a folder where new ones go (place_of_new_models of the setting models_dir), or a path; the folders above it
 * are made.  ARGUMENT if it
 * is there, unless `replace` and it is a model's, and for a name that a model cannot have; IO. */
enum infomask_status folder_write_open(struct folder_write *folder, const char *models_dir, const char *name,
                                       bool replace, struct infomask_error *err) __attribute__((warn_unused_result));
/* The path of a file in it; malloc'ed. */
char *folder_write_file(const struct folder_write *folder, const char *name);
enum infomask_status folder_write_text(const struct folder_write *folder, const char *name, const char *text,
                                       size_t size, struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status folder_write_json(const struct folder_write *folder, const char *name, struct json_writer *writer,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
/* labels.txt, and prior.txt of the natural prior; [count] each. */
enum infomask_status folder_write_classes(const struct folder_write *folder, const char *const *names, size_t count,
                                          const double *prior, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Loads it, unless that was `tried`, to see that it can be served, and gives it its place. */
enum infomask_status folder_write_finish(struct folder_write *folder, struct infomask_error *err)
    __attribute__((warn_unused_result));
void folder_write_close(struct folder_write *folder); /* removes what is not finished */

#endif
