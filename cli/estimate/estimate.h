/* What the files of `infomask estimate` share. */
#ifndef CLI_ESTIMATE_ESTIMATE_H
#define CLI_ESTIMATE_ESTIMATE_H

#include "app/state/estimates.h"
#include "app/state/estimates_held.h"
#include "app/view/views_estimates.h"
#include "cli/arguments.h"
#include "cli/read/rejected.h"
#include "core/infomask_train.h"

struct estimate_options {
    const char *images, *list, *data, *task;  /* where the samples come from; one of them, or merge or compare */
    const char *labels, *group_by, *by, *weights, *drop; /* of data; of photos "folder", and group_by "near" */
    const char *store, *name, *report;        /* NULL: the default ones; no report */
    bool merge, compare, json, fresh, quiet, exact;
    unsigned shard_index, shard_count;        /* count 0: all */
    int folds;                                /* of a table; 0: by its size */
    uint64_t n, seed;                         /* of a task */
    size_t suspects, columns;
    double width;                             /* wanted, of estimate less limit, in the units of the answer; 0: none */
};

/* What a run found, for the output. */
struct estimate_run {
    const struct cli *cli;
    const struct estimate_options *options;
    enum view_units units;
    struct estimates *estimates;      /* the store that holds it; NULL: none (an exact task, or held) */
    struct estimates_held *held;                /* the samples of a table without --store */
    char *folder;                     /* where the suspects' photos lie; NULL: not at hand */
    struct estimate_state state;
    double truth;                     /* of a task, nats; NAN: unknown */
    struct {
        double estimate, standard_error, lower_limit;
    } exact; /* what the task's exact posterior says, beside a table's estimate; NAN: nothing */
    struct infomask_table_result table; /* of a table: folds and parts (log_q is given back) */
    size_t columns, missing;          /* of a table; its cells without a value */
    char **column_names;              /* [columns]; NULL: numbers; owned */
    struct estimate_subgroup *subgroups; /* --by; owned */
    size_t subgroup_count;
    bool grouped;                     /* the limits are over groups that were given */
    uint64_t added, known;            /* in this run; known: were there before */
    struct rejected_list rejected;    /* the first of them */
    size_t rejected_in_all;
    char temporary[64];               /* a store that goes with the run; "": none */
};
/* One of --by: the information within it, by the same posteriors. */
struct estimate_subgroup {
    char *name; /* owned */
    size_t samples;
    double label_entropy, estimate, standard_error, lower_limit; /* nats; NAN where there are too few samples */
};

void estimate_run_fini(struct estimate_run *run);

/* Each fills the run and returns an exit code; what failed was said on standard error. */
int estimate_photos(struct estimate_run *run, const char *model);
int estimate_task(struct estimate_run *run);
int estimate_data(struct estimate_run *run);
int estimate_merge(struct estimate_run *run);
/* Prints by itself. */
int estimate_compare(struct estimate_run *run);

/* The store of --store, else the one of the state folder; writable. */
enum infomask_status estimate_open_store(struct estimate_run *run, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The store of --store, else a temporary one that goes with the run. */
enum infomask_status estimate_open_target(struct estimate_run *run, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The name is free in run->estimates: with --fresh an estimate of that name is deleted, without it is an error. */
enum infomask_status estimate_free_name(struct estimate_run *run, const char *name, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Opens what an operand names: FILE (of one estimate), FILE#NAME, or the NAME or id of one in the default store. */
enum infomask_status estimate_open_operand(struct estimate_run *run, const char *operand, struct estimates **estimates,
                                           char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Where the limits are over groups, so is the standard error; and lower_limit_t says nothing. */
void estimate_of_groups(struct estimate_run *run);
/* Computes the limits and reads the whole. */
enum infomask_status estimate_finish(struct estimate_run *run, const char *id, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Hands out the run's samples (estimates_rows, estimates_held_rows). */
enum infomask_status estimate_run_rows(const struct estimate_run *run, estimate_row_visit *visit, void *context,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
/* Fills the subgroups from the run's samples: by [rows] of a table, whose samples are called by their rows' numbers,
 * with names as lines; by NULL: by the folder below that of the class. */
enum infomask_status estimate_by(struct estimate_run *run, const uint32_t *by, const char *names, size_t count,
                                 struct infomask_error *err) __attribute__((warn_unused_result));

/* JSON or a page of text on standard output; returns an exit code. */
int estimate_print(const struct estimate_run *run);

#endif
