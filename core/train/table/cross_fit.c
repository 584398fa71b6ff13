/* Estimates of I(X;Y) from a labelled table: folds, fits without each pair of them, and what is said of each row by
 * the fits that have not seen its label. */
#include "core/train/table/cross_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/info/info.h"
#include "core/train/fit.h"

#define MOST_WEIGHTS 20000   /* of the quadratic part: beyond, the linear one and the network do without it */
#define MANY_CLASSES 32
#define FEW_ROWS 20          /* of a class, on average */
#define FEW_WORK 1e6         /* rows times columns times classes of the linear model there */
#define TREES_WORK 1e6       /* rows that are learnt from times classes, where classes are many: of the trees, */
#define LINEAR_WORK 4e6      /* of the linear model beside clouds, */
#define NETWORK_WORK 1.6e7   /* and of the network */
#define MOST_POOL_ROWS 50000 /* that the weights of a fold's pool are fitted to, */
#define MOST_POOL_SCORES 2000000 /* and times parts and classes */

static const struct table_part linear = {"linear", table_linear_fit, table_linear_logits};
static const struct table_part quadratic = {"quadratic", table_linear_fit, table_linear_logits};
static const struct table_part trees = {"trees", table_trees_fit, table_boosted_logits};
static const struct table_part grids = {"grids", table_grids_fit, table_boosted_logits};
static const struct table_part discriminant = {"discriminant", table_discriminant_fit, table_linear_logits};
static const struct table_part network = {"network", table_network_fit, table_network_logits};

/* ---- Fits -------------------------------------------------------------------------------------------------------- */

/* Pair number -> folds a < b. */
static void pair_at(int folds, int pair, int fold[2])
{
    for (fold[0] = 0; pair >= folds - 1 - fold[0]; fold[0]++)
        pair -= folds - 1 - fold[0];
    fold[1] = fold[0] + 1 + pair;
}

static void keep_failure(struct estimate *e, enum infomask_status status, int slot, const struct infomask_error *err)
{
    int none = INFOMASK_OK;

    e->errors[slot] = *err;
    (void)atomic_compare_exchange_strong(&e->failed, &none, (int)status);
}

/* The parts come in order of their cost, so that the last fits to end are short. */
static void fit_one(void *context, int chunk, int worker)
{
    struct estimate *e = context;
    int part = chunk / e->pairs, pair = chunk % e->pairs;
    struct table_fit fit = {.data = &e->data, .matrix = e->matrices[part], .stream = (uint64_t)chunk << 32};
    struct infomask_error err;
    enum infomask_status status;

    (void)worker;
    if (atomic_load(&e->failed) != INFOMASK_OK)
        return;
    pair_at(e->data.folds, pair, fit.fold);
    status = e->parts[part]->fit(&fit, &e->paths[part][pair], &err);
    if (status == INFOMASK_OK && e->options->progress != NULL &&
        !e->options->progress(e->options->context, atomic_fetch_add(&e->done, 1) + 1, e->pairs * e->part_count))
        status = error_set(&err, INFOMASK_CANCELLED, "stopped");
    if (status != INFOMASK_OK)
        keep_failure(e, status, chunk, &err);
}

/* ---- What is said of a fold -------------------------------------------------------------------------------------- */

/* The step at which the fits without `fold` do best on the other folds. */
static int choose_step(const struct estimate *e, int part, int fold)
{
    double least = INFINITY;
    int best = 0;

    for (int s = 0; s < TABLE_MOST_STATES; s++) {
        double loss = 0;
        bool beyond = true;
        for (int other = 0; other < e->data.folds; other++) {
            int state;
            if (other == fold)
                continue;
            state = table_state_near(e, part, fold, other, s);
            loss += table_path_of(e, part, fold, other)->loss[other > fold][state];
            beyond = beyond && state < s;
        }
        if (!beyond && loss < least) {
            least = loss;
            best = s;
        }
    }
    return best;
}

