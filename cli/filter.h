/* What the files of `infomask filter` share: photos named one by one (filter.c), and all of a folder (filter_folder.c).
 */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <stdatomic.h>

#include "cli/batch/output.h"
#include "cli/batch/photos.h"
#include "cli/cli.h"
#include "cli/work.h"

struct filtering {
    struct output output;
    enum infomask_verdict require; /* NO_VERDICT: anything is well */
    atomic_bool fell_short;
    const char *mask;  /* a file */
    const char *sheet; /* of a folder: where the contact sheet goes; NULL: none */
    bool tsv;          /* of a folder: the list as TSV, else JSON lines */
};

/* Is it all of a folder or of a list?  (Pictures, that is.) */
bool filter_is_folder(const struct cli *cli, const struct output *output);
/* -1 to go on, else the exit code: what cannot be. */
int filter_folder_check(const struct cli *cli, const struct filtering *filtering);
/* All of the photos, on the pool; returns the exit code. */
int filter_folder(struct work *work, struct filtering *filtering, const struct photos *photos);

#endif
