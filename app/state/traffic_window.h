/* One model's window: what replicas share of it, and what this process has seen and not yet told.  Private to
 * app/state/traffic*.c.
 *
 * Photos have places from 0 on, in the order in which they came into the state; a ring keeps the last ones at fixed
 * slots, so that whoever has read the same photos computes the same bits.
 */
#ifndef APP_STATE_TRAFFIC_WINDOW_H
#define APP_STATE_TRAFFIC_WINDOW_H

#include "app/state/traffic_history.h"

#define TRAFFIC_KEY_SIZE 65
#define TRAFFIC_WRITER_SIZE 25

struct photo_numbers {
    double information, entropy;
};

/* What the history takes of a photo; it is told, but not kept with the photo. */
struct photo_answer {
    int64_t hour; /* of Unix time */
    size_t predicted;
};

struct ring {
    size_t classes, row_limit;
    uint64_t total;               /* photos so far */
    struct photo_numbers *photos; /* [TRAFFIC_WINDOW]: place i is at i % TRAFFIC_WINDOW */
    struct photo_answer *answers; /* [TRAFFIC_WINDOW]; of what this process saw */
    float *pmi;                   /* [row_limit][classes], likewise */
};
/* False without memory. */
bool ring_init(struct ring *ring, size_t classes);
void ring_fini(struct ring *ring);
void ring_clear(struct ring *ring);
void ring_put(struct ring *ring, struct photo_numbers photo, struct photo_answer answer, const double *pmi);

/* Some photos in a row: `count` places from `first` on, of which the last ones are here. */
struct traffic_part {
    uint64_t first, count;
    size_t photos, rows;               /* here; rows of PMIs */
    const struct photo_numbers *photo; /* [photos] */
    const struct photo_answer *answer; /* [photos]; NULL: none, as of what comes from the state */
    const float *pmi;                  /* [rows][classes] */
    void *storage;                     /* owned; NULL: borrowed */
    struct traffic_part *next;
};
void traffic_part_fini(struct traffic_part *part);
/* A copy of the places from `from` up to `to`, as far as the ring still has them; pmi false: without rows.  False
 * without memory. */
bool ring_copy(const struct ring *ring, uint64_t from, uint64_t to, bool pmi, struct traffic_part *part);
/* Puts a part at its own places; the ring's total becomes its end. */
void ring_take(struct ring *ring, const struct traffic_part *part);

struct window {
    char key[TRAFFIC_KEY_SIZE]; /* in the state: hash of the model's name, file and prior */
    char model_key[TRAFFIC_KEY_SIZE]; /* of name and file */
    double *prior;              /* [classes] */
    struct ring shared, own;    /* as of the last look at the state; what this process saw */
    uint64_t told;              /* places of `own` that are in `shared` */
    uint64_t telling, number;   /* how many of `own` the part under way has, 0: none; its number */
    bool looked;                /* at the state, since the beginning */
    struct traffic_baseline baseline;
    double most_information;    /* -log of the least prior */
    struct history *history;    /* as of the last refresh; without a state: of all photos */
    struct window *next;
};
/* An empty window; NULL without memory. */
struct window *window_create(const char key[TRAFFIC_KEY_SIZE], size_t classes, const double *prior);
void window_free(struct window *window);

/* ---- In the state (traffic_store.c) ------------------------------------------------------------------------------ */

/* Appends a part to the window's photos.  The same writer and number again: nothing happens. */
struct traffic_told {
    const char *key, *writer;
    uint64_t number;
    size_t classes, row_limit;
    double most_information;
    struct traffic_part part; /* its `first` is what the state says */
};
enum infomask_status traffic_store_tell(const struct estimates *estimates, const struct traffic_told *told,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

/* What the state has behind the place `since`; from the window's beginning where it has fewer photos than that. */
struct traffic_news {
    const char *key;
    size_t classes, row_limit;
    uint64_t since;
    bool damaged;                     /* out: not to be used */
    uint64_t total;                   /* out: photos in all */
    struct traffic_baseline baseline; /* out */
    struct traffic_part *parts;       /* out: in the order of their places; owned */
};
enum infomask_status traffic_store_look(const struct estimates *estimates, struct traffic_news *news,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
void traffic_news_fini(struct traffic_news *news);

enum infomask_status traffic_store_set_baseline(const struct estimates *estimates, const char *key,
                                                const struct traffic_baseline *baseline, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The week's history as the state has it. */
enum infomask_status traffic_store_history(const struct estimates *estimates, const char *key, struct history *history,
                                           struct infomask_error *err) __attribute__((warn_unused_result));
/* The window begins anew. */
enum infomask_status traffic_store_forget(const struct estimates *estimates, const char *key,
                                          struct infomask_error *err) __attribute__((warn_unused_result));

#endif
