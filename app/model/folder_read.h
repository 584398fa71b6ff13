/* One model folder as it lies on disk: model.json and labels.txt, checked, as the plain values that core takes. */
#ifndef APP_MODEL_FOLDER_READ_H
#define APP_MODEL_FOLDER_READ_H

#include <stdint.h>

#include "app/json/json.h"
#include "app/model/groups.h"
#include "app/model/labels.h"
#include "core/infomask.h"

#define MODEL_FOLDER_FILES 7

/* What tells that a folder's files were changed. */
struct model_stamp {
    int64_t size[MODEL_FOLDER_FILES], seconds[MODEL_FOLDER_FILES], nanoseconds[MODEL_FOLDER_FILES];
    uint64_t inode[MODEL_FOLDER_FILES];
};

struct model_folder {
    char *path;
    const char *name, *version;      /* the document's */
    struct json *document;           /* model.json, unknown keys included */
    struct labels labels;            /* count 0: the folder has none */
    struct groups groups;            /* of groups.tsv; count 0: the folder has none */
    char *network_path, *labels_path, *groups_path, *int8_path; /* int8_path: where the precision wants it */
    char *head_path;                 /* head.npy, if it is there */
    float *embeddings;               /* of it */
    double *prior, *logit_prior;     /* [labels.count]; NULL: not given as numbers */
    struct infomask_model_spec spec; /* its pointers belong to this struct */
    struct model_stamp stamp;
};

typedef void model_warn(void *context, const char *sentence);

/* precision: INT8 takes the folder's int8 file (BAD_MODEL if it has none); AUTO the fastest that the kernels `isa`
 * (NULL or "auto": the best) have and whose agreement with f32 the folder records as at least 0.99 ("precisions"). spec
 * tells which it became.  warn (may be NULL) hears of unknown keys. BAD_MODEL, with a sentence that begins with the
 * file's name and names the key and what it should be; IO; MEMORY. */
enum infomask_status model_folder_read(const char *path, enum infomask_precision precision, const char *isa,
                                       model_warn *warn, void *context, struct model_folder *folder,
                                       struct infomask_error *err)
    __attribute__((warn_unused_result));
void model_folder_fini(struct model_folder *folder);

/* The stamps of the files as they are now; a missing file is all zeros. */
struct model_stamp model_folder_stamp(const struct model_folder *folder);

#endif
