/* The label audit in the estimates' store: made with the limits, kept beside them, read with every report. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/estimates_store.h"

#define MOST_LOGITS ((size_t)16 << 20) /* that an audit looks at */
#define MOST_SAMPLES 50000             /* whatever their classes */
#define HEAD 5                         /* values before the pairs */
#define ALL_UP_TO 500                  /* of the lowest PMIs every one is kept, of the others as many again */

void audit_curve_fini(struct audit_curve *curve)
{
    free(curve->values);
    *curve = (struct audit_curve){0};
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

void audited_fini(struct audited *a)
{
    free(a->logits);
    free(a->half);
    free(a->labels);
    free(a->orders);
    free(a->pmi);
    free(a->expected);
}

enum infomask_status audited_init(struct audited *a, size_t most, size_t classes, struct infomask_error *err)
{
    *a = (struct audited){.classes = classes};
    a->logits = calloc(most, classes * sizeof *a->logits);
    a->half = calloc(classes, sizeof *a->half);
    a->labels = calloc(most, sizeof *a->labels);
    a->orders = calloc(most, sizeof *a->orders);
    a->pmi = calloc(most, sizeof *a->pmi);
    a->expected = calloc(most, sizeof *a->expected);
    if (a->logits == NULL || a->half == NULL || a->labels == NULL || a->orders == NULL || a->pmi == NULL ||
        a->expected == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to audit %zu labels", most);
    return INFOMASK_OK;
}

void audited_add(struct audited *a, const uint16_t *half, uint32_t label, uint64_t order)
{
    infomask_logits_unpack(half, a->classes, a->logits + a->n * a->classes);
    a->orders[a->n] = order;
    a->labels[a->n++] = label;
}

static enum infomask_status read_audited(struct store_connection *connection, int64_t key, struct audited *a,
                                         size_t most, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_AUDITED, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    const void *half;
    size_t size;

    if (statement == NULL)
        return status;
    store_bind_integer(statement, 1, key);
    store_bind_integer(statement, 2, (int64_t)most);
    while (status == INFOMASK_OK && a->n < most) {
        bool row;
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        half = store_bytes(statement, 2, &size);
        if (size != a->classes * sizeof *a->half)
            return error_set(err, INFOMASK_IO, "the kept logits are damaged");
        memcpy(a->half, half, size);
        audited_add(a, a->half, (uint32_t)store_integer(statement, 1), (uint64_t)store_integer(statement, 0));
    }
    store_reset(statement);
    return status;
}

/* Of n PMIs, ascending, those that are kept: all of the lowest, and then every so many. */
static enum infomask_status draw_curve(const struct audited *a, const struct infomask_audit *audit, double scale,
                                       struct audit_curve *curve, struct infomask_error *err)
{
    size_t step = a->n > ALL_UP_TO ? (a->n - 1) / ALL_UP_TO + 1 : 1;

    curve->values = calloc(HEAD + 2 * (2 * ALL_UP_TO + 2), sizeof *curve->values);
    if (curve->values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for an audit");
    memcpy(curve->values, (double[HEAD]){(double)a->n, audit->temperature, audit->wrong * scale, audit->threshold,
                                         audit->expected * scale}, HEAD * sizeof(double));
    curve->count = HEAD;
    for (size_t i = 0; i < a->n; i++) {
        if (i >= ALL_UP_TO && i % step != 0 && i + 1 < a->n)
            continue;
        curve->values[curve->count++] = a->pmi[i];
        curve->values[curve->count++] = a->expected[i] * scale;
    }
    return INFOMASK_OK;
}

size_t estimate_audit_most(const struct estimate_info *info)
{
    size_t most = MOST_LOGITS / info->spec.classes;

    most = most < MOST_SAMPLES ? most : MOST_SAMPLES;
    return most > info->kept ? (size_t)info->kept : most;
}

enum infomask_status estimate_audit_of(struct audited *a, const struct estimate_info *info, struct audit_curve *curve,
                                       struct infomask_error *err)
{
    const struct infomask_audit_set set = {a->logits, a->labels, a->orders, a->n};
    struct infomask_audit audit;
    enum infomask_status status;

    if (a->n == 0)
        return INFOMASK_OK;
    status = infomask_estimate_audit(&info->spec, &set, a->pmi, a->expected, &audit, err);
    return status == INFOMASK_OK ? draw_curve(a, &audit, (double)info->samples / (double)a->n, curve, err) : status;
}

enum infomask_status estimate_audit_make(struct store_connection *connection, int64_t key,
                                         const struct estimate_info *info, struct audit_curve *curve,
                                         struct infomask_error *err)
{
    size_t most = estimate_audit_most(info);
    struct audited a;
    enum infomask_status status;

    if (most == 0)
        return INFOMASK_OK;
    status = audited_init(&a, most, info->spec.classes, err);
    if (status == INFOMASK_OK)
        status = read_audited(connection, key, &a, most, err);
    if (status == INFOMASK_OK)
        status = estimate_audit_of(&a, info, curve, err);
    audited_fini(&a);
    return status;
}

/* ---- Keeping ----------------------------------------------------------------------------------------------------- */

enum infomask_status estimate_audit_write(struct store_connection *connection, int64_t key,
                                          const struct audit_curve *curve, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_SET_AUDIT, err);

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    if (curve->count > 0)
        store_bind_bytes(statement, 2, curve->values, curve->count * sizeof *curve->values);
    return store_run(statement, err);
}

static enum infomask_status copy_curve(struct store_statement *statement, struct audit_curve *curve,
                                       struct infomask_error *err)
{
    size_t size, count;
    const void *values = store_bytes(statement, 0, &size);

    if (size == 0)
        return INFOMASK_OK;
    count = size / sizeof *curve->values;
    if (size % sizeof *curve->values != 0 || count < HEAD + 2 || (count - HEAD) % 2 != 0)
        return error_set(err, INFOMASK_IO, "the stored audit is damaged");
    curve->values = malloc(size);
    if (curve->values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for an audit");
    memcpy(curve->values, values, size);
    curve->count = count;
    return INFOMASK_OK;
}

void estimate_audit_fill(const struct audit_curve *curve, uint64_t n, struct estimate_state *state)
{
    state->suspect_threshold = -log((double)(n > 0 ? n : 1));
    state->audit = (struct estimate_audit){.temperature = NAN, .wrong = NAN, .expected = 1};
    if (curve->count == 0)
        return;
    state->audit = (struct estimate_audit){(uint64_t)curve->values[0], curve->values[1], curve->values[2],
                                           curve->values[4]};
    state->suspect_threshold = curve->values[3];
}

enum infomask_status estimate_audit_read(struct store_connection *connection, int64_t key, struct estimate_state *state,
                                         struct audit_curve *curve, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_AUDIT, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    status = store_step(statement, &row, err);
    if (status == INFOMASK_OK && row)
        status = copy_curve(statement, curve, err);
    store_reset(statement);
    if (status == INFOMASK_OK)
        estimate_audit_fill(curve, state->info.samples, state);
    return status;
}

/* Between two points a straight line; below the first e^t, which no tail falls more slowly than. */
double estimate_audit_expected(const struct audit_curve *curve, double pmi)
{
    const double *pairs = curve->values + HEAD;
    size_t count = curve->count > HEAD ? (curve->count - HEAD) / 2 : 0, low = 0, high = count;

    if (count == 0)
        return NAN;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pairs[2 * middle] < pmi)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return pairs[2 * count - 1];
    if (low == 0)
        return pairs[1] * exp(fmin(pmi - pairs[0], 0));
    if (!(pairs[2 * low] > pmi))
        return pairs[2 * low + 1];
    return pairs[2 * low - 1] + (pairs[2 * low + 1] - pairs[2 * low - 1]) * (pmi - pairs[2 * low - 2]) /
                                    (pairs[2 * low] - pairs[2 * low - 2]);
}