/* One fold's work: scores are PMIs s_m = log q_m - log pi, [row][part][K]. */
struct fold_work {
    const struct estimate *e;
    int fold;
    size_t step;             /* every step-th row of the others goes into the weights */
    size_t other_count;
    float *own, *others;     /* scores of a block of the fold's rows, by the mean of its fits; of the others' rows, held
                                out */
    int *other_labels;
    float *other_weights;    /* NULL: all 1 */
    float *logits, *x;       /* [TABLE_BLOCK][K], [TABLE_BLOCK][width of the widest matrix] */
    double *log_prior;       /* [K] of the rows outside the fold */
};

/* Every step-th row from `first` on, `rows` of them, one after the other: as they are stored where step is 1. */
static const float *gather(const struct fold_work *w, const struct table_matrix *matrix, size_t first, size_t rows,
                           size_t step)
{
    if (step == 1)
        return table_rows(&w->e->data, matrix, first, rows, w->x);
    for (size_t r = 0; r < rows; r++) {
        float *to = w->x + r * matrix->width;
        const float *x = table_rows(&w->e->data, matrix, first + r * step, 1, to);
        if (x != to)
            memcpy(to, x, matrix->width * sizeof *x);
    }
    return w->x;
}

/* Adds share times the PMIs of part m under the fit without (fold, other) for every step-th row of [first, end). */
static size_t add_scores(const struct fold_work *w, int m, int other, size_t first, size_t end, size_t step,
                         float share, float *scores)
{
    const struct estimate *e = w->e;
    const struct table_matrix *matrix = e->matrices[m];
    const struct table_path *path = table_path_of(e, m, w->fold, other);
    int state = table_state_at(e, m, w->fold, other);
    size_t k = (size_t)e->data.classes, row = (size_t)e->part_count * k, count = (end - first + step - 1) / step;

    for (size_t at = 0; at < count; at += TABLE_BLOCK) {
        size_t rows = count - at < TABLE_BLOCK ? count - at : TABLE_BLOCK;
        e->parts[m]->logits(&e->data, matrix, path, state, gather(w, matrix, first + at * step, rows, step), rows,
                            w->logits);
        table_normalise(w->logits, rows, e->data.classes);
        for (size_t r = 0; r < rows; r++) {
            float *out = scores + (at + r) * row + (size_t)m * k;
            for (size_t y = 0; y < k; y++)
                out[y] += share * (w->logits[r * k + y] - (float)w->log_prior[y]);
        }
    }
    return count;
}

/* Of the others' rows, held out. */
static void fill_others(struct fold_work *w)
{
    const struct estimate *e = w->e;
    const size_t *start = e->data.start;
    size_t row = (size_t)e->part_count * (size_t)e->data.classes, at = 0;

    for (int other = 0; other < e->data.folds; other++) {
        size_t count = 0;
        if (other == w->fold)
            continue;
        for (int m = 0; m < e->part_count; m++)
            count = add_scores(w, m, other, start[other], start[other + 1], w->step, 1, w->others + at * row);
        for (size_t i = 0; i < count; i++)
            w->other_labels[at + i] = e->data.labels[start[other] + i * w->step];
        for (size_t i = 0; w->other_weights != NULL && i < count; i++)
            w->other_weights[at + i] = e->data.weights[start[other] + i * w->step];
        at += count;
    }
    w->other_count = at;
}

/* Of rows [first, end) of the fold itself, at most TABLE_BLOCK. */
static void fill_own(struct fold_work *w, size_t first, size_t end)
{
    const struct estimate *e = w->e;

    memset(w->own, 0, TABLE_BLOCK * (size_t)e->part_count * (size_t)e->data.classes * sizeof *w->own);
    for (int other = 0; other < e->data.folds; other++)
        for (int m = 0; other != w->fold && m < e->part_count; m++)
            (void)add_scores(w, m, other, first, end, 1, 1 / (float)(e->data.folds - 1), w->own);
}

