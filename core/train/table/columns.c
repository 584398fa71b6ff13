/* What each column of a table says: alone, by histograms of its codes, and to the pool.
 *
 * Without a column the pool says the geometric mean of what it says for DRAWS values of it, those at its quantiles
 * among the rows of the fold: for evidence that adds up, log q(y|x) = sum_j e_j(y) + ..., that takes e_j out but for a
 * constant of each class, which is set so that the mean of q(y) is what it was.  (Permutation, Breiman 2001, with one
 * wrong value for each row, misleads instead: it costs more than the column says.)  No label of a fold has a say in
 * what is said of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/special.h"
#include "core/train/table/cross_fit.h"

#define MOST_ROWS 300 /* on which the loss without a column is measured */
#define DRAWS 16
#define BALANCES 20   /* steps that set the classes' constants */
#define BITS 6         /* of a code */

static const double strengths[] = {0.5, 2, 8, 32, 128}; /* rows of the prior that are added to a cell */
#define STRENGTHS (sizeof strengths / sizeof *strengths)

struct looking {
    struct estimate *e;
    size_t *column;   /* [count] of codes */
    size_t count;
    atomic_bool failed;
};

static double weight_of(const struct table_data *data, size_t row)
{
    return data->weights != NULL ? (double)data->weights[row] : 1;
}

/* ---- Alone ------------------------------------------------------------------------------------------------------- */

struct histogram {
    size_t k;
    int bits;        /* cells: 2^bits */
    double strength;
    double *count;   /* [64][K] rows of the other folds at 64 codes */
    double *cell;    /* [64][K] at 2^bits */
    double *prior;   /* [K] */
};

static void coarsen(struct histogram *h, int bits)
{
    memset(h->cell, 0, TABLE_CODES * h->k * sizeof *h->cell);
    for (size_t c = 0; c < TABLE_CODES; c++)
        for (size_t y = 0; y < h->k; y++)
            h->cell[(c >> (BITS - bits)) * h->k + y] += h->count[c * h->k + y];
    h->bits = bits;
}

/* log-likelihood of each row by the others of its cell. */
static double leave_one_out(const struct histogram *h, double strength)
{
    double sum = 0;

    for (size_t c = 0; c < (size_t)1 << h->bits; c++) {
        const double *cell = h->cell + c * h->k;
        double rows = 0;
        for (size_t y = 0; y < h->k; y++)
            rows += cell[y];
        for (size_t y = 0; y < h->k; y++)
            if (cell[y] > 0)
                sum += cell[y] * log((fmax(cell[y] - 1, 0) + strength * h->prior[y]) / (fmax(rows - 1, 0) + strength));
    }
    return sum;
}

static void choose(struct histogram *h)
{
    double best = -INFINITY, strength = strengths[0];
    int bits = 1;

    for (int b = 1; b <= BITS; b++) {
        coarsen(h, b);
        for (size_t s = 0; s < STRENGTHS; s++) {
            double value = leave_one_out(h, strengths[s]);
            if (value > best) {
                best = value;
                bits = b;
                strength = strengths[s];
            }
        }
    }
    coarsen(h, bits);
    h->strength = strength;
}

/* log q(label) of a fold's rows from the others' counts. */
static void say_alone(const struct estimate *e, size_t column, int fold, struct histogram *h, double *log_q)
{
    const struct table_data *data = &e->data;
    const float *codes = e->codes.x;
    size_t width = e->codes.width;

    memset(h->count, 0, TABLE_CODES * h->k * sizeof *h->count);
    for (size_t y = 0; y < h->k; y++)
        h->prior[y] = exp(e->log_prior[fold][y]);
    for (size_t i = 0; i < data->n; i++)
        if (i < data->start[fold] || i >= data->start[fold + 1])
            h->count[(size_t)codes[i * width + column] * h->k + (size_t)data->labels[i]] += weight_of(data, i);
    choose(h);
    for (size_t i = data->start[fold]; i < data->start[fold + 1]; i++) {
        const double *cell = h->cell + ((size_t)codes[i * width + column] >> (BITS - h->bits)) * h->k;
        double rows = h->strength;
        for (size_t y = 0; y < h->k; y++)
            rows += cell[y];
        log_q[i] = log((cell[data->labels[i]] + h->strength * h->prior[data->labels[i]]) / rows);
    }
}

