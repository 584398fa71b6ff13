/* Screening by the G-statistic, G = sum n_ck log(n_ck n / (n_c n_k)) over cells c and classes k: 2 G is chi2 of
 * (cells - 1)(classes - 1) degrees where they are independent.  Of a pair only what lies beyond both columns counts, of
 * a triple what lies beyond its pairs. */
#include "core/train/table/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORK 4e7    /* rows times pairs, and rows times triples */
#define MOST_ROWS 4000   /* that are looked at for them */
#define LEAST_ROWS 200
#define MOST_CROSSED 256 /* columns that pairs are made of, the most telling ones */
#define MOST_TRIPLED 40
#define STANDS_OUT 4     /* deviations */
#define ROWS_PER_CODE 5 /* fewer: a column is looked at in 8 bins if that says more than its 64 codes */

struct screening {
    const struct table_matrix *codes;
    const int *labels;
    const uint32_t *rows;
    size_t count, k, width;
    double *counts;  /* [screened_most_cells][K] */
    uint8_t *column; /* [width][count] codes */
    double *of_class; /* [K] rows, of those that are looked at */
};

/* G and the degrees of freedom of cells (row i is in cell[i] < most) over every step-th row. */
struct association {
    double g, freedom;
};

static double n_log_n(double n)
{
    return n > 0 ? n * log(n) : 0;
}

static struct association associate(struct screening *s, const uint8_t *cell, size_t most, size_t step)
{
    double g = 0, n = 0;
    size_t cells = 0, classes = 0;

    memset(s->counts, 0, most * s->k * sizeof *s->counts);
    memset(s->of_class, 0, s->k * sizeof *s->of_class);
    for (size_t i = 0; i < s->count; i += step, n++) {
        size_t y = (size_t)s->labels[s->rows[i]];
        s->counts[cell[i] * s->k + y]++;
        s->of_class[y]++;
    }
    for (size_t c = 0; c < most; c++) {
        double sum = 0;
        for (size_t y = 0; y < s->k; y++) {
            sum += s->counts[c * s->k + y];
            g += n_log_n(s->counts[c * s->k + y]);
        }
        g -= n_log_n(sum);
        cells += sum > 0;
    }
    for (size_t y = 0; y < s->k; y++) {
        g -= n_log_n(s->of_class[y]);
        classes += s->of_class[y] > 0;
    }
    return (struct association){g + n_log_n(n),
                                (double)((cells > 0 ? cells - 1 : 0) * (classes > 0 ? classes - 1 : 0))};
}

static double deviations(double g, double freedom)
{
    return freedom > 0 ? (2 * g - freedom) / sqrt(2 * freedom) : -INFINITY;
}

/* Keeps the best `most` in list, by falling score. */
static void insert(struct screened *list, size_t *listed, size_t most, struct screened what)
{
    size_t at = *listed;

    if (*listed == most && what.score <= list[most - 1].score)
        return;
    if (*listed < most)
        (*listed)++;
    else
        at = most - 1;
    for (; at > 0 && list[at - 1].score < what.score; at--)
        list[at] = list[at - 1];
    list[at] = what;
}

/* ---- One, two, three --------------------------------------------------------------------------------------------- */

/* A column at 64 codes or at 8, whichever says more. */
static enum infomask_status screen_singles(struct screening *s, struct screened *list, size_t *listed, double *score,
                                           struct infomask_error *err)
{
    uint8_t *coarse = malloc(s->count + 1);

