/* What an earlier run wrote: the photos of a file of JSON lines, or of a table, that have their answer. */
#ifndef CLI_BATCH_DONE_H
#define CLI_BATCH_DONE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct done {
    char **files; /* a hash table, open addressing; NULL: empty */
    size_t count, capacity;
};

/* Reads the lines of `path` that hold an answer, {KEY: NAME, ...}.  Those that hold a problem, or were cut, leave
 * the file (by a new one that takes its name), so that they are tried again.  A file that is not there is empty.
 * asked: what the lines' member "asked", where they have one, has to be; NULL: anything.  BAD_DATA: a line that is not
 * of this program, or was asked something else. */
enum infomask_status done_read(struct done *done, const char *path, const char *key, const char *asked,
                               struct infomask_error *err) __attribute__((warn_unused_result));
/* The first column of a table (tabs between the columns, the first line is its head); a last line that was cut is cut
 * off.  *begun: it has its head.  asked: what the last column has to be, if it is called so; else BAD_DATA. */
enum infomask_status done_read_table(struct done *done, const char *path, const char *asked, bool *begun,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
#define DONE_UNTOUCHED "untouched"
#define DONE_NO_ROOM "no room"
/* What its line says of the photo: its verdict; DONE_UNTOUCHED: the target is not there; DONE_NO_ROOM: it is, and
 * stays; else "".  It is the done's.  NULL: it has no line. */
const char *done_find(const struct done *done, const char *file);
void done_fini(struct done *done);

#endif