static double label_entropy(const struct table_data *data, double *f)
{
    double entropy = 0;

    memset(f, 0, (size_t)data->classes * sizeof *f);
    for (size_t i = 0; i < data->n; i++)
        f[data->labels[i]] += weight_of(data, i) / (double)data->n;
    for (int y = 0; y < data->classes; y++)
        entropy -= f[y] > 0 ? f[y] * log(f[y]) : 0;
    return entropy;
}

/* The estimate from log q(label) [n]. */
static double measure(const struct table_data *data, const double *log_q, double *f)
{
    double information = label_entropy(data, f);

    for (size_t i = 0; i < data->n; i++)
        information += weight_of(data, i) * log_q[i] / (double)data->n;
    return information;
}

/* Its limit, which takes longer. */
static bool limit_alone(const struct estimate *e, const double *log_q, struct infomask_table_column *row)
{
    const struct table_data *data = &e->data;
    struct info_point *points = malloc(data->n * sizeof *points);
    struct info_limits limits;
    size_t n = 0;
    bool fine = points != NULL;

    for (size_t i = 0; fine && i < data->n; i++) /* by the rows' numbers, which is nearly the order that is wanted */
        points[e->order[i]] = (struct info_point){e->result->group[e->order[i]], log_q[i], (uint32_t)data->labels[i], 0,
                                                  weight_of(data, i)};
    for (size_t i = 0; fine && i < data->n; i++)
        if (points[i].weight > 0)
            points[n++] = points[i];
    fine = fine && info_limits(points, n, (size_t)data->classes, 0.975, &limits, NULL) == INFOMASK_OK;
    row->alone_limit = fine ? limits.betting : NAN;
    free(points);
    return fine;
}

/* limited: nothing but the limit. */
static bool look_alone(const struct estimate *e, size_t column, bool limited, struct infomask_table_column *row)
{
    size_t k = (size_t)e->data.classes;
    struct histogram h = {.k = k, .count = malloc(TABLE_CODES * k * sizeof(double)),
                          .cell = malloc(TABLE_CODES * k * sizeof(double)), .prior = malloc(k * sizeof(double))};
    double *log_q = malloc(e->data.n * sizeof *log_q);
    bool fine = h.count != NULL && h.cell != NULL && h.prior != NULL && log_q != NULL;

    for (int f = 0; fine && f < e->data.folds; f++)
        say_alone(e, column, f, &h, log_q);
    if (fine && limited)
        fine = limit_alone(e, log_q, row);
    else if (fine)
        row->alone = measure(&e->data, log_q, h.prior);
    free(h.count);
    free(h.cell);
    free(h.prior);
    free(log_q);
    return fine;
}

/* ---- Without ----------------------------------------------------------------------------------------------------- */

/* Rows of one fold as every part sees them. */
struct block {
    size_t rows;
    size_t *row;                       /* [rows] of the data */
    float *x[INFOMASK_TABLE_PARTS];    /* [rows][width] */
    float *plain;                      /* [plain width] */
    float *logits, *scores;            /* [rows][K]; [rows][parts][K] */
    double *log_q;                     /* [K] */
    double *said;                      /* [rows][K] mean of log q over the draws */
    double *balance;                   /* [2][K] what q is on average, without the column; the classes' constants */
    float *made;                       /* [2][width] of rows that are not stored */
};

