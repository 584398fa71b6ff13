/* Photos that were left out, and why: for the answer. */
#ifndef CLI_READ_REJECTED_H
#define CLI_READ_REJECTED_H

#include "app/json/json.h"

struct rejected_photo {
    char *sample, *detail;
    const char *code; /* borrowed */
};

struct rejected_list {
    struct rejected_photo *rows; /* owned, as are their texts */
    size_t count;
};

/* Without memory the photo is not listed. */
void rejected_add(struct rejected_list *list, const char *sample, const char *code, const char *detail);
/* An array of {"sample", "code", "detail"}. */
void rejected_put(struct json_writer *writer, const char *key, const struct rejected_list *list);
void rejected_fini(struct rejected_list *list);

#endif
