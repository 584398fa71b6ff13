/* Labelled photos into an estimate: opened, classified in batches, added in one transaction.  What is wrong with one
 * photo is that photo's; the others go on. */
#ifndef APP_ESTIMATE_LABEL_PHOTOS_H
#define APP_ESTIMATE_LABEL_PHOTOS_H

#include "app/model/models.h"
#include "app/state/estimates.h"
#include "app/view/problem.h"

#define LABEL_BATCH 8 /* photos of one pass of the network */

struct label_photo {
    const char *sample; /* its id */
    const void *data;   /* the encoded photo, borrowed */
    size_t size;
    int label;          /* its class */
    uint64_t unit;      /* as estimate_item.unit */
    /* out; rejected may be set before, by label_reject: then the photo is not looked at */
    bool rejected, classified, added, duplicate;
    bool conflict;             /* rejected because the store knows the sample otherwise */
    enum view_problem problem; /* of a rejected one, with its sentence */
    char detail[INFOMASK_ERROR_TEXT];
    struct infomask_timing timing; /* of a classified one */
};

struct label_target {
    struct estimates *estimates;
    const char *id;  /* of the estimate, which is of this model */
    const struct model *model;
    struct infomask_session *session;
    const struct infomask_limits *limits;
    const char *other_sample; /* what to do where another photo has the id: the end of a sentence */
    void (*progress)(void *context, size_t done, size_t count); /* NULL: none */
    void *context;
};

/* *samples: how many the estimate has then.  On failure nothing was added; what was rejected stays so. */
enum infomask_status label_photos(const struct label_target *target, struct label_photo *photos, size_t count,
                                  uint64_t *samples, struct infomask_error *err) __attribute__((warn_unused_result));

/* detail: copied, cut to its room. */
void label_reject(struct label_photo *photo, enum view_problem problem, const char *detail);
/* The same for what estimates_add said of a sample that it knows with other bytes or another label. */
void label_reject_conflict(struct label_photo *photo, const struct label_target *target,
                           const struct estimate_item *item);

#endif
