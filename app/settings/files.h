/* Whole files into memory, under a limit. */
#ifndef APP_SETTINGS_FILES_H
#define APP_SETTINGS_FILES_H

#include <stddef.h>

#include "core/base/status.h"

/* The file's bytes (malloc'ed, one NUL after them) and their number.  At most `limit` bytes: more is LIMIT.  IO with a
 * sentence ("cannot be read: No such file or directory") that the caller puts the name before.  "-": standard input. */
enum infomask_status file_read(const char *path, size_t limit, char **data, size_t *size, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The same of a file that is open, from where it stands to its end; it stays open. */
enum infomask_status file_read_from(int fd, size_t limit, char **data, size_t *size, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The same of a path that somebody else has filled: "-" is a name like others, and what is no regular file (a pipe that
 * nobody writes to would be waited for) is refused. */
enum infomask_status file_read_regular(const char *path, size_t limit, char **data, size_t *size,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

/* The whole of `data` into `path` ("-": standard output), by a temporary file beside it that takes its name when it is
 * complete, so that nobody sees half of it.  A device, a pipe and what a symbolic link names are written in place.
 * INFOMASK_IO: errno says why. */
enum infomask_status file_write(const char *path, const void *data, size_t size, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Makes the folders that lead to `path`, which is a file's; those that are there are left.  IO with a sentence. */
enum infomask_status file_make_parents(const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* folder/name, malloc'ed; NULL without memory. */
char *file_join(const char *folder, const char *name);

/* The last part of a path, borrowed from it: sentences for users hold no path of the machine. */
const char *file_name(const char *path);

#endif
