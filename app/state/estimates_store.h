/* What the files of the estimates' store share.  Private to app/state. */
#ifndef APP_STATE_ESTIMATES_STORE_H
#define APP_STATE_ESTIMATES_STORE_H

#include <pthread.h>
#include <sys/queue.h>

#include "app/state/estimates.h"
#include "app/state/store.h"

/* X(NAME, SQL) */
#define ESTIMATE_COLUMNS \
    "key, id, name, model, version, sha256, prior_kind, classes, smoothing, created, samples, kept, duplicates"
#define SAMPLE_COLUMNS "id, place, label, predicted, log_q, pmi, information, entropy, confidence"
#define ESTIMATE_STATEMENTS(X)                                                                                         \
    X(INSERT, "INSERT INTO estimate(id, name, model, version, sha256, prior_kind, classes, smoothing, created, prior," \
              " logit_prior, labels) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)"                                  \
              " ON CONFLICT(id) DO NOTHING")                                                                           \
    X(FIND, "SELECT " ESTIMATE_COLUMNS ", prior, logit_prior, labels FROM estimate WHERE id = ?1 OR name = ?1"         \
            " ORDER BY id = ?1 DESC LIMIT 2")                                                                          \
    X(HOLD, "SELECT " ESTIMATE_COLUMNS ", prior, logit_prior, labels FROM estimate WHERE id = ?1 OR name = ?1"         \
            " ORDER BY id = ?1 DESC LIMIT 2 FOR UPDATE")                                                               \
    X(LIST, "SELECT " ESTIMATE_COLUMNS " FROM estimate WHERE key > ?1 ORDER BY key LIMIT ?2")                          \
    X(DELETE_LOGITS, "DELETE FROM logits WHERE sample IN (SELECT key FROM sample WHERE estimate = ?1)")                \
    X(DELETE_SAMPLES, "DELETE FROM sample WHERE estimate = ?1")                                                        \
    X(DELETE_CLASSES, "DELETE FROM class WHERE estimate = ?1")                                                         \
    X(DELETE, "DELETE FROM estimate WHERE key = ?1")                                                                   \
    X(TOTALS, "SELECT totals FROM estimate WHERE key = ?1")                                                            \
    X(SET_TOTALS, "UPDATE estimate SET totals = ?2, samples = ?3, kept = ?4, duplicates = ?5 WHERE key = ?1")          \
    X(CLASS, "SELECT totals FROM class WHERE estimate = ?1 AND label = ?2")                                            \
    X(CLASSES, "SELECT label, totals FROM class WHERE estimate = ?1")                                                  \
    X(SET_CLASS, "INSERT INTO class(estimate, label, totals) VALUES (?1, ?2, ?3)"                                      \
                 " ON CONFLICT(estimate, label) DO UPDATE SET totals = excluded.totals")                               \
    X(HAS, "SELECT label, digest FROM sample WHERE estimate = ?1 AND id = ?2")                                         \
    X(HAS_DIGEST, "SELECT 1 FROM sample WHERE estimate = ?1 AND digest = ?2 LIMIT 1")                                  \
    X(ADD,                                                                                                             \
      "INSERT INTO sample(estimate, " SAMPLE_COLUMNS ", digest, unit) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)" \
      " RETURNING key")                                                                                                \
    X(KEEP, "INSERT INTO logits(sample, half) VALUES (?1, ?2)")                                                        \
    X(SUSPECTS, "SELECT id, label, predicted, pmi FROM sample WHERE estimate = ?1"                                     \
                " ORDER BY pmi, key LIMIT ?2")                                                                         \
    X(AUDITED, "SELECT sample.place, sample.label, logits.half FROM sample JOIN logits ON logits.sample = sample.key"  \
               " WHERE sample.estimate = ?1 ORDER BY sample.place LIMIT ?2")                                           \
    X(AUDIT, "SELECT audit FROM estimate WHERE key = ?1")                                                              \
    X(SET_AUDIT, "UPDATE estimate SET audit = ?2 WHERE key = ?1")                                                      \
    X(COUNT_SUSPECTS,                                                                                                  \
      "SELECT count(*) FROM (SELECT 1 FROM sample WHERE estimate = ?1 AND pmi <= ?2 LIMIT 10000) AS past")             \
    X(LIMITS, "SELECT limit_samples, betting, bernstein, confusion, limit_units FROM estimate WHERE key = ?1")         \
    X(SET_LIMITS,                                                                                                      \
      "UPDATE estimate SET limit_samples = ?2, betting = ?3, bernstein = ?4, confusion = ?5, limit_units = ?6"         \
      " WHERE key = ?1 AND limit_samples <= ?2")                                                                       \
    X(POINTS, "SELECT coalesce(unit, place), log_q, label, predicted FROM sample WHERE estimate = ?1")                 \
    X(ROWS, "SELECT " SAMPLE_COLUMNS ", digest, unit, half FROM sample LEFT JOIN logits ON logits.sample = sample.key" \
            " WHERE estimate = ?1 ORDER BY place, id")                                                                 \
    X(KEPT_ALL, "SELECT sample.id, sample.label, logits.half, coalesce(sample.unit, sample.place) FROM sample"         \
                " JOIN logits ON logits.sample = sample.key WHERE sample.estimate = ?1")                               \
    TRAFFIC_STATEMENTS(X)                                                                                              \
    X(SIZE, SERVER_SIZE)                                                                                               \
    JOB_STATEMENTS(X)

