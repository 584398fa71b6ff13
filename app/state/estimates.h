/* The estimates' store: labelled samples and what they add up to, in a file under the state folder (SQLite) or on a
 * PostgreSQL server that several replicas share (store.h).
 *
 * Per sample its id, label, log q, PMI, information, entropy and prediction, and, up to a bound, its logits in half
 * precision; per estimate and class the running sums of core (infomask_estimate_pack), so that a report costs the same
 * whatever the number of samples.  Adding is idempotent by sample id and one transaction a call: what was answered
 * survives a kill -9 and, unless `relaxed`, a loss of power at any moment, and nothing is counted twice.  Calls that
 * come while a file's transaction is written share the next one: one fsync for all of them.  What needs every sample
 * (the betting limit) is computed apart and cached with the number of samples that it saw. Nats throughout; no HTTP and
 * no JSON here.  Thread rule: any thread, any number of processes on one file or server.
 */
#ifndef APP_STATE_ESTIMATES_H
#define APP_STATE_ESTIMATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/infomask_estimate.h"

/* A handle: the store, and until when (of clock_ms()) a call with it may wait for a server. */
struct estimates {
    struct estimates_shared *shared;
    double deadline_ms;
};

struct estimates_options {
    uint64_t max_bytes;        /* bound of the file; over it STATE_FULL.  0: 1 GiB */
    uint64_t logit_bytes;      /* kept logits of one estimate; UINT64_MAX: none; 0: 64 MiB */
    bool relaxed;              /* what was answered survives the process, but perhaps not a loss of power */
    bool passing;              /* a file for this process only: nothing of it has to survive */
    uint64_t cache_bytes;      /* of a file's pages, for each connection; 0: 4 MiB */
    const char *password_file; /* of a server's user; NULL or "": none */
    void (*tell)(void *context, const char *sentence); /* of a server that goes and comes; any thread; may be NULL */
    void *tell_context;
};

/* where: a file, which is made if it is not there, or postgresql://...; options may be NULL.  IO when the file cannot
 * be written; ARGUMENT when the address is wrong or libpq is not installed.  A server that is away is waited for
 * behind. */
enum infomask_status estimates_open(const char *where, const struct estimates_options *options,
                                    struct estimates **estimates, struct infomask_error *err)
    __attribute__((warn_unused_result));
void estimates_close(struct estimates *estimates); /* NULL does nothing */

/* Of a server's address, before the process is confined: loads what it needs, and fills the TCP ports that it names
 * (*count, at most `most`).  ARGUMENT when it is no address, or libpq is not installed. */
