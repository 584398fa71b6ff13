#include "app/state/postgres/libpq.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A data pointer becomes one to a function by its bytes: C has no cast for it, POSIX says that they are alike. */
static bool look_up(void *library, const char *name, void *function, size_t size)
{
    void *found = dlsym(library, name);

    memcpy(function, &found, size);
    return found != NULL;
}

static bool fill(void *library, struct libpq *libpq)
{
    bool whole = true;

#define LIBPQ_LOOK_UP(result, name, parameters) \
    whole = look_up(library, "PQ" #name, &libpq->name, sizeof libpq->name) && whole;
    LIBPQ_FUNCTIONS(LIBPQ_LOOK_UP)
#undef LIBPQ_LOOK_UP
    return whole;
}

enum infomask_status libpq_open(struct libpq **out, struct infomask_error *err)
{
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    struct libpq *libpq;

    if (library == NULL)
        return error_set(err, INFOMASK_ARGUMENT,
                         "state: PostgreSQL's client library libpq.so.5 is not installed (Debian's package is libpq5)");
    libpq = calloc(1, sizeof *libpq);
    if (libpq == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    if (!fill(library, libpq)) {
        free(libpq);
        return error_set(err, INFOMASK_ARGUMENT, "state: this libpq.so.5 is too old");
    }
    *out = libpq;
    return INFOMASK_OK;
}
