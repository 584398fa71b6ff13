/* A week of a model's traffic by hours, and what of it has moved.
 *
 * Of every hour: photos, sums of information and entropy, these two in 16 bins, and how often each class was the
 * answer. What is older than a week is added up in one step that stays the reference, so the test (core/info/drift.h)
 * has one beginning, and its level holds however often one looks; all classes and both numbers share the level
 * (Bonferroni). Once a change is itself a week old, what was before it is forgotten: what is usual then is the
 * reference. Private to app/state.  Thread rule: one thread at a time.
 */
#ifndef APP_STATE_TRAFFIC_HISTORY_H
#define APP_STATE_TRAFFIC_HISTORY_H

#include "app/state/traffic.h"

struct history;

/* most_information: nats, the top of the bins. */
struct history *history_create(size_t classes, double most_information); /* NULL without memory */
void history_free(struct history *history);

/* One photo in the hour `hour` (of Unix time); an hour that is older than the newest one counts as the newest. */
void history_add(struct history *history, int64_t hour, size_t predicted, double information, double entropy);

void history_clear(struct history *history);
struct history *history_copy(const struct history *history); /* NULL without memory */

/* The steps of the history as rows of bytes, to be kept: step 0 is what came before the week, the others are numbered
 * by time.  A row is of this machine's shape. */
int64_t history_step(const struct history *history, int64_t hour);
int64_t history_newest(const struct history *history); /* 0: there is none */
int64_t history_oldest(const struct history *history); /* number of the first step of the week */
size_t history_row_size(const struct history *history);
void history_row(const struct history *history, int64_t step, void *row);
/* Rows must come by rising step.  False, and nothing is changed, for bytes that are no row of this history. */
bool history_take(struct history *history, int64_t step, const void *row, size_t size);

/* Fills drift (emptied by traffic_drift_fini). */
enum infomask_status history_read(const struct history *history, double level, struct traffic_drift *drift,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