static void copy_row(const struct table_data *data, const struct table_matrix *matrix, const size_t row[2],
                     uint32_t column, float *made, float *out)
{
    const float *own = table_rows(data, matrix, row[0], 1, made);
    const float *its = table_rows(data, matrix, row[1], 1, made + matrix->width);

    for (size_t j = 0; j < matrix->width; j++)
        out[j] = matrix->source[j] == column ? its[j] : own[j];
}

/* Fills x of every part, the column's value taken from the row `other`. */
static void fill_block(const struct estimate *e, struct block *b, size_t other, uint32_t column)
{
    for (int m = 0; m < e->part_count; m++) {
        const struct table_matrix *matrix = e->matrices[m];
        for (size_t r = 0; r < b->rows; r++) {
            float *out = b->x[m] + r * matrix->width;
            const size_t rows[2] = {b->row[r], other};
            if (matrix != &e->squares) {
                copy_row(&e->data, matrix, rows, column, b->made, out);
                continue;
            }
            copy_row(&e->data, &e->plain, rows, column, b->made, b->plain);
            table_multiply(&e->squares, e->plain.width, b->plain, out);
        }
    }
}

static void add_part(const struct estimate *e, int fold, int m, struct block *b)
{
    size_t k = (size_t)e->data.classes, parts = (size_t)e->part_count;
    float share = 1 / (float)(e->data.folds - 1);

    for (int other = 0; other < e->data.folds; other++) {
        if (other == fold)
            continue;
        e->parts[m]->logits(&e->data, e->matrices[m], table_path_of(e, m, fold, other),
                            table_state_at(e, m, fold, other), b->x[m], b->rows, b->logits);
        table_normalise(b->logits, b->rows, e->data.classes);
        for (size_t r = 0; r < b->rows; r++)
            for (size_t y = 0; y < k; y++)
                b->scores[(r * parts + (size_t)m) * k + y] +=
                    share * (b->logits[r * k + y] - (float)e->log_prior[fold][y]);
    }
}

static void say_block(const struct estimate *e, int fold, struct block *b)
{
    size_t k = (size_t)e->data.classes, row = (size_t)e->part_count * k;
    double weights[INFOMASK_TABLE_PARTS];

    memset(b->scores, 0, b->rows * row * sizeof *b->scores);
    for (int m = 0; m < e->part_count; m++) {
        weights[m] = e->weight[m][fold];
        if (weights[m] > 0)
            add_part(e, fold, m, b);
    }
    for (size_t r = 0; r < b->rows; r++) {
        table_pool_row(b->scores + r * row, e->part_count, e->data.classes, e->log_prior[fold], weights, b->log_q);
        table_guard(e->log_prior[fold], 1 / (double)e->data.n, e->data.classes, b->log_q);
        for (size_t y = 0; y < k; y++)
            b->said[r * k + y] += b->log_q[y] / DRAWS;
    }
}

static bool block_init(struct block *b, const struct estimate *e, size_t rows)
{
    size_t k = (size_t)e->data.classes, widest = e->plain.width + 1;
    bool fine = true;

    for (int m = 0; m < e->part_count; m++)
        widest = e->matrices[m]->width > widest ? e->matrices[m]->width : widest;
    *b = (struct block){.row = malloc(rows * sizeof *b->row),
                        .plain = malloc((e->plain.width + 1) * sizeof *b->plain),
                        .logits = malloc(rows * k * sizeof *b->logits),
                        .scores = malloc(rows * (size_t)e->part_count * k * sizeof *b->scores + 1),
                        .log_q = malloc(k * sizeof *b->log_q), .said = malloc(rows * k * sizeof *b->said),
                        .balance = malloc(2 * k * sizeof *b->balance),
                        .made = malloc(2 * widest * sizeof *b->made)};
    for (int m = 0; m < e->part_count; m++) {
        b->x[m] = malloc(rows * e->matrices[m]->width * sizeof(float));
        fine = fine && b->x[m] != NULL;
    }
    return fine && b->row != NULL && b->plain != NULL && b->logits != NULL && b->scores != NULL &&
           b->log_q != NULL && b->said != NULL && b->balance != NULL && b->made != NULL;
}

