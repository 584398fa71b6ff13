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

struct screening {
    const struct table_matrix *codes;
    const int *labels;
    const uint32_t *rows;
    size_t count, k, width;
    double *counts;  /* [64][K] */
    uint8_t *column; /* [width][count] codes */
    double *of_class; /* [K] rows, of those that are looked at */
};

/* G and the degrees of freedom of cells (row i is in cell[i] < 64) over every step-th row. */
struct association {
    double g, freedom;
};

static double n_log_n(double n)
{
    return n > 0 ? n * log(n) : 0;
}

static struct association associate(struct screening *s, const uint8_t *cell, size_t step)
{
    double g = 0, n = 0;
    size_t cells = 0, classes = 0;

    memset(s->counts, 0, 64 * s->k * sizeof *s->counts);
    memset(s->of_class, 0, s->k * sizeof *s->of_class);
    for (size_t i = 0; i < s->count; i += step, n++) {
        size_t y = (size_t)s->labels[s->rows[i]];
        s->counts[cell[i] * s->k + y]++;
        s->of_class[y]++;
    }
    for (size_t c = 0; c < 64; c++) {
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
        struct association a = associate(s, fine, 1), b;
        for (size_t i = 0; i < s->count; i++)
            coarse[i] = fine[i] >> 3;
        b = associate(s, coarse, 1);
        score[j] = fmax(deviations(a.g, a.freedom), deviations(b.g, b.freedom));
        insert(list, listed, TABLE_SINGLES, (struct screened){1, {(uint32_t)j, 0, 0}, score[j]});
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

static void combine(const struct screening *s, const uint32_t *column, int dims, size_t step, uint8_t *cell)
{
    const uint8_t *a = s->column + column[0] * s->count, *b = s->column + column[1] * s->count;
    const uint8_t *c = dims == 3 ? s->column + column[2] * s->count : NULL;

    for (size_t i = 0; i < s->count; i += step)
        cell[i] = (uint8_t)(dims == 2 ? (a[i] >> 3) << 3 | b[i] >> 3 : (a[i] >> 4) << 4 | (b[i] >> 4) << 2 | c[i] >> 4);
}

/* The columns' own associations at 8 codes. */
static void alone(struct screening *s, const struct ranked *best, size_t count, size_t step, int shift, uint8_t *cell,
                  struct association *of)
{
    for (size_t j = 0; j < count; j++) {
        const uint8_t *column = s->column + best[j].column * s->count;
        for (size_t i = 0; i < s->count; i += step)
            cell[i] = column[i] >> shift;
        of[j] = associate(s, cell, step);
    }
}

static void screen_pairs(struct screening *s, const struct ranked *best, size_t count, uint8_t *cell,
                         struct association *of, struct screened *list, size_t *listed)
{
    size_t step = step_for(s, 0.5 * (double)count * (double)count);

    alone(s, best, count, step, 3, cell, of);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            struct screened what = {2, {best[i].column, best[j].column, 0}, 0};
            struct association both;
            combine(s, what.column, 2, step, cell);
            both = associate(s, cell, step);
            what.score = deviations(both.g - of[i].g - of[j].g, both.freedom - of[i].freedom - of[j].freedom);
            if (what.score > STANDS_OUT)
                insert(list, listed, TABLE_PAIRS, what);
        }
}

/* pair [count][count]: at 4 codes, as the triples are. */
static void screen_triples(struct screening *s, const struct ranked *best, size_t count, uint8_t *cell,
                           struct association *of, struct association *pair, struct screened *list, size_t *listed)
{
    double n = (double)count;
    size_t step = step_for(s, n * n * n / 6);

    alone(s, best, count, step, 4, cell, of);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            const uint8_t *a = s->column + best[i].column * s->count, *b = s->column + best[j].column * s->count;
            for (size_t r = 0; r < s->count; r += step)
                cell[r] = (uint8_t)((a[r] >> 4) << 2 | b[r] >> 4);
            pair[i * count + j] = associate(s, cell, step);
        }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            for (size_t l = j + 1; l < count; l++) {
                const struct association *ij = &pair[i * count + j], *il = &pair[i * count + l],
                                         *jl = &pair[j * count + l];
                struct screened what = {3, {best[i].column, best[j].column, best[l].column}, 0};
                struct association all;
                combine(s, what.column, 3, step, cell);
                all = associate(s, cell, step);
                what.score = deviations(all.g - ij->g - il->g - jl->g + of[i].g + of[j].g + of[l].g,
                                        all.freedom - ij->freedom - il->freedom - jl->freedom + of[i].freedom +
                                            of[j].freedom + of[l].freedom);
                if (what.score > STANDS_OUT)
                    insert(list, listed, TABLE_TRIPLES, what);
            }
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

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
        screen_pairs(s, best, best_columns(score, s->width, MOST_CROSSED, best), cell, of, list + *listed, &pairs);
        *listed += pairs;
        screen_triples(s, best, best_columns(score, s->width, MOST_TRIPLED, best), cell, of, pair, list + *listed,
                       &triples);
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
                          .counts = malloc(64 * k * sizeof(double)),
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
