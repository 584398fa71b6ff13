/* A model folder of an ONNX file: what models add and models fetch share. */
#ifndef CLI_MODELS_ADD_H
#define CLI_MODELS_ADD_H

#include "cli/arguments.h"
#include "cli/models/check.h"
#include "cli/models/preset.h"

/* What was asked for; NULL and 0: left to the file, or assumed.  All strings are borrowed. */
struct models_add_request {
    const char *file, *name, *labels, *color, *head, *output, *version, *licence, *source;
    const struct preset *preset;
    double mean[3], std[3];
    int mean_count, std_count, width, height;
    const char *classes; /* text of labels.txt, instead of a file */
    bool replace, no_check;
};

/* What came of it. */
struct models_added {
    struct infomask_inspection file;
    const struct preset *preset;
    bool known;         /* the preset is more than a guess */
    const char *reason; /* why it is this one */
    const char *head;
    bool assumed_size, assumed_labels;
    int width, height;
    char *labels; /* text of labels.txt; owned; NULL: none */
    size_t labels_size;
    struct models_check check;
};

/* Makes the folder whole or not at all.  ARGUMENT, BAD_MODEL, UNSUPPORTED_MODEL, IO with a sentence for the user. */
enum infomask_status models_add_file(const struct cli *cli, const struct models_add_request *request,
                                     struct models_added *added, struct infomask_error *err)
    __attribute__((warn_unused_result));
void models_added_fini(struct models_added *added);

#endif
