/* The traffic's information: per model a running window of KL(q(.|x) || prior) over unlabelled requests, what the
 * network says of their class prior, and an alarm when they no longer look like a labelled baseline
 * (docs/information.md).
 *
 * A window holds the last TRAFFIC_WINDOW photos, and the PMIs of the last few hundred of them for the fit of the prior.
 * It lives in the state beside the estimates (estimates.h): all that share a state have one window of a model.  A
 * thread of its own tells what is new every few seconds, and learns what others told; the end tells the rest.  A
 * restart goes on where it was, a kill -9 loses the last seconds.  While the state is full or away, what is new waits
 * in memory, as much of it as a window holds.  A model whose file or prior changes starts a new window.
 * Nats throughout; no HTTP and no JSON here.  Thread rule: any thread.
 */
#ifndef APP_STATE_TRAFFIC_H
#define APP_STATE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/state/estimates.h"
#include "core/infomask.h"

struct traffic;
struct model;

#define TRAFFIC_WINDOW 4096               /* photos */
#define TRAFFIC_ROWS 512                  /* of which the PMIs are kept, */
#define TRAFFIC_ROW_BYTES ((size_t)4 << 20) /* within this memory */
#define TRAFFIC_LEAST 30                  /* photos below which nothing is said */

/* estimates: the state, which must outlive the traffic; NULL: the windows live in memory only. */
enum infomask_status traffic_create(const struct estimates *estimates, struct traffic **traffic,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
/* Tells the rest.  NULL does nothing. */
void traffic_free(struct traffic *traffic);

/* One classification under the model's own prior (others are the caller's to leave out).  Without memory it is lost. */
void traffic_add(struct traffic *traffic, const struct model *model, const struct infomask_classification *result);

/* The labelled data that the window is compared with. */
struct traffic_baseline {
    char id[ESTIMATE_ID_SIZE];
    uint64_t samples; /* 0: there is none */
    double plug_in, deviation, overconfidence;
};
/* Sets it for the model's window, for all who share it; the alarm on /metrics uses it from then on.  state: as below.
 */
enum infomask_status traffic_set_baseline(struct traffic *traffic, const struct model *model,
                                          const struct estimates *state, const struct traffic_baseline *baseline,
                                          struct infomask_error *err) __attribute__((warn_unused_result));
/* Tells and learns now.  state: that of the traffic, with the time that this may take (estimates_within); NULL where
 * there is none. */
enum infomask_status traffic_refresh(struct traffic *traffic, const struct model *model, const struct estimates *state,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

struct traffic_class {
    double prior;            /* the training prior */
    double mean_probability; /* over the rows */
    double fitted;           /* the prior under which the rows are most likely (EM) */
};
/* What has moved within the last week (traffic_history.h): means of a number, in nats, or shares of the photos that
 * were taken for a class, before the likeliest change and from it on. */
#define TRAFFIC_DRIFT_LEVEL 0.001 /* the chance that anything is ever said to have moved where nothing has */
enum traffic_what { TRAFFIC_INFORMATION, TRAFFIC_ENTROPY, TRAFFIC_CLASS };
struct traffic_moved {
    enum traffic_what what;
    size_t index;   /* of the class */
    int64_t hour;   /* of the change: hours of Unix time */
    double before, after, p_value; /* p: for all classes and numbers together, however often one looks */
};
struct traffic_hour {
    int64_t hour;
    uint64_t photos;
    double information, entropy; /* means */
};
struct traffic_drift {
    double level;
    uint64_t photos;              /* of the history, those before the week too */
    unsigned hours_a_step;        /* more than 1 where there are very many classes */
    struct traffic_moved *moved;  /* numbers first, then classes, by p */
    size_t moved_count;
    struct traffic_hour *hours;   /* of the week, those with photos, the oldest first */
    size_t hour_count;
};
void traffic_drift_fini(struct traffic_drift *drift);

struct traffic_state {
    uint64_t total;                    /* photos since the window began */
    size_t window, rows;               /* photos in it; those with PMIs */
    double information, deviation;     /* mean, and of one photo; NAN without photos */
    double entropy;                    /* mean */
    struct traffic_baseline baseline;
    double z;                          /* of the mean against the baseline's; NAN: not enough of either */
    size_t classes;
    struct traffic_class *by_class;    /* [classes]; owned; NULL without rows */
    struct infomask_shift shift;       /* of the prior; meaningful with by_class */
    struct traffic_drift drift; /* with fit; of the week as of the last traffic_refresh, and what is not told yet */
};
/* As of the last look at the state, and what is not told yet; does not wait.  fit: the classes, the shift and the drift
 * too (tens of milliseconds); else by_class is NULL and the drift empty. */
enum infomask_status traffic_read(struct traffic *traffic, const struct model *model, bool fit,
                                  struct traffic_state *state, struct infomask_error *err)
    __attribute__((warn_unused_result));
void traffic_state_fini(struct traffic_state *state);

/* Alarm: |z| above this many standard errors, either way. */
#define TRAFFIC_ALARM 4.0
#define TRAFFIC_ALARM_P 1e-6 /* of the shift */

#endif
