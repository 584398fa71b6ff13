/* A model folder of somebody's ONNX file: looked at, described, tried beside the reference kernels. */
#ifndef APP_MODEL_ADD_ADD_H
#define APP_MODEL_ADD_ADD_H

#include "app/model/add/check.h"
#include "app/model/add/hub.h"
#include "app/model/add/preset.h"

/* What was asked for; NULL and 0: left to the file, or assumed.  All strings are borrowed. */
struct model_add {
    const char *file, *name, *labels, *color, *head, *output, *version, *licence, *source;
    const struct preset *preset;
    double mean[3], std[3];
    int mean_count, std_count, width, height;
    const char *classes; /* text of labels.txt, instead of a file */
    bool replace, no_check;
    void (*warn)(void *context, const char *sentence); /* of the check; may be NULL */
};

/* What came of it. */
struct model_added {
    struct infomask_inspection file;
    struct hub hub;
    const struct preset *preset; /* a known one, the hub's, or own */
    struct preset own;
    bool known;         /* the preset is more than a guess */
    const char *reason; /* why it is this one */
    const char *head;
    bool assumed_size, assumed_labels;
    bool told_labels; /* by the file itself */
    bool hub_labels;  /* by config.json beside it */
    int width, height;
    char *labels; /* text of labels.txt; owned; NULL: none */
    size_t labels_size;
    struct model_check check;
};

/* Makes the folder whole or not at all.  ARGUMENT, BAD_MODEL, UNSUPPORTED_MODEL, IO with a sentence for the user. */
enum infomask_status model_add(const struct config *config, const struct model_add *request, struct model_added *added,
                               struct infomask_error *err) __attribute__((warn_unused_result));
/* Its model.json. */
void model_added_put(struct json_writer *writer, const char *key, const struct model_added *added,
                     const struct model_add *request, const char *name);
/* What was asked for otherwise than the preset has it: "mean", "std", "color"; how many. */
int model_added_changed(const struct model_add *request, const struct model_added *added, const char *changed[3]);
void model_added_fini(struct model_added *added);

#endif
