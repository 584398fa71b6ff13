/* Estimates as JSON (api.md section 2.4), for the service and the command line. */
#ifndef APP_VIEW_VIEWS_ESTIMATES_H
#define APP_VIEW_VIEWS_ESTIMATES_H

#include "app/state/estimates.h"
#include "app/view/views.h"

/* GET /v1/estimates/{id}.  request_id may be NULL (left out). */
void view_estimate(struct json_writer *writer, const char *key, const struct estimate_state *state,
                   enum view_units units, const char *request_id);

/* The same members into an object that the caller opened and may add to. */
void view_estimate_members(struct json_writer *writer, const struct estimate_state *state, enum view_units units);

/* One row of the list: id, name, model, prior, samples, created. */
void view_estimate_row(struct json_writer *writer, const char *key, const struct estimate_info *info);

/* The members that say what the numbers mean in words; also printed by the command line. */
typedef void view_warning(void *context, const char *sentence);
void view_estimate_warnings(const struct estimate_state *state, enum view_units units, view_warning *say,
                            void *context);

/* Two models: `why_not` says why there is no conditional information; NULL: there is. */
struct view_pair {
    struct infomask_comparison comparison;
    struct infomask_conditional second, first; /* what the second adds to the first, and the first to the second */
    const char *why_not;
};
/* {"samples", "difference", "standard_error", "interval": [lower, upper], "p_value", "confidence", "verdict",
 * "conditional_information": {"second_given_first", "first_given_second"}} */
void view_comparison(struct json_writer *writer, const char *key, const struct view_pair *pair, enum view_units units);

#endif