static double weight_of(const struct table_data *data, size_t row)
{
    return data->weights != NULL ? (double)data->weights[row] : 1;
}

static void set_prior(struct fold_work *w)
{
    const struct table_data *data = &w->e->data;
    double rows = 0;

    for (int y = 0; y < data->classes; y++)
        w->log_prior[y] = 0.5;
    for (size_t i = 0; i < data->n; i++)
        if (i < data->start[w->fold] || i >= data->start[w->fold + 1])
            w->log_prior[data->labels[i]] += weight_of(data, i);
    for (int y = 0; y < data->classes; y++)
        rows += w->log_prior[y];
    for (int y = 0; y < data->classes; y++)
        w->log_prior[y] = log(w->log_prior[y] / rows);
}

/* A row's log q by the pool, and the losses of the parts alone. */
static void say_row(const struct fold_work *w, const float *scores, size_t at, const double *weights, double *log_q,
                    double *alone)
{
    const struct estimate *e = w->e;
    size_t k = (size_t)e->data.classes;
    float *out = e->result->log_q + (size_t)e->order[at] * k;

    for (int m = 0; m < e->part_count; m++) {
        const double one = 1;
        table_pool_row(scores + (size_t)m * k, 1, e->data.classes, w->log_prior, &one, log_q);
        alone[m] -= weight_of(&e->data, at) * log_q[e->data.labels[at]];
    }
    table_pool_row(scores, e->part_count, e->data.classes, w->log_prior, weights, log_q);
    table_guard(w->log_prior, 1 / (double)e->data.n, e->data.classes, log_q);
    for (size_t y = 0; y < k; y++)
        out[y] = (float)log_q[y];
}

static void say(struct fold_work *w, const double *weights, double *log_q, double *alone)
{
    const struct estimate *e = w->e;
    size_t row = (size_t)e->part_count * (size_t)e->data.classes, last = e->data.start[w->fold + 1];

    for (size_t at = e->data.start[w->fold]; at < last; at += TABLE_BLOCK) {
        size_t end = last - at < TABLE_BLOCK ? last : at + TABLE_BLOCK;
        fill_own(w, at, end);
        for (size_t i = at; i < end; i++)
            say_row(w, w->own + (i - at) * row, i, weights, log_q, alone);
    }
}

/* Every so-manieth of the others' rows goes into the weights. */
static size_t pool_step(const struct estimate *e, size_t others)
{
    size_t scores = others * (size_t)e->part_count * (size_t)e->data.classes;
    size_t by_rows = (others + MOST_POOL_ROWS - 1) / MOST_POOL_ROWS, by_scores = scores / MOST_POOL_SCORES + 1;

    return by_rows > by_scores ? by_rows : by_scores;
}

static enum infomask_status judge_fold(struct estimate *e, int fold, struct infomask_error *err)
{
    size_t k = (size_t)e->data.classes, row = (size_t)e->part_count * k;
    size_t own = e->data.start[fold + 1] - e->data.start[fold], others = e->data.n - own, widest = 1;
    struct fold_work w = {.e = e, .fold = fold, .step = pool_step(e, others)};
    struct table_scored scored;
    double weights[INFOMASK_TABLE_PARTS] = {0}, alone[INFOMASK_TABLE_PARTS] = {0}, *log_q = malloc(k * sizeof *log_q);
    enum infomask_status status = INFOMASK_OK;

