/* Where the picture of each photo goes below a folder: the place of the photo below its own, with the picture's ending.
 */
#ifndef CLI_BATCH_TARGETS_H
#define CLI_BATCH_TARGETS_H

#include "cli/batch/photos.h"
#include "cli/batch/output.h"

/* targets[i] of photos->entries[i], malloc'ed: OUT/sub/x.png of sub/x.jpg, and OUT/sub/x.jpg.png where sub/x.gif is
 * there too. Output is no folder: its path for every one (NULL: standard output).  ARGUMENT: two photos would go into
 * one file, or a photo would be written over. */
enum infomask_status targets_make(const struct photos *photos, const struct output *output, char ***targets,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
void targets_free(char **targets, size_t count);

#endif
