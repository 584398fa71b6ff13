/* infomask estimate --compare: which of two estimates informs more, and what each adds to the other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/work.h"

#define MOST_LOGITS ((size_t)64 << 20) /* of each model in memory */

struct compared {
    uint64_t order, unit; /* unit 0: by itself */
    char *sample;
    uint32_t label;
    double log_q;
    uint16_t *half; /* [classes] kept logits; NULL: none */
};

struct side {
    struct estimate_info info;
    struct compared *rows;
    size_t count, capacity;
    bool full; /* no memory */
};

/* What both have. */
struct common {
    size_t n, kept, classes; /* samples; of which both have logits */
    double *log_q[2];        /* [n] */
    float *logits[2];        /* [kept][classes] */
    uint32_t *labels;        /* [kept] */
    uint64_t *units;         /* [kept] */
};

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static uint16_t *half_of(const struct side *side, const struct estimate_row *row)
{
    size_t size = side->info.spec.classes * sizeof(uint16_t);
    uint16_t *half = row->half_size == size && side->count < MOST_LOGITS / side->info.spec.classes ? malloc(size)
                                                                                                   : NULL;

    if (half != NULL)
        memcpy(half, row->half, size);
    return half;
}

static bool collect(void *context, const struct estimate_row *row)
{
    struct side *s = context;

    if (s->count == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 1024;
        struct compared *rows = reallocarray(s->rows, capacity, sizeof *rows);
        if (rows == NULL)
            return !(s->full = true);
        s->rows = rows;
        s->capacity = capacity;
    }
    s->rows[s->count] = (struct compared){row->order, row->unit, strdup(row->sample),
                                          row->label, row->log_q, half_of(s, row)};
    s->full = s->rows[s->count].sample == NULL;
    s->count++;
    return !s->full;
}

static void side_fini(struct side *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->rows[i].sample);
        free(s->rows[i].half);
    }
    free(s->rows);
    estimate_info_fini(&s->info);
}

static enum infomask_status read_side(struct estimate_run *run, const char *operand, struct side *s,
                                      struct infomask_error *err)
{
    struct estimates *estimates = NULL;
    char id[ESTIMATE_ID_SIZE];
    enum infomask_status status = estimate_open_operand(run, operand, &estimates, id, err);

    if (status == INFOMASK_OK)
        status = estimates_find(estimates, id, &s->info, err);
    if (status == INFOMASK_OK)
        status = estimates_rows(estimates, id, collect, s, err);
    if (status == INFOMASK_OK && s->full)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the samples");
    estimates_close(estimates);
    return status;
}

/* ---- What both have ---------------------------------------------------------------------------------------------- */

/* The order in which both come: two positions suffice. */
static int by_id(const struct compared *a, const struct compared *b)
{
    if (a->order != b->order)
        return (int64_t)a->order < (int64_t)b->order ? -1 : 1; /* the store's integers have a sign */
    return strcmp(a->sample, b->sample);
}

static enum infomask_status common_init(struct common *c, const struct side *a, const struct side *b,
                                        struct infomask_error *err)
{
    size_t most = a->count < b->count ? a->count : b->count, rows;

    *c = (struct common){.classes = a->info.spec.classes};
    rows = MOST_LOGITS / c->classes + 1 < most ? MOST_LOGITS / c->classes + 1 : most;
    for (int i = 0; i < 2; i++) {
        c->log_q[i] = calloc(most + 1, sizeof *c->log_q[i]);
        c->logits[i] = calloc(rows + 1, c->classes * sizeof *c->logits[i]);
    }
    c->labels = calloc(most + 1, sizeof *c->labels);
    c->units = calloc(most + 1, sizeof *c->units);
    if (c->log_q[0] == NULL || c->log_q[1] == NULL || c->logits[0] == NULL || c->logits[1] == NULL ||
        c->labels == NULL || c->units == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the samples");
    return INFOMASK_OK;
}

static void common_fini(struct common *c)
{
    for (int i = 0; i < 2; i++) {
        free(c->log_q[i]);
        free(c->logits[i]);
    }
    free(c->labels);
    free(c->units);
}

static void take_both(struct common *c, const struct compared *a, const struct compared *b, bool logits)
{
    c->log_q[0][c->n] = a->log_q;
    c->log_q[1][c->n++] = b->log_q;
    if (!logits || a->half == NULL || b->half == NULL)
        return;
    infomask_logits_unpack(a->half, c->classes, c->logits[0] + c->kept * c->classes);
    infomask_logits_unpack(b->half, c->classes, c->logits[1] + c->kept * c->classes);
    c->labels[c->kept] = a->label;
    c->units[c->kept++] = a->unit != 0 ? a->unit : b->unit != 0 ? b->unit : a->order;
}

/* The log q of the common samples side by side; the differences of PMI under any common prior are those of log q. */
static enum infomask_status join(const struct side *a, const struct side *b, struct common *c,
                                 struct infomask_error *err)
{
    size_t i = 0, j = 0;
    enum infomask_status status = common_init(c, a, b, err);

