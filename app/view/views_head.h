/* What the files of the views share.  Private to views*.c. */
#ifndef APP_VIEW_VIEWS_HEAD_H
#define APP_VIEW_VIEWS_HEAD_H

#include "app/view/views.h"

/* {"name", "version", "sha256"} */
void view_model_reference(struct json_writer *writer, const struct model *model);
/* request_id, file, model, image (left out where image is false), units, prior, classes */
void view_head(struct json_writer *writer, const struct view_head *head, bool image);
/* predictions, information, entropy, prior_entropy, abstain, noise */
void view_class_members(struct json_writer *writer, const struct view_head *head,
                        const struct infomask_classification *classification,
                        const struct view_classify_options *options);
/* A class: index, label; a group: group, label, size; then probability, log_probability, pmi. */
void view_target_row(struct json_writer *writer, const char *key, const struct view_head *head,
                     const struct infomask_classification *classification, int target);
/* The first two or three of these, without an object. */
void view_target_name(struct json_writer *writer, const struct model *model, int target);

enum view_phases { VIEW_CLASSIFY_PHASES, VIEW_MASK_PHASES, VIEW_FILTER_PHASES };
/* timing_ms: the phases of up to three steps added up; NULL for a step that was not made. */
void view_timing(struct json_writer *writer, const struct view_head *head, enum view_phases phases,
                 const struct infomask_timing *first, const struct infomask_timing *second,
                 const struct infomask_timing *third);

#endif
