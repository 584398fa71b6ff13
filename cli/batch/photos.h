/* The photos of a command line: files, folders with all that is below them, and names read from a file or a pipe. */
#ifndef CLI_BATCH_PHOTOS_H
#define CLI_BATCH_PHOTOS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct photo_entry {
    char *path;         /* to open; "-": standard input */
    const char *sample; /* within path: what follows the folder that was named, or the file's own name */
    bool found;         /* it was met in a folder, where other files may lie */
    int failure;        /* errno of a folder that cannot be read; 0: it is a photo to try */
};

/* An array that grows by photos_take, in the order of the names; those of a folder are sorted by bytes. */
struct photos {
    struct photo_entry *entries;
    size_t count, capacity, taken;
    struct names *more; /* the list that is still read; NULL: all names are known */
};

/* operands: files and folders.  list: a file of names, one a line or ended by NULs ("-": standard input, read as it
 * comes); NULL: none.  A name of the list that is a relative path counts from the folder that the command is called in.
 * whole: the list is read to its end before anything is done. */
enum infomask_status photos_open(struct photos *photos, char *const *operands, int count, const char *list, bool whole,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
void photos_close(struct photos *photos);

/* The next one, its strings borrowed until photos_forget or photos_close.  False: there is none, or (wait false) none
 * yet; *end says which, and err (status OK: nothing is wrong) why a list ended early.  Waiting ends with a signal. */
bool photos_take(struct photos *photos, bool wait, struct photo_entry *entry, bool *end, struct infomask_error *err);
/* Frees those of a list that is still read that were taken: one without end needs no more memory than what is at hand.
 */
void photos_forget(struct photos *photos);

/* Columns for the names in a list of lines: those of the longest that is known, within reason. */
int photos_name_width(const struct photos *photos);

#endif
