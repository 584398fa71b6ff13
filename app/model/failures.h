/* Model folders that could not be loaded, by name, each with the reason: what the catalogue tells beside its models. */
#ifndef APP_MODEL_FAILURES_H
#define APP_MODEL_FAILURES_H

#include <stddef.h>

struct model_failure {
    char *name, *reason;
};

struct model_failures {
    struct model_failure *list; /* [count], in the order in which they were met; owned */
    size_t count;
};

/* Adds one (both strings are copied); without memory it is left out. */
void model_failures_add(struct model_failures *failures, const char *name, const char *reason);
/* Why the folder of that name could not be loaded; NULL: it is not among them. */
const char *model_failures_find(const struct model_failures *failures, const char *name);
/* A copy for the caller; what there is no memory for is left out. */
struct model_failures model_failures_copy(const struct model_failures *failures);
void model_failures_fini(struct model_failures *failures);

#endif