    for (int m = 0; m < e->part_count; m++)
        widest = e->matrices[m]->width > widest ? e->matrices[m]->width : widest;
    others = others / w.step + (size_t)e->data.folds;
    w.own = calloc(TABLE_BLOCK * row, sizeof *w.own);
    w.others = calloc(others * row + 1, sizeof *w.others);
    w.other_labels = malloc(others * sizeof *w.other_labels);
    w.other_weights = e->data.weights != NULL ? malloc(others * sizeof *w.other_weights) : NULL;
    w.logits = malloc(TABLE_BLOCK * k * sizeof *w.logits);
    w.x = malloc(TABLE_BLOCK * widest * sizeof *w.x);
    w.log_prior = e->log_prior[fold] = malloc(k * sizeof *w.log_prior);
    if (w.own == NULL || w.others == NULL || w.other_labels == NULL || w.logits == NULL || w.x == NULL ||
        w.log_prior == NULL || log_q == NULL || (w.other_weights == NULL) != (e->data.weights == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the pool of %zu rows", e->data.n);
    if (status == INFOMASK_OK) {
        for (int m = 0; m < e->part_count; m++)
            e->step[m][fold] = choose_step(e, m, fold);
        set_prior(&w);
        fill_others(&w);
        scored = (struct table_scored){w.others, w.other_labels, w.other_weights, w.other_count, e->part_count,
                                       e->data.classes, w.log_prior};
        status = table_pool_fit(&scored, weights, err);
    }
    if (status == INFOMASK_OK)
        say(&w, weights, log_q, alone);
    for (int m = 0; m < e->part_count; m++) {
        e->loss[m][fold] = alone[m];
        e->weight[m][fold] = weights[m];
    }
    free(w.own);
    free(w.others);
    free(w.other_labels);
    free(w.other_weights);
    free(w.logits);
    free(w.x);
    free(log_q);
    return status;
}

static void judge_one(void *context, int fold, int worker)
{
    struct estimate *e = context;
    struct infomask_error err;
    enum infomask_status status;

    (void)worker;
    if (atomic_load(&e->failed) != INFOMASK_OK)
        return;
    status = judge_fold(e, fold, &err);
    if (status != INFOMASK_OK)
        keep_failure(e, status, e->part_count * e->pairs + fold, &err);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status check_weights(const struct infomask_table *table, struct infomask_error *err)
{
    double sum = 0;

    for (size_t i = 0; table->weights != NULL && i < table->rows; i++) {
        if (!(table->weights[i] >= 0 && isfinite(table->weights[i])))
            return error_set(err, INFOMASK_BAD_DATA, "row %zu: a weight is a number from 0 on", i);
        sum += table->weights[i];
    }
    if (table->weights != NULL && !(sum > 0 && isfinite(sum)))
        return error_set(err, INFOMASK_BAD_DATA, "the weights add up to %g", sum);
    return INFOMASK_OK;
}

static enum infomask_status check(const struct infomask_table *table, struct infomask_error *err)
{
    size_t cells;

    if (table->rows < 20 || table->rows > INT32_MAX)
        return error_set(err, INFOMASK_BAD_DATA, "a table has 20 to 2147483647 rows, not %zu", table->rows);
    if (table->columns < 1 || table->columns > 65536)
        return error_set(err, INFOMASK_BAD_DATA, "a table has 1 to 65536 columns, not %zu", table->columns);
    if (table->classes < 2 || table->classes > 65536)
        return error_set(err, INFOMASK_BAD_DATA, "a table has 2 to 65536 classes, not %d", table->classes);
    if (!checked_mul3(table->rows, table->columns, sizeof(float), &cells) ||
        !checked_mul3(table->rows, (size_t)table->classes, sizeof(double), &cells))
        return error_set(err, INFOMASK_MEMORY, "no memory for so large a table");
    for (size_t i = 0; i < table->rows; i++)
        if (table->labels[i] >= (uint32_t)table->classes)
            return error_set(err, INFOMASK_BAD_DATA, "row %zu: label %u, but there are %d classes", i, table->labels[i],
                             table->classes);
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t column = i % table->columns;
        uint32_t levels = table->levels != NULL ? table->levels[column] : 0;
        if (isinf(table->x[i]) || (levels > 0 && !(table->x[i] >= 0 && table->x[i] < (float)levels)))
            return error_set(err, INFOMASK_BAD_DATA, "row %zu, column %zu: %s", i / table->columns, column,
                             levels > 0 ? "not one of its categories" : "not a finite number");
    }
    return check_weights(table, err);
}

static bool few_rows(size_t rows, int classes)
{
    return classes > MANY_CLASSES && rows < FEW_ROWS * (size_t)classes;
}

/* More folds leave more rows to learn from, which counts while rows are few; but the fits grow with their square. */
static int folds_for(const struct infomask_table *table)
{
    double work = (double)table->rows * (double)table->columns * table->classes;

    if (table->rows < 3000 && (work <= 1e6 || few_rows(table->rows, table->classes)))
        return 10;
    return table->rows < 30000 && work <= 1e7 ? 6 : 4;
}

/* As even as copies allow. */
static enum infomask_status set_starts(struct estimate *e, const struct infomask_table *table,
                                       struct infomask_error *err)
{
    const uint32_t *group = e->result->group;

    e->data.start[0] = 0;
    for (int f = 1; f <= e->data.folds; f++) {
        size_t at = table->rows * (size_t)f / (size_t)e->data.folds;
        while (at < table->rows && group[e->order[at]] == group[e->order[at - 1]])
            at++;
        e->data.start[f] = at;
        if (at == e->data.start[f - 1])
            return error_set(err, INFOMASK_BAD_DATA,
                             "too few different rows for %d folds: one makes up too much of the table", e->data.folds);
    }
    return INFOMASK_OK;
}

static enum infomask_status shuffle_rows(struct estimate *e, size_t rows, struct infomask_error *err)
{
    int *shuffled = malloc(rows * sizeof *shuffled);

    e->order = malloc(rows * sizeof *e->order);
    e->labels = malloc(rows * sizeof *e->labels);
    e->result->group = malloc(rows * sizeof *e->result->group);
    if (shuffled == NULL || e->order == NULL || e->labels == NULL || e->result->group == NULL) {
        free(shuffled);
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", rows);
    }
    train_shuffle((int)rows, e->data.seed, UINT64_MAX, shuffled);
    for (size_t i = 0; i < rows; i++)
        e->order[i] = (uint32_t)shuffled[i];
    free(shuffled);
    return INFOMASK_OK;
}

static enum infomask_status deal_groups(struct estimate *e, const struct infomask_table *table,
                                        struct infomask_error *err)
{
    size_t groups = table_join(e->result->group, table->groups, table->rows);

    if (groups == 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the groups");
    if (groups < 3)
        return error_set(err, INFOMASK_BAD_DATA, "the rows are of %zu group%s; there have to be at least 3", groups,
                         groups == 1 ? "" : "s");
    if (groups < (size_t)e->data.folds)
        e->data.folds = (int)groups;
    e->result->grouped = e->result->grouped || groups < table->rows;
    return table_deal(e->result->group, table->rows, e->data.folds, e->order, e->data.start, err);
}

static enum infomask_status set_folds(struct estimate *e, const struct infomask_table *table,
                                      struct infomask_error *err)
{
    enum infomask_status status = shuffle_rows(e, table->rows, err);

    if (status == INFOMASK_OK)
        status = table_groups(table, e->result->group, &e->result->copies, err);
    e->result->grouped = e->result->copies > 0;
    if (status == INFOMASK_OK && table->groups != NULL) {
        status = deal_groups(e, table, err);
    } else if (status == INFOMASK_OK) {
        if (e->result->copies > 0)
            status = table_gather(e->result->group, table->rows, e->order, err);
        if (status == INFOMASK_OK)
            status = set_starts(e, table, err);
    }
    for (size_t i = 0; status == INFOMASK_OK && i < table->rows; i++)
        e->labels[i] = (int)table->labels[e->order[i]];
    e->data.labels = e->labels;
    for (int f = 0; status == INFOMASK_OK && f < e->data.folds; f++) {
        size_t learnt = table_learnt_end(&e->data, f), judged = table_judged_end(&e->data, f);
        e->data.stored[f + 1] = e->data.stored[f] + (learnt > judged ? learnt : judged) - e->data.start[f];
    }
    return status;
}

/* Of mean 1. */
static enum infomask_status set_weights(struct estimate *e, const struct infomask_table *table,
                                        struct infomask_error *err)
{
    double sum = 0;

    if (table->weights == NULL)
        return INFOMASK_OK;
    e->weights = malloc(table->rows * sizeof *e->weights);
    if (e->weights == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", table->rows);
    for (size_t i = 0; i < table->rows; i++)
        sum += table->weights[i];
    for (size_t i = 0; i < table->rows; i++)
        e->weights[i] = (float)(table->weights[e->order[i]] * ((double)table->rows / sum));
    e->data.weights = e->weights;
    return INFOMASK_OK;
}

static void add_part(struct estimate *e, const struct table_part *part, const struct table_matrix *matrix)
{
    if (matrix->width == 0)
        return;
    e->parts[e->part_count] = part;
    e->matrices[e->part_count++] = matrix;
}

/* What a fit learns from, about. */
static double rows_learnt(const struct table_data *data)
{
    double rows = 0;

    for (int f = 0; f < data->folds; f++)
        rows += (double)(table_learnt_end(data, f) - data->start[f]);
    return rows * (data->folds - 2) / data->folds;
}

/* In the order of what their fits cost.  Where there are many classes with few rows each, clouds alone, and the linear
 * model if that is not too much work: the others would have nothing to learn from, and take all the time and memory.
 * Of many classes with more rows, too, each part has its share of the time: a step of it costs as much as `answers`. */
static void add_parts(struct estimate *e)
{
    size_t k = (size_t)e->data.classes;
    bool few = few_rows(e->data.n, e->data.classes);
    bool clouds = table_discriminant_fits_in(&e->data, &e->plain);
    double answers = k > MANY_CLASSES ? rows_learnt(&e->data) * (double)k : 0;
    double work = (double)e->data.n * (double)e->plain.width * (double)k;

    if (!few) {
        if (answers <= NETWORK_WORK && table_network_fits_in(&e->data, &e->plain))
            add_part(e, &network, &e->plain);
        if (answers <= TREES_WORK && table_trees_fit_in(&e->data, &e->plain))
            add_part(e, &trees, e->holes.width > 0 ? &e->holes : &e->plain);
        if (e->squares.width * k <= MOST_WEIGHTS)
            add_part(e, &quadratic, &e->squares);
        if (table_grids_fit_in(&e->data, &e->codes))
            add_part(e, &grids, &e->codes);
    }
    if (!clouds || (few ? work <= FEW_WORK : answers <= LINEAR_WORK))
        add_part(e, &linear, &e->plain);
    if (clouds)
        add_part(e, &discriminant, &e->plain);
}

static enum infomask_status set_up(struct estimate *e, const struct infomask_table *table, struct infomask_error *err)
{
    enum infomask_status status = check(table, err);

    e->data = (struct table_data){.n = table->rows, .classes = table->classes, .folds = e->options->folds,
                                  .kernels = kernels_best(), .seed = e->options->seed};
    if (e->data.folds == 0)
        e->data.folds = folds_for(table);
    if (status == INFOMASK_OK && (e->data.folds < 3 || e->data.folds > TABLE_MOST_FOLDS))
        return error_set(err, INFOMASK_ARGUMENT, "there are 3 to %d folds, not %d", TABLE_MOST_FOLDS, e->data.folds);
    if (status == INFOMASK_OK && e->options->isa != NULL)
        status = kernels_named(e->options->isa, &e->data.kernels, err);
    if (status == INFOMASK_OK)
        status = set_folds(e, table, err);
    e->pairs = e->data.folds * (e->data.folds - 1) / 2;
    if (status == INFOMASK_OK)
        status = set_weights(e, table, err);
    if (status == INFOMASK_OK)
        status = table_plain(table, e->order, &e->data, &e->plain, err);
    if (status == INFOMASK_OK)
        status = table_holes(table, e->order, &e->data, &e->holes, err);
    if (status == INFOMASK_OK)
        status = table_squares(&e->plain, &e->squares, err);
    if (status == INFOMASK_OK)
        status = table_codes(table, e->order, &e->codes, err);
    if (status != INFOMASK_OK)
        return status;
    add_parts(e);
    e->result->log_q = malloc(table->rows * (size_t)table->classes * sizeof *e->result->log_q);
    return e->result->log_q == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", table->rows)
                                    : INFOMASK_OK;
}

static enum infomask_status failure(const struct estimate *e, struct infomask_error *err)
{
    for (size_t i = 0; atomic_load(&e->failed) != INFOMASK_OK && i < sizeof e->errors / sizeof *e->errors; i++)
        if (e->errors[i].status != INFOMASK_OK)
            return error_set(err, e->errors[i].status, "%s", e->errors[i].text);
    return INFOMASK_OK;
}

static void sum_up(const struct estimate *e)
{
    struct infomask_table_result *result = e->result;
    double entropy = 0;

    for (int y = 0; y < e->data.classes; y++) {
        double f = 0;
        for (size_t i = 0; i < e->data.n; i++)
            f += e->labels[i] == y ? weight_of(&e->data, i) : 0;
        f /= (double)e->data.n;
        entropy -= f > 0 ? f * log(f) : 0;
    }
    result->folds = e->data.folds;
    result->part_count = e->part_count;
    for (int m = 0; m < e->part_count; m++) {
        double loss = 0, weight = 0;
        for (int f = 0; f < e->data.folds; f++) {
            loss += e->loss[m][f];
            weight += e->weight[m][f] / e->data.folds;
        }
        result->parts[m] = (struct infomask_table_part){e->parts[m]->name, weight, entropy - loss / (double)e->data.n};
    }
}

void infomask_table_result_fini(struct infomask_table_result *result)
{
    free(result->log_q);
    free(result->group);
    free(result->columns);
    *result = (struct infomask_table_result){0};
}

enum infomask_status infomask_table_estimate(const struct infomask_table *table,
                                             const struct infomask_table_options *options, struct pool *pool,
                                             struct infomask_table_result *result, struct infomask_error *err)
{
    struct estimate *e = calloc(1, sizeof *e);
    enum infomask_status status;

    *result = (struct infomask_table_result){0};
    if (e == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    e->options = options;
    e->result = result;
    status = set_up(e, table, err);
    if (status == INFOMASK_OK) {
        pool_for(pool, e->part_count * e->pairs, fit_one, e);
        pool_for(pool, e->data.folds, judge_one, e);
        status = failure(e, err);
    }
    if (status == INFOMASK_OK)
        sum_up(e);
    if (status == INFOMASK_OK && options->columns > 0)
        status = table_look_at_columns(e, table->columns, pool, err);
    if (status != INFOMASK_OK)
        infomask_table_result_fini(result);
    for (int i = 0; i < INFOMASK_TABLE_PARTS * TABLE_MOST_PAIRS; i++)
        table_path_fini(&e->paths[i / TABLE_MOST_PAIRS][i % TABLE_MOST_PAIRS]);
    table_matrix_fini(&e->plain);
    table_matrix_fini(&e->holes);
    table_matrix_fini(&e->squares);
    table_matrix_fini(&e->codes);
    for (int f = 0; f < TABLE_MOST_FOLDS; f++)
        free(e->log_prior[f]);
    free(e->weights);
    free(e->labels);
    free(e->order);
    free(e);
    return status;
}