/* Of the windows of the traffic (traffic_store.c). */
#define TRAFFIC_STATEMENTS(X)                                                                                         \
    X(TRAFFIC_HOLD, "SELECT total FROM traffic WHERE id = ?1 FOR UPDATE")                                             \
    X(TRAFFIC_MAKE, "INSERT INTO traffic(id, total, changed) VALUES (?1, 0, ?2) ON CONFLICT(id) DO NOTHING")          \
    X(TRAFFIC_HEAD, "SELECT total, baseline, samples, plug_in, deviation, overconfidence FROM traffic WHERE id = ?1") \
    X(TRAFFIC_GROW, "UPDATE traffic SET total = ?2, changed = ?3 WHERE id = ?1")                                      \
    X(TRAFFIC_BASELINE, "UPDATE traffic SET baseline = ?2, samples = ?3, plug_in = ?4, deviation = ?5,"               \
                        " overconfidence = ?6 WHERE id = ?1")                                                         \
    X(TRAFFIC_ADD, "INSERT INTO traffic_part(traffic, first, count, writer, number, photos, pmi)"                     \
                   " VALUES (?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(traffic, writer, number) DO NOTHING RETURNING 1")      \
    X(TRAFFIC_PARTS, "SELECT first, count, photos, pmi FROM traffic_part WHERE traffic = ?1 AND first + count > ?2"   \
                     " ORDER BY first")                                                                               \
    X(TRAFFIC_TRIM, "DELETE FROM traffic_part WHERE traffic = ?1 AND first + count <= ?2")                            \
    X(TRAFFIC_TRIM_ROWS, "UPDATE traffic_part SET pmi = NULL WHERE traffic = ?1 AND first + count <= ?2"              \
                         " AND pmi IS NOT NULL")                                                                      \
    X(TRAFFIC_STEPS, "SELECT step, numbers FROM traffic_step WHERE traffic = ?1 AND step >= ?2 ORDER BY step")        \
    X(TRAFFIC_SET_STEP, "INSERT INTO traffic_step(traffic, step, numbers) VALUES (?1, ?2, ?3)"                        \
                        " ON CONFLICT(traffic, step) DO UPDATE SET numbers = excluded.numbers")                       \
    X(TRAFFIC_TRIM_STEPS, "DELETE FROM traffic_step WHERE traffic = ?1 AND step > 0 AND step < ?2")                   \
    X(TRAFFIC_EXPIRE_STEPS, "DELETE FROM traffic_step WHERE traffic IN (SELECT id FROM traffic WHERE changed < ?1)")  \
    X(TRAFFIC_EXPIRE_PARTS, "DELETE FROM traffic_part WHERE traffic IN (SELECT id FROM traffic WHERE changed < ?1)")  \
    X(TRAFFIC_EXPIRE, "DELETE FROM traffic WHERE changed < ?1")