    if (coarse == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", s->count);
    for (size_t j = 0; j < s->width; j++) {
        const uint8_t *fine = s->column + j * s->count;
        struct screened what = {.dims = 1, .column = {(uint32_t)j}};
        struct association a = associate(s, fine, TABLE_CODES, 1), b;
        for (size_t i = 0; i < s->count; i++)
            coarse[i] = fine[i] >> 3;
        b = associate(s, coarse, TABLE_CODES, 1);
        score[j] = what.score = fmax(deviations(a.g, a.freedom), deviations(b.g, b.freedom));
        if (s->count < ROWS_PER_CODE * TABLE_CODES && deviations(b.g, b.freedom) > deviations(a.g, a.freedom))
            what.levels[0] = 8;
        insert(list, listed, TABLE_SINGLES, what);
    }
    free(coarse);
    return INFOMASK_OK;
}

struct ranked {
    double score;
    uint32_t column;
};

static int by_score(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->score < b->score || a->score > b->score)
        return a->score > b->score ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

/* The `most` columns with the highest scores. */
static size_t best_columns(const double *score, size_t width, size_t most, struct ranked *best)
{
    for (size_t j = 0; j < width; j++)
        best[j] = (struct ranked){score[j], (uint32_t)j};
    qsort(best, width, sizeof *best, by_score);
    return width < most ? width : most;
}

/* So many rows are passed over that the work stays bounded. */
static size_t step_for(const struct screening *s, double combinations)
{
    double rows = fmin(MOST_ROWS, fmax(MOST_WORK / combinations, LEAST_ROWS));

    return (size_t)fmax((double)s->count / rows, 1);
}

/* The first `dims` columns of `what` together. */
static struct association associate_all(struct screening *s, const struct screened *what, int dims, size_t step,
                                        uint8_t *cell)
{
    size_t cells = 1;

    for (size_t i = 0; i < s->count; i += step)
        cell[i] = 0;
    for (int d = 0; d < dims; d++) {
        const uint8_t *column = s->column + what->column[d] * s->count;
        unsigned radix = screened_radix(what, d);
        for (size_t i = 0; i < s->count; i += step)
            cell[i] = (uint8_t)(cell[i] * radix + screened_level(what, d, column[i]));
        cells *= radix;
    }
    return associate(s, cell, cells, step);
}

/* What a combination says beyond its parts is asked twice: in bins and, where columns have few values, by value, as
 * long as there is room for the cells. */
struct resolution {
    struct screening *s;
    const struct ranked *best;
    size_t count, step;
    uint8_t *cell;                 /* [rows] scratch */
    bool exact;
    struct association *of, *pair; /* [count]; [count][count], of triples only */
};

/* dims columns of r->best, at r's levels. */
static struct screened combination(const struct resolution *r, int dims, const size_t *at)
{
    struct screened what = {.dims = dims};

