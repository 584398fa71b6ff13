/* The names of a model's classes: labels.txt, one class a line, its label and then its aliases with tabs between them.
 * Immutable after labels_parse; any thread may read. */
#ifndef APP_MODEL_LABELS_H
#define APP_MODEL_LABELS_H

#include <stddef.h>

#include "core/base/status.h"

#define LABELS_LONGEST 255 /* bytes of one name */

struct label_name {
    const char *name;
    size_t index; /* of the class */
};

struct labels {
    size_t count;             /* classes */
    char *text;               /* all names, each with its NUL */
    const char **names;       /* [first[count]] label and aliases of class 0, of class 1, ... */
    size_t *first;            /* [count + 1] where each class's names begin */
    struct label_name *order; /* [first[count]] by name, then index */
};

/* `size` bytes of labels.txt (copied).  BAD_MODEL with the line and what was wrong: no name, not UTF-8, a control
 * character, more than 255 bytes. */
enum infomask_status labels_parse(const char *text, size_t size, struct labels *labels, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* 0, 1, 2, ... for a model without labels. */
enum infomask_status labels_number(size_t count, struct labels *labels, struct infomask_error *err)
    __attribute__((warn_unused_result));
void labels_fini(struct labels *labels);

/* Up to three names of `names` [count] that are like the one asked for, quoted and with commas. */
#define LABELS_LIST 192
void labels_nearest(const char *const *names, size_t count, const char *asked, char *list, size_t size);

enum labels_status { LABELS_FOUND, LABELS_UNKNOWN, LABELS_AMBIGUOUS };
/* As model_find_class (app/model/models.h). */
enum labels_status labels_find(const struct labels *labels, const char *name, int *index, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