/* What a server holds of ours, on a server only: the bytes of what was put in, and about 500 for a sample's rows and
 * indexes.  What was deleted counts no more, although the server may keep its room for what comes. */
#define SERVER_SIZE                                                                                              \
    "SELECT ((SELECT coalesce(sum(samples * 500 + kept * (2 * classes + 100) + coalesce(octet_length(prior), 0)" \
    " + coalesce(octet_length(labels), 0) + coalesce(octet_length(audit), 0) + 500), 0) FROM estimate)"          \
    " + (SELECT coalesce(sum(octet_length(totals) + 100), 0) FROM class)"                                        \
    " + (SELECT coalesce(sum(coalesce(octet_length(body), 0) + 500), 0) FROM job)"                               \
    " + (SELECT coalesce(sum(octet_length(photos) + coalesce(octet_length(pmi), 0) + 200), 0) FROM traffic_part)" \
    " + (SELECT coalesce(sum(octet_length(numbers) + 100), 0) FROM traffic_step)"                                 \
    ")::bigint"

/* Of jobs, on a server only.  A replica that has not been heard of for 30 s is gone. */
#define SERVER_TIME "extract(epoch FROM clock_timestamp())::float8"
#define JOB_COLUMNS                                                            \
    "request_id, route, state, " SERVER_TIME " - made, expires - " SERVER_TIME \
    ", status, content_type, code, headers, coalesce(octet_length(body), 0)::bigint"
#define JOB_OF                                                                                        \
    " FROM job WHERE id = ?1 AND owner = ?2 AND CASE WHEN state < 2 THEN beat > " SERVER_TIME " - 30" \
    " ELSE expires > " SERVER_TIME " END"
#define JOB_STATEMENTS(X)                                                                                     \
    X(JOB_MAKE, "INSERT INTO job(id, owner, request_id, route, replica, state, made, beat)"                   \
                " VALUES (?1,?2,?3,?4,?5,0," SERVER_TIME "," SERVER_TIME ") ON CONFLICT(id) DO NOTHING")      \
    X(JOB_CHANGE,                                                                                             \
      "UPDATE job SET state = ?2, expires = " SERVER_TIME " + ?3, status = ?4, content_type = ?5, code = ?6," \
      " headers = ?7, body = ?8 WHERE id = ?1 AND state <= ?2 RETURNING 1")                                   \
    X(JOB, "SELECT " JOB_COLUMNS ", NULL::bytea" JOB_OF)                                                      \
    X(JOB_BODY, "SELECT " JOB_COLUMNS ", body" JOB_OF)                                                        \
    X(JOB_FORGET, "DELETE FROM job WHERE id = ?1 AND owner = ?2 RETURNING 1")                                 \
    X(JOB_BEAT, "UPDATE job SET beat = " SERVER_TIME " WHERE replica = ?1 AND state < 2")                     \
    X(JOB_EXPIRE, "DELETE FROM job WHERE expires < " SERVER_TIME " OR (state < 2 AND beat < " SERVER_TIME " - 60)")

enum estimate_statement {
#define ESTIMATE_STATEMENT_ENUM(name, sql) SQL_##name,
    ESTIMATE_STATEMENTS(ESTIMATE_STATEMENT_ENUM)
#undef ESTIMATE_STATEMENT_ENUM
    SQL_COUNT
};

extern const char *const estimates_sql[SQL_COUNT];
extern const struct store_schema estimates_file_schema, estimates_server_schema;

STAILQ_HEAD(adding_list, adding);

struct estimates_shared {
    struct store *store;
    uint64_t logit_bytes;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t written;
        struct adding_list waiting; /* calls of estimates_add, for the next transaction */
        bool busy;                  /* somebody writes one */
    } group;
    _Atomic bool limiting; /* somebody computes limits behind a reply */
    uint64_t server_bytes; /* bound of what a server holds; 0: none, and a file has its own */
    struct {
        _Atomic double at_ms; /* of clock_ms(): when it was asked, 0: never */
        _Atomic uint64_t bytes;
    } size;
};