    for (int d = 0; d < dims; d++) {
        what.column[d] = r->best[at[d]].column;
        what.levels[d] = r->exact ? r->s->codes->levels[what.column[d]] : 0;
    }
    return what;
}

/* By value: some column has more values than there are bins, and there is room. */
static bool worth_it(const struct resolution *r, const struct screened *what)
{
    bool more = !r->exact;

    for (int d = 0; d < what->dims; d++)
        more = more || what->levels[d] > (what->dims == 2 ? 8 : 4);
    return more && screened_cells(what) <= screened_most_cells(r->s->k);
}

static void alone(const struct resolution *r, int dims)
{
    for (size_t j = 0; j < r->count; j++) {
        const size_t at[] = {j, j, j};
        struct screened what = combination(r, dims, at);
        r->of[j] = associate_all(r->s, &what, 1, r->step, r->cell);
    }
}

static void screen_pairs(const struct resolution *r, struct screened *list, size_t *listed)
{
    alone(r, 2);
    for (size_t i = 0; i < r->count; i++)
        for (size_t j = i + 1; j < r->count; j++) {
            const size_t at[] = {i, j};
            struct screened what = combination(r, 2, at);
            struct association both;
            if (!worth_it(r, &what))
                continue;
            both = associate_all(r->s, &what, 2, r->step, r->cell);
            what.score = deviations(both.g - r->of[i].g - r->of[j].g,
                                    both.freedom - r->of[i].freedom - r->of[j].freedom);
            if (what.score > STANDS_OUT)
                insert(list, listed, TABLE_PAIRS, what);
        }
}

/* The pairs at the levels that they have in a triple, those that one can be made of. */
static void pair_up(const struct resolution *r)
{
    for (size_t i = 0; i < r->count; i++)
        for (size_t j = i + 1; j < r->count; j++) {
            const size_t at[] = {i, j, j};
            struct screened what = combination(r, 3, at);
            if ((size_t)screened_radix(&what, 0) * screened_radix(&what, 1) <= screened_most_cells(r->s->k))
                r->pair[i * r->count + j] = associate_all(r->s, &what, 2, r->step, r->cell);
        }
}

static void screen_triples(const struct resolution *r, struct screened *list, size_t *listed)
{
    const struct association *of = r->of;

    alone(r, 3);
    pair_up(r);
    for (size_t i = 0; i < r->count; i++)
        for (size_t j = i + 1; j < r->count; j++)
            for (size_t l = j + 1; l < r->count; l++) {
                const struct association *ij = &r->pair[i * r->count + j], *il = &r->pair[i * r->count + l],
                                         *jl = &r->pair[j * r->count + l];
                const size_t at[] = {i, j, l};
                struct screened what = combination(r, 3, at);
                struct association all;
                if (!worth_it(r, &what))
                    continue;
                all = associate_all(r->s, &what, 3, r->step, r->cell);
                what.score = deviations(all.g - ij->g - il->g - jl->g + of[i].g + of[j].g + of[l].g,
                                        all.freedom - ij->freedom - il->freedom - jl->freedom + of[i].freedom +
                                            of[j].freedom + of[l].freedom);
                if (what.score > STANDS_OUT)
                    insert(list, listed, TABLE_TRIPLES, what);
            }
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

/* Whether a look by value can show more than one in bins. */
static bool any_values(const struct screening *s)
{
    for (size_t j = 0; j < s->width; j++)
        if (s->codes->levels[j] > 4)
            return true;
    return false;
}

static enum infomask_status screen_together(struct screening *s, const double *score, struct screened *list,
                                            size_t *listed, struct infomask_error *err)
{
    struct ranked *best = malloc(s->width * sizeof *best);
    struct association *of = malloc(MOST_CROSSED * sizeof *of);
    struct association *pair = malloc(MOST_TRIPLED * MOST_TRIPLED * sizeof *pair);
    uint8_t *cell = malloc(s->count + 1);
    size_t pairs = 0, triples = 0;
    enum infomask_status status = INFOMASK_OK;

    if (best == NULL || of == NULL || pair == NULL || cell == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory to screen %zu columns", s->width);
    } else {
        struct resolution r = {.s = s, .best = best, .cell = cell, .of = of, .pair = pair};
        r.count = best_columns(score, s->width, MOST_CROSSED, best);
        r.step = step_for(s, 0.5 * (double)r.count * (double)r.count);
        for (int exact = 0; exact <= any_values(s); exact++) {
            r.exact = exact != 0;
            screen_pairs(&r, list + *listed, &pairs);
        }
        *listed += pairs;
        r.count = r.count < MOST_TRIPLED ? r.count : MOST_TRIPLED;
        r.step = step_for(s, (double)r.count * (double)r.count * (double)r.count / 6);
        for (int exact = 0; exact <= any_values(s); exact++) {
            r.exact = exact != 0;
            screen_triples(&r, list + *listed, &triples);
        }
        *listed += triples;
    }
    free(best);
    free(of);
    free(pair);
    free(cell);
    return status;
}

enum infomask_status table_screen(const struct table_fit *fit, const uint32_t *rows, size_t count,
                                  struct screened *list, size_t *listed, struct infomask_error *err)
{
    size_t k = (size_t)fit->data->classes, width = fit->matrix->width;
    struct screening s = {.codes = fit->matrix,
                          .labels = fit->data->labels,
                          .rows = rows,
                          .count = count,
                          .k = k,
                          .width = width,
                          .counts = malloc(screened_most_cells(k) * k * sizeof(double)),
                          .column = malloc(width * count + 1),
                          .of_class = malloc(k * sizeof(double))};
    double *score = malloc((width + 1) * sizeof *score);
    enum infomask_status status = INFOMASK_OK;

    *listed = 0;
    if (s.counts == NULL || s.column == NULL || s.of_class == NULL || score == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory to screen %zu columns", width);
    for (size_t i = 0; status == INFOMASK_OK && i < count; i++)
        for (size_t j = 0; j < width; j++)
            s.column[j * count + i] = (uint8_t)fit->matrix->x[rows[i] * width + j];
    if (status == INFOMASK_OK)
        status = screen_singles(&s, list, listed, score, err);
    if (status == INFOMASK_OK && count >= LEAST_ROWS)
        status = screen_together(&s, score, list, listed, err);
    free(s.counts);
    free(s.column);
    free(s.of_class);
    free(score);
    return status;
}
