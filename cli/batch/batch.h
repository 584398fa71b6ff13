/* The loop over the photos of classify, mask and filter: on every core, results in the order of the names as they come,
 * what is done is kept when it is ended, and a photo that cannot be read is one sentence. */
#ifndef CLI_BATCH_BATCH_H
#define CLI_BATCH_BATCH_H

#include <stdio.h>

#include "cli/batch/photos.h"
#include "cli/batch/output.h"
#include "cli/work.h"

/* A photo while it is worked on. */
struct batch_item {
    const char *path;             /* to open */
    const char *target;           /* where its picture goes; NULL: standard output */
    const struct output *output;
    struct infomask_session *session; /* for this photo alone */
    struct json_writer writer;    /* forms JSON and LINES: one value */
    FILE *text;                   /* form TEXT */
    FILE *said;                   /* what people are told on standard error; NULL when they want to hear nothing */
    bool over;                    /* the step failed as every other would (output_is_over): the run ends */
};

/* Does one photo.  Runs on any worker, for several photos at once. */
typedef enum infomask_status batch_step(struct work *work, struct batch_item *item, void *context,
                                        struct infomask_error *err);

/* Lists the photos of the operands and of --files-from, settles what the output will be (output_open), and checks that
 * no photo would be written over; complains.  Returns -1 to go on (then photos_close), else the exit code. */
int batch_list(struct photos *photos, const struct cli *cli, struct output *output, const struct output_spec *spec)
    __attribute__((warn_unused_result));
/* All of them through `step`; returns the exit code: CLI_FAILED if a photo failed, 128 and the signal when one ended
 * it. */
int batch_run(struct work *work, struct photos *photos, const struct output *output, batch_step *step, void *context);

#endif