static void block_fini(struct block *b)
{
    for (int m = 0; m < INFOMASK_TABLE_PARTS; m++)
        free(b->x[m]);
    free(b->row);
    free(b->plain);
    free(b->logits);
    free(b->scores);
    free(b->log_q);
    free(b->said);
    free(b->balance);
    free(b->made);
}

/* Every step-th row of a fold. */
static void take_rows(const struct estimate *e, int fold, size_t step, struct block *b)
{
    b->rows = 0;
    for (size_t i = e->data.start[fold]; i < e->data.start[fold + 1]; i += step)
        b->row[b->rows++] = i;
    memset(b->said, 0, b->rows * (size_t)e->data.classes * sizeof *b->said);
}

/* The rows of a fold in which a column has its quantiles: a counting sort of its codes. */
static void find_quantiles(const struct estimate *e, int fold, size_t column, size_t *at)
{
    size_t first = e->data.start[fold], rows = e->data.start[fold + 1] - first, width = e->codes.width;
    size_t below[TABLE_CODES + 1] = {0}, seen[TABLE_CODES] = {0};

    for (size_t i = 0; i < rows; i++)
        below[(size_t)e->codes.x[(first + i) * width + column] + 1]++;
    for (size_t c = 0; c < TABLE_CODES; c++)
        below[c + 1] += below[c];
    for (size_t i = 0; i < rows; i++) {
        size_t code = (size_t)e->codes.x[(first + i) * width + column], rank = below[code] + seen[code]++;
        for (size_t d = 0; d < DRAWS; d++)
            if ((2 * d + 1) * rows / (2 * DRAWS) == rank)
                at[d] = first + i;
    }
}

/* The classes' constants: the mean of q(y) becomes what the pool says of the same rows with the column. */
static void balance(const struct estimate *e, struct block *b)
{
    size_t k = (size_t)e->data.classes;
    double *mean = b->balance, *constant = mean + k;

    memset(constant, 0, k * sizeof *constant);
    for (int step = 0; step < BALANCES; step++) {
        for (size_t y = 0; y < k; y++)
            mean[y] = 0;
        for (size_t r = 0; r < b->rows; r++) {
            for (size_t y = 0; y < k; y++)
                b->log_q[y] = b->said[r * k + y] + constant[y];
            info_log_softmax(b->log_q, k, b->log_q);
            for (size_t y = 0; y < k; y++)
                mean[y] += exp(b->log_q[y]) / (double)b->rows;
        }
        for (size_t y = 0; y < k; y++) {
            double was = 0;
            for (size_t r = 0; r < b->rows; r++)
                was += exp((double)e->result->log_q[e->order[b->row[r]] * k + y]) / (double)b->rows;
            constant[y] += log(was / mean[y]);
        }
    }
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t y = 0; y < k; y++)
            b->said[r * k + y] += constant[y];
        info_log_softmax(b->said + r * k, k, b->said + r * k);
    }
}

/* Of the differences [n], in units: mean and t interval. */
struct difference {
    uint32_t unit;
    double weight, value;
};

static int by_unit(const void *left, const void *right)
{
    const struct difference *a = left, *b = right;

    return (a->unit > b->unit) - (a->unit < b->unit);
}

static void summarise(struct difference *list, size_t n, struct infomask_table_column *row)
{
    double sum = 0, weights = 0, squares = 0, half;
    size_t units = 0;

    qsort(list, n, sizeof *list, by_unit);
    for (size_t i = 0; i < n; i++) {
        sum += list[i].weight * list[i].value;
        weights += list[i].weight;
    }
    row->lost = sum / weights;
    for (size_t from = 0, to; from < n; from = to, units++) {
        double miss = 0;
        for (to = from; to < n && list[to].unit == list[from].unit; to++)
            miss += list[to].weight * (list[to].value - row->lost);
        squares += miss * miss;
    }
    if (units < 2)
        return;
    half = info_student_quantile(0.975, (double)(units - 1)) *
           sqrt(squares * (double)units / (double)(units - 1)) / weights;
    row->lost_low = row->lost - half;
    row->lost_high = row->lost + half;
}

