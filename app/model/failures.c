#include "app/model/failures.h"

#include <stdlib.h>
#include <string.h>

void model_failures_add(struct model_failures *failures, const char *name, const char *reason)
{
    struct model_failure *more = realloc(failures->list, (failures->count + 1) * sizeof *more);
    struct model_failure added = {strdup(name), strdup(reason)};

    if (more != NULL)
        failures->list = more;
    if (more == NULL || added.name == NULL || added.reason == NULL) {
        free(added.name);
        free(added.reason);
        return;
    }
    failures->list[failures->count++] = added;
}

const char *model_failures_find(const struct model_failures *failures, const char *name)
{
    for (size_t i = 0; i < failures->count; i++)
        if (strcmp(failures->list[i].name, name) == 0)
            return failures->list[i].reason;
    return NULL;
}

struct model_failures model_failures_copy(const struct model_failures *failures)
{
    struct model_failures copy = {0};

    for (size_t i = 0; i < failures->count; i++)
        model_failures_add(&copy, failures->list[i].name, failures->list[i].reason);
    return copy;
}

void model_failures_fini(struct model_failures *failures)
{
    for (size_t i = 0; i < failures->count; i++) {
        free(failures->list[i].name);
        free(failures->list[i].reason);
    }
    free(failures->list);
    *failures = (struct model_failures){0};
}