enum infomask_status estimates_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* What a server is like, without changing anything (store.h).  options: password_file, or NULL. */
struct store_look;
enum infomask_status estimates_look(const char *where, const struct estimates_options *options, struct store_look *look,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

/* The same store for a request that may wait no longer than until deadline_ms; nothing to close. */
struct estimates estimates_within(const struct estimates *estimates, double deadline_ms);
/* IO with a sentence while the state cannot be reached.  Never waits. */
enum infomask_status estimates_ready(const struct estimates *estimates, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Gives back what is kept in memory of the file, for when nothing is asked. */
void estimates_trim(struct estimates *estimates);
/* Whether replicas share it. */
bool estimates_shared(const struct estimates *estimates);

#define ESTIMATE_ID_SIZE 25 /* 24 lower-case hex digits */
#define ESTIMATE_NAME_MAX 255
#define ESTIMATE_SAMPLE_MAX 1024 /* bytes of a sample's id */

/* What an estimate is of. */
struct estimate_info {
    char id[ESTIMATE_ID_SIZE];
    char name[ESTIMATE_NAME_MAX + 1]; /* "": none */
    char model[64], version[64], sha256[65];
    char prior[16];                   /* "train", "uniform", "given" */
    struct infomask_estimate_spec spec;
    char *labels;                     /* the classes' names, a line each; NULL: none */
    const char **label;               /* [classes] into labels; NULL: none */
    uint64_t samples, kept;           /* kept: of which the logits are there */
    uint64_t duplicates;              /* samples whose bytes another sample had before */
    int64_t created;                  /* Unix time */
    int64_t place;                    /* in the list, where it was read from a store: positive, and rises */
};
void estimate_info_fini(struct estimate_info *info);
/* Fills model, version, sha256, spec and labels. */
struct model;
enum infomask_status estimate_info_of_model(struct estimate_info *info, const struct model *model,
                                            const struct infomask_prior *prior, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The name of a class, its number in digits where there are none; text: storage for those. */
const char *estimate_label(const struct estimate_info *info, size_t label, char text[24]);

/* info: all but id, samples, kept, created and label, which are filled.  ARGUMENT for a bad prior. */
enum infomask_status estimates_create(struct estimates *estimates, struct estimate_info *info,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
/* NO_SUCH_ESTIMATE.  id: that of create, or a name that only one estimate has. */
enum infomask_status estimates_find(struct estimates *estimates, const char *id, struct estimate_info *info,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status estimates_delete(struct estimates *estimates, const char *id, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The estimates past the place `after` (0: all) from the oldest on, `most` of them at most (0: however many), without
 * priors and labels (spec.prior and labels are NULL).  visit returns false to stop.  Whoever goes on from the place of
 * the last one sees each estimate once that is there all the time, whatever is added and deleted meanwhile. */
typedef bool estimates_visit(void *context, const struct estimate_info *info);
enum infomask_status estimates_list(struct estimates *estimates, int64_t after, size_t most, estimates_visit *visit,
                                    void *context, struct infomask_error *err) __attribute__((warn_unused_result));

#define ESTIMATE_DIGEST_SIZE 32 /* SHA-256 */
struct estimate_item {
    const char *sample;    /* id, up to ESTIMATE_SAMPLE_MAX bytes */
    uint32_t label;
    const float *logits;   /* [classes]; NULL for one that is known, to compare it: ARGUMENT if it is not */
    bool added;            /* out: false where the id was there before */
    const uint8_t *digest; /* of the bytes, ESTIMATE_DIGEST_SIZE; NULL: none */
    uint64_t unit;         /* what has the same one was drawn together; 0: by itself */
    bool conflict;         /* out: the id was there with another label, or other bytes; it stays as it was */
    bool duplicate;        /* out: it was added, and another sample has the same bytes */
    uint32_t had;          /* out: where there is a conflict, the label that is stored */
};
/* All of them in one transaction; on failure none.  *samples: how many the estimate has then. */
enum infomask_status estimates_add(struct estimates *estimates, const char *id, struct estimate_item *items,
                                   size_t count, uint64_t *samples, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* known[i]: whether the estimate has the sample `samples[i]`. */
enum infomask_status estimates_known(struct estimates *estimates, const char *id, const char *const *samples,
                                     size_t count, bool *known, struct infomask_error *err)
    __attribute__((warn_unused_result));

struct estimate_suspect {
    char *sample;
    uint32_t label, predicted;
    double pmi;
    double expected; /* right labels that would lie as low, if the model were calibrated; NAN: not known */
    bool past;       /* the cut */
};

/* Calibration on the set itself, and the cut: infomask_estimate_audit, over up to 16 million kept logits. */
struct estimate_audit {
    uint64_t samples;     /* that it saw; 0: none, and the threshold is -log n */
    double temperature, wrong, expected;
};

enum { ESTIMATE_REMARKS = 4 };

struct estimate_state {
    struct estimate_info info;
    struct infomask_report report;
    struct infomask_limits_of_estimate limits; /* samples 0: not computed yet; may be of fewer samples than there are */
    struct estimate_audit audit;
    double suspect_threshold;                  /* the cut, a PMI */
    struct estimate_suspect *suspects;         /* the lowest PMIs, rising */
    size_t suspect_count;                      /* in the array */
    uint64_t suspects_in_all;                  /* past the cut, counted up to 10,000 */
    char *remarks[ESTIMATE_REMARKS];           /* more warnings, owned; NULL: none */
};
/* The report, and the max_suspects lowest samples.  Costs the same whatever the number of samples. */
enum infomask_status estimates_read(struct estimates *estimates, const char *id, size_t max_suspects,
                                    struct estimate_state *state, struct infomask_error *err)
    __attribute__((warn_unused_result));
void estimate_state_fini(struct estimate_state *state);

/* Whoever computes limits behind a reply claims that first: one at a time. */
bool estimates_claim_limits(struct estimates *estimates);
void estimates_release_limits(struct estimates *estimates);

/* Computes the limits of all samples there are and caches them.  About 2 microseconds a sample; other calls go on.
 * limits: filled where they could be computed, even if there is no room to cache them (STATE_FULL). */
enum infomask_status estimates_update_limits(struct estimates *estimates, const char *id,
                                             struct infomask_limits_of_estimate *limits, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Whether the cached limits are behind: at once for few samples, after a growth by a tenth for many. */
bool estimate_limits_due(const struct estimate_state *state);
#define ESTIMATE_LIMITS_AT_ONCE 5000 /* samples up to which the limits are computed whenever they are asked for */

/* The same report, audit and suspects under another prior (NULL: uniform), from the kept logits; info.samples is then
 * their number. */
enum infomask_status estimates_recompute(struct estimates *estimates, const char *id, const double *prior,
                                         size_t max_suspects, struct estimate_state *state, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Every sample in the order of their ids' hashes.  visit returns false to stop; it must not call the store. */
struct estimate_row {
    const uint8_t *digest; /* NULL: none */
    uint64_t unit;         /* 0: by itself */
    const char *sample;
    uint64_t order;
    uint32_t label, predicted;
    double log_q, pmi, information, entropy, confidence;
    const void *half;      /* kept logits, half_size bytes (infomask_logits_unpack) at any address; size 0: none */
    size_t half_size;
};
typedef bool estimate_row_visit(void *context, const struct estimate_row *row);
enum infomask_status estimates_rows(struct estimates *estimates, const char *id, estimate_row_visit *visit,
                                    void *context, struct infomask_error *err) __attribute__((warn_unused_result));

/* Adds all samples of `from_id` in `from` (which may be the same store) to `id`, exactly as if they had been added
 * there.  ARGUMENT when they are of different models or priors, or when a sample is in both (named in the sentence). */
enum infomask_status estimates_merge(struct estimates *estimates, const char *id, struct estimates *from,
                                     const char *from_id, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
