/* Results to JSON, as api.md sections 2.1 to 2.4 show them: the service and the command line print through here.
 *
 * Core's values are nats; a view converts every information, entropy and log-probability to the units asked for, and
 * nothing else.  Views write into a json_writer (app/json/json.h), whose sticky failure makes each of them void.
 */
#ifndef APP_VIEW_VIEWS_H
#define APP_VIEW_VIEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/json/json.h"
#include "app/model/models.h"
#include "app/view/problem.h"
#include "core/infomask_mask.h"

enum view_units { VIEW_NATS, VIEW_BITS };
const char *view_units_name(enum view_units units);       /* "nats", "bits" */
double view_units_factor(enum view_units units);          /* 1, 1 / ln 2: value = factor * nats */

/* What every reply begins and ends with. */
struct view_head {
    const char *request_id;                   /* NULL: left out (the command line) */
    const char *file;                         /* the upload's name where several are answered; NULL: left out */
    const struct model *model;
    const struct infomask_photo_info *image;
    enum view_units units;
    const char *prior;                        /* "train", "uniform", "given" */
    double queue_ms;                          /* time in the queue */
    double started_ms;                        /* clock_ms() when the request came in */
};

/* The phases of one step to those of others; of NULL none are added. */
void view_timing_add(struct infomask_timing *sum, const struct infomask_timing *timing);

/* ---- Replies: each writes one whole object, as a member `key` or, with NULL, as an array's entry or the top ------ */

struct view_classify_options {
    int top_k;            /* rows of predictions */
    int target;           /* also the row of this class or group under `target`; -1: none */
    bool groups;          /* the groups of each prediction, and `surely` */
    double abstain_below; /* nats; NAN: never */
};
void view_classify(struct json_writer *writer, const char *key, const struct view_head *head,
                   const struct infomask_classification *classification, const struct view_classify_options *options);

/* A picture for a reply: base64 under `pictures`, by its name ("mask", "overlay", "saliency", "map", "image"). */
struct view_picture {
    const char *name;
    const struct infomask_encoded *encoded;
};

/* 2.2: head, target(s), map(s), mask, with the picture "mask" in base64; other pictures (output=overlay with
 * format=json) under `pictures`. */
void view_mask(struct json_writer *writer, const char *key, const struct view_head *head,
               const struct infomask_classification *classification, const struct infomask_mask *mask,
               const struct view_picture *pictures, size_t picture_count);

/* 2.3 with format=json; mask_png NULL leaves mask.png out. */
void view_filter(struct json_writer *writer, const char *key, const struct view_head *head,
                 const struct infomask_classification *classification, const struct infomask_filtered *filtered,
                 const struct infomask_encoded *mask_png);

/* Why the round got its verdict: one sentence, its numbers in the head's units. */
#define VIEW_REASON 512
#define VIEW_NO_ROOM "max_area leaves no room" /* so begins the reason where no mask was small enough */
void view_reason(const struct view_head *head, const struct infomask_verification *row,
                 const struct infomask_round *round, char *text, size_t size);

/* A fill's name, or #rrggbb. */
#define VIEW_FILL_NAME 16
void view_fill_name(const struct infomask_filtered *filtered, char name[VIEW_FILL_NAME]);

/* /v1/analyze: the members of 2.1 and 2.2, and, with filtered, `verification`. */
struct view_analysis {
    const struct infomask_classification *classification;
    const struct view_classify_options *options;
    const struct infomask_mask *mask;
    const struct infomask_filtered *filtered; /* NULL: none */
    const struct view_picture *pictures;      /* [picture_count] mask, overlay, saliency, image */
    size_t picture_count;
};
void view_analyze(struct json_writer *writer, const char *key, const struct view_head *head,
                  const struct view_analysis *analysis);

/* ---- Models ------------------------------------------------------------------------------------------------------ */

/* In which state a model's network is, and why, in a sentence; "" for MODEL_READY. */
#define VIEW_STATE_REASON 512
enum model_state view_model_reason(const struct model *model, char reason[VIEW_STATE_REASON]);
/* The state that it wrote: READY is the only one that lasts. */
enum model_state view_model(struct json_writer *writer, const char *key, const struct model *model, bool is_default);
/* {"models": [...], "default": "name"} */
/* {"name", "default", "status": "failed", "reason"} */
void view_failed_model(struct json_writer *writer, const char *name, const char *reason);
/* failures (may be NULL) follow the models. */
void view_models(struct json_writer *writer, struct model *const *models, size_t count, size_t default_index,
                 const struct model_failures *failures);
/* {"model": {...}, "labels": [{"index", "label", "aliases"}]} */
void view_labels(struct json_writer *writer, const struct model *model);
void view_groups(struct json_writer *writer, const struct model *model);
void view_models_changes(struct json_writer *writer, const struct models_changes *changes);

#endif