static bool look_without(const struct estimate *e, size_t column, struct infomask_table_column *row)
{
    size_t step = e->data.n / MOST_ROWS + 1, most = e->data.n / step + (size_t)e->data.folds, n = 0;
    uint32_t source = e->codes.source[column];
    size_t quantiles[DRAWS] = {0}, k = (size_t)e->data.classes;
    struct difference *list = malloc(most * sizeof *list);
    struct block b;
    bool fine = block_init(&b, e, most) && list != NULL;

    for (int fold = 0; fine && fold < e->data.folds; fold++) {
        take_rows(e, fold, step, &b);
        find_quantiles(e, fold, column, quantiles);
        for (int d = 0; d < DRAWS; d++) {
            fill_block(e, &b, quantiles[d], source);
            say_block(e, fold, &b);
        }
        balance(e, &b);
        for (size_t r = 0; r < b.rows; r++) {
            size_t i = b.row[r], at = e->order[i], label = (size_t)e->data.labels[i];
            double had = (double)e->result->log_q[at * k + label];
            list[n++] = (struct difference){e->result->group[at], weight_of(&e->data, i), had - b.said[r * k + label]};
        }
    }
    if (fine)
        summarise(list, n, row);
    free(list);
    block_fini(&b);
    return fine;
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

static void look(void *context, int chunk, int worker)
{
    struct looking *l = context;
    struct infomask_table_column *row = &l->e->result->columns[l->e->codes.source[l->column[chunk]]];

    (void)worker;
    if (!look_alone(l->e, l->column[chunk], true, row) || !look_without(l->e, l->column[chunk], row))
        atomic_store(&l->failed, true);
}

static void look_first(void *context, int chunk, int worker)
{
    struct looking *l = context;
    struct infomask_table_column *row = &l->e->result->columns[l->e->codes.source[chunk]];

    (void)worker;
    if (!look_alone(l->e, (size_t)chunk, false, row))
        atomic_store(&l->failed, true);
}

/* The columns that tell most alone, up to the number asked for. */
static void choose_columns(struct looking *l)
{
    const struct estimate *e = l->e;
    const struct infomask_table_column *rows = e->result->columns;

    for (size_t c = 0; c < e->codes.width; c++) {
        size_t at = l->count;
        double alone = rows[e->codes.source[c]].alone;
        if (at == e->options->columns && alone <= rows[e->codes.source[l->column[at - 1]]].alone)
            continue;
        if (at < e->options->columns)
            l->count++;
        else
            at--;
        for (; at > 0 && rows[e->codes.source[l->column[at - 1]]].alone < alone; at--)
            l->column[at] = l->column[at - 1];
        l->column[at] = c;
    }
}

enum infomask_status table_look_at_columns(struct estimate *e, size_t columns, struct pool *pool,
                                           struct infomask_error *err)
{
    struct looking l = {.e = e, .column = malloc((e->codes.width + 1) * sizeof *l.column)};

    e->result->columns = malloc(columns * sizeof *e->result->columns);
    if (l.column == NULL || e->result->columns == NULL) {
        free(l.column);
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu columns", columns);
    }
    for (size_t j = 0; j < columns; j++)
        e->result->columns[j] = (struct infomask_table_column){NAN, NAN, NAN, NAN, NAN};
    pool_for(pool, (int)e->codes.width, look_first, &l);
    choose_columns(&l);
    pool_for(pool, (int)l.count, look, &l);
    free(l.column);
    return atomic_load(&l.failed) ? error_set(err, INFOMASK_MEMORY, "no memory to look at columns") : INFOMASK_OK;
}
