/* What an earlier run wrote: the photos of a file of JSON lines that have their answer. */
#ifndef CLI_BATCH_DONE_H
#define CLI_BATCH_DONE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct done {
    char **files; /* a hash table, open addressing; NULL: empty */
    size_t count, capacity;
};

/* Reads the lines of `path` that hold an answer, {"file": NAME, ...}.  Those that hold a problem, or were cut, leave
 * the file (by a new one that takes its name), so that they are tried again.  A file that is not there is empty.
 * BAD_DATA: a line that is not of this program. */
enum infomask_status done_read(struct done *done, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
bool done_has(const struct done *done, const char *file);
void done_fini(struct done *done);

#endif