/* What core says of numbers that were stored, as a damage of the state and not a fault of the request. */
enum infomask_status estimates_sound(enum infomask_status status, struct infomask_error *err);

/* A new one: checks the spec, makes the id, says when.  Then, once `labels` has been written: cuts it into lines, and
 * where there are fewer than classes there are no names at all. */
enum infomask_status estimate_info_begin(struct estimate_info *info, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status estimate_info_split(struct estimate_info *info, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Inside a transaction that adds: STATE_FULL where a server holds as much as it may, as of the last second. */
enum infomask_status estimates_room(struct store_connection *connection, struct estimates_shared *shared,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

/* Inside a transaction: the estimate's key and info. */
enum infomask_status estimates_find_in(struct store_connection *connection, const char *id, int64_t *key,
                                       struct estimate_info *info, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The same for one that writes: nobody else changes the estimate until its end. */
enum infomask_status estimates_hold_in(struct store_connection *connection, const char *id, int64_t *key,
                                       struct estimate_info *info, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The sums of the whole, and of every class (or of none, with `classes` false). */
enum infomask_status estimates_load(struct store_connection *connection, int64_t key, const struct estimate_info *info,
                                    bool classes, struct infomask_estimate **sums, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status estimates_load_class(struct store_connection *connection, int64_t key, size_t label,
                                          struct infomask_estimate *sums, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status estimates_save(struct store_connection *connection, int64_t key, const struct estimate_info *info,
                                    const struct infomask_estimate *sums, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status estimates_save_class(struct store_connection *connection, int64_t key, size_t label,
                                          const struct infomask_estimate *sums, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Inserts the row of a sample; *sample: its key.  A repeated id is ARGUMENT. */
enum infomask_status estimates_insert(struct store_connection *connection, int64_t key, const struct estimate_row *row,
                                      int64_t *sample, struct infomask_error *err) __attribute__((warn_unused_result));
/* The audit of an estimate, as it is stored (estimates_audit.c): what it found, and for some of its PMIs, ascending,
 * how many right labels would lie as low among all samples. */
struct audit_curve {
    double *values; /* samples, temperature, wrong, threshold, expected, then pairs (pmi, expected); owned */
    size_t count;   /* of values; 0: no audit */
};
void audit_curve_fini(struct audit_curve *curve);
/* What an audit looks at: `most` samples at most, added one by one in the order of their ids' hashes. */
struct audited {
    size_t n, classes;
    float *logits;          /* [n][classes] */
    uint16_t *half;         /* [classes] for the caller */
    uint32_t *labels;       /* [n] */
    uint64_t *orders;       /* [n] */
    double *pmi, *expected; /* [n] */
};
size_t estimate_audit_most(const struct estimate_info *info);
enum infomask_status audited_init(struct audited *audited, size_t most, size_t classes, struct infomask_error *err)
    __attribute__((warn_unused_result));
void audited_fini(struct audited *audited);
void audited_add(struct audited *audited, const uint16_t *half, uint32_t label, uint64_t order);
/* No curve of no samples. */
enum infomask_status estimate_audit_of(struct audited *audited, const struct estimate_info *info,
                                       struct audit_curve *curve, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* From the kept logits; no audit where there are none. */
enum infomask_status estimate_audit_make(struct store_connection *connection, int64_t key,
                                         const struct estimate_info *info, struct audit_curve *curve,
                                         struct infomask_error *err);
enum infomask_status estimate_audit_write(struct store_connection *connection, int64_t key,
                                          const struct audit_curve *curve, struct infomask_error *err);
/* Fills state->audit and the threshold. */
enum infomask_status estimate_audit_read(struct store_connection *connection, int64_t key, struct estimate_state *state,
                                         struct audit_curve *curve, struct infomask_error *err);
/* What the curve says of n samples; -log n where there is none. */
void estimate_audit_fill(const struct audit_curve *curve, uint64_t n, struct estimate_state *state);
/* NAN without an audit. */
double estimate_audit_expected(const struct audit_curve *curve, double pmi);

/* Reads the current row of ROWS; text belongs to the statement until its next step. */
void estimates_row_of(struct store_statement *statement, struct estimate_row *row);

#endif