    while (status == INFOMASK_OK && i < a->count && j < b->count) {
        int order = by_id(&a->rows[i], &b->rows[j]);
        if (order == 0 && a->rows[i].label != b->rows[j].label)
            return error_set(err, INFOMASK_ARGUMENT, "the sample \"%.100s\" has different labels in the two estimates",
                             a->rows[i].sample);
        if (order == 0)
            take_both(c, &a->rows[i], &b->rows[j], a->info.spec.classes == b->info.spec.classes);
        i += order <= 0;
        j += order >= 0;
    }
    if (status == INFOMASK_OK && c->n == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "the two estimates have no sample in common");
    return status;
}

/* ---- What each adds ---------------------------------------------------------------------------------------------- */

static const char *unlike(const struct side *a, const struct side *b)
{
    if (a->info.spec.classes != b->info.spec.classes)
        return "the two models have different numbers of classes";
    for (size_t y = 0; a->info.label != NULL && b->info.label != NULL && y < a->info.spec.classes; y++)
        if (strcmp(a->info.label[y], b->info.label[y]) != 0)
            return "the two models have different classes, or have them in another order";
    return NULL;
}

static enum infomask_status add_up(const struct estimate_run *run, const struct side *a, const struct side *b,
                                   const struct common *c, struct view_pair *pair, struct infomask_error *err)
{
    const struct infomask_pair as_given = {c->kept, &a->info.spec, &b->info.spec, c->logits[0], c->logits[1], c->labels,
                                           c->units};
    const struct infomask_pair turned = {c->kept, &b->info.spec, &a->info.spec, c->logits[1], c->logits[0], c->labels,
                                         c->units};
    struct pool *pool = NULL;
    enum infomask_status status = INFOMASK_OK;

    pair->why_not = unlike(a, b);
    if (pair->why_not == NULL && c->kept == 0)
        pair->why_not = "no sample has its logits kept in both estimates";
    if (pair->why_not == NULL)
        status = load_pool(&run->cli->config, &pool, err);
    if (pair->why_not == NULL && status == INFOMASK_OK)
        status = infomask_estimate_conditional(&as_given, pool, &pair->second, err);
    if (pair->why_not == NULL && status == INFOMASK_OK)
        status = infomask_estimate_conditional(&turned, pool, &pair->first, err);
    pool_free(pool);
    if (pair->why_not == NULL && status == INFOMASK_OK && isnan(pair->second.estimate))
        pair->why_not =
            "the samples in common with kept logits are too few: 30 of two classes, in 5 groups, are needed";
    return status;
}

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

static void print_added(const char *what, const struct infomask_conditional *c, double factor, const char *units)
{
    (void)printf("%s  %.6g %s, standard error %.3g, lower limit, 97.5 %%, %.6g: %s\n", what, c->estimate * factor,
                 units, c->standard_error * factor, c->lower_limit * factor,
                 c->lower_limit > 0 ? "it adds information" : "nothing is shown");
}

static int print_pair(const struct estimate_run *run, const struct view_pair *pair, size_t only_a, size_t only_b)
{
    const struct infomask_comparison *c = &pair->comparison;
    double factor = view_units_factor(run->units);
    const char *units = view_units_name(run->units);
    struct infomask_error err;
    struct json_writer writer;

    if (run->options->json) {
        json_writer_init(&writer, json_indent(false));
        view_comparison(&writer, NULL, pair, run->units);
        return write_json(&writer, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
    }
    (void)printf("%zu samples in common", c->samples);
    if (only_a + only_b > 0)
        (void)printf(" (%zu only in the first, %zu only in the second)", only_a, only_b);
    (void)printf("\nfirst less second  %.6g %s, 95 %% interval %.6g to %.6g, p %.3g\n", c->difference * factor, units,
                 c->lower * factor, c->upper * factor, c->p_value);
    if (pair->why_not != NULL) {
        (void)printf("what each adds     not known: %s\n", pair->why_not);
        return CLI_DONE;
    }
    print_added("second adds       ", &pair->second, factor, units);
    print_added("first adds        ", &pair->first, factor, units);
    return CLI_DONE;
}

int estimate_compare(struct estimate_run *run)
{
    struct side a = {0}, b = {0};
    struct common common = {0};
    struct view_pair pair = {0};
    struct infomask_error err;
    int code;
    enum infomask_status status = read_side(run, run->cli->operands[0], &a, &err);

    if (status == INFOMASK_OK)
        status = read_side(run, run->cli->operands[1], &b, &err);
    if (status == INFOMASK_OK)
        status = join(&a, &b, &common, &err);
    if (status == INFOMASK_OK) {
        infomask_compare(common.log_q[0], common.log_q[1], common.n, &pair.comparison);
        status = add_up(run, &a, &b, &common, &pair, &err);
    }
    code = status == INFOMASK_OK ? print_pair(run, &pair, a.count - common.n, b.count - common.n)
                                 : cli_fails(run->cli->command, "%s", err.text);
    common_fini(&common);
    side_fini(&a);
    side_fini(&b);
    return code;
}
