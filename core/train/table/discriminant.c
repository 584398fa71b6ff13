/* The discriminant part: classes as normal clouds of one common shape (Fisher 1936), for few rows with many columns and
 * for many classes with few rows.
 *
 * Columns are screened: those with the largest spread between the class means, over that within the classes, come
 * first, and the states are discriminants of the first 1, 2, 4, ... of them.  The shape is shrunken towards independent
 * columns (Friedman 1989), each column's class means towards their common mean (James and Stein 1961).  A state is as
 * of the linear part: weights and a bias a class.  Only rows outside both folds are looked at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/train/table/table.h"

#define MOST_SHAPED 128      /* columns whose shape is a full matrix; of more, they are independent */
#define MOST_WEIGHTS 40000   /* classes times columns */
#define MOST_ROWS 20000      /* that the shape is taken from */

static const double shrinkages[] = {0.02, 0.2, 0.6, 1}; /* 1: independent columns */
#define SHRINKAGES ((int)(sizeof shrinkages / sizeof *shrinkages))

bool table_discriminant_fits_in(const struct table_data *data, const struct table_matrix *matrix)
{
    return matrix->width > 0 && matrix->width * (size_t)data->classes <= MOST_WEIGHTS;
}

struct clouds {
    const struct table_fit *fit;
    size_t k, width;
    double rows;
    double *count;    /* [K] rows, weighted */
    double *offset;   /* [K][width] class mean less the common mean, shrunken */
    double *common;   /* [width] mean */
    double *variance; /* [width] within the classes */
    double *gain;     /* [width] sum_k n_k offset^2 / variance, before shrinking: chi2(K - 1) of noise */
    uint32_t *first;  /* [width] columns, by falling gain */
    double *shape;    /* [shaped][shaped] covariance within the classes, of the first columns */
    double *factor, *solved; /* [shaped][shaped] scratch; [shaped] */
    size_t shaped;
};

typedef void visit_row(struct clouds *c, const float *x, size_t label, double weight);

/* Every step-th row that is learnt from. */
static void visit_rows(struct clouds *c, size_t step, visit_row *visit)
{
    const struct table_data *data = c->fit->data;

    for (int f = 0; f < data->folds; f++)
        for (size_t i = data->start[f];
             f != c->fit->fold[0] && f != c->fit->fold[1] && i < table_learnt_end(data, f); i += step)
            visit(c, table_rows(data, c->fit->matrix, i, 1, NULL), (size_t)data->labels[i],
                  data->weights != NULL ? (double)data->weights[i] : 1);
}

static void add_to_means(struct clouds *c, const float *x, size_t label, double weight)
{
    double *sum = c->offset + label * c->width;

    c->count[label] += weight;
    for (size_t j = 0; j < c->width; j++)
        sum[j] += weight * (double)x[j];
}

static void add_to_variances(struct clouds *c, const float *x, size_t label, double weight)
{
    const double *offset = c->offset + label * c->width;

    for (size_t j = 0; j < c->width; j++) {
        double miss = (double)x[j] - c->common[j] - offset[j];
        c->variance[j] += weight * miss * miss;
    }
}

/* Sums become means: common ones, and what the classes' differ by. */
static void set_means(struct clouds *c)
{
    for (size_t y = 0; y < c->k; y++)
        c->rows += c->count[y];
    for (size_t j = 0; j < c->width; j++) {
        double sum = 0;
        for (size_t y = 0; y < c->k; y++)
            sum += c->offset[y * c->width + j];
        c->common[j] = sum / c->rows;
    }
    for (size_t y = 0; y < c->k; y++)
        for (size_t j = 0; j < c->width; j++) {
            double *offset = &c->offset[y * c->width + j];
            *offset = c->count[y] > 0 ? *offset / c->count[y] - c->common[j] : 0;
        }
}

/* One degree of freedom less for each class; and a variance is never less than a thousandth of the typical 1. */
static void set_gains(struct clouds *c)
{
    double freedom = fmax(c->rows - (double)c->k, 1);

    for (size_t j = 0; j < c->width; j++) {
        double between = 0;
        c->variance[j] = c->variance[j] / freedom + 1e-3;
        for (size_t y = 0; y < c->k; y++)
            between += c->count[y] * c->offset[y * c->width + j] * c->offset[y * c->width + j];
        c->gain[j] = between / c->variance[j];
    }
    for (size_t j = 0; j < c->width; j++) {
        double kept = c->gain[j] > 0 ? fmax(1 - (double)(c->k - 1) / c->gain[j], 0) : 0;
        for (size_t y = 0; y < c->k; y++)
            c->offset[y * c->width + j] *= kept;
    }
}

struct ranked {
    double gain;
    uint32_t column;
};

static int by_gain(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->gain < b->gain || a->gain > b->gain)
        return a->gain > b->gain ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

static bool rank_columns(struct clouds *c)
{
    struct ranked *list = malloc(c->width * sizeof *list);

    if (list == NULL)
        return false;
    for (size_t j = 0; j < c->width; j++)
        list[j] = (struct ranked){c->gain[j], (uint32_t)j};
    qsort(list, c->width, sizeof *list, by_gain);
    for (size_t j = 0; j < c->width; j++)
        c->first[j] = list[j].column;
    free(list);
    return true;
}

static void add_to_shape(struct clouds *c, const float *x, size_t label, double weight)
{
    const double *offset = c->offset + label * c->width;
    double *miss = c->solved;

    for (size_t a = 0; a < c->shaped; a++) {
        uint32_t j = c->first[a];
        miss[a] = (double)x[j] - c->common[j] - offset[j];
    }
    for (size_t a = 0; a < c->shaped; a++)
        for (size_t b = 0; b <= a; b++)
            c->shape[a * c->shaped + b] += weight * miss[a] * miss[b];
}

/* Correlations times the variances, whose degrees of freedom are right. */
static void scale_shape(struct clouds *c)
{
    for (size_t a = 0; a < c->shaped; a++)
        for (size_t b = 0; b < a; b++) {
            double *cell = &c->shape[a * c->shaped + b];
            double size = sqrt(c->shape[a * c->shaped + a] * c->shape[b * c->shaped + b]);
            *cell = size > 0 ? *cell / size * sqrt(c->variance[c->first[a]] * c->variance[c->first[b]]) : 0;
        }
    for (size_t a = 0; a < c->shaped; a++)
        c->shape[a * c->shaped + a] = c->variance[c->first[a]];
}

/* ---- One discriminant -------------------------------------------------------------------------------------------- */

/* The lower Cholesky factor of the first `size` columns' shape, what lies beside the diagonal shrunken. */
static void factorise(struct clouds *c, size_t size, double shrinkage)
{
    double *l = c->factor;

    for (size_t a = 0; a < size; a++)
        for (size_t b = 0; b <= a; b++) {
            double sum = c->shape[a * c->shaped + b] * (a == b ? 1 : 1 - shrinkage);
            for (size_t i = 0; i < b; i++)
                sum -= l[a * size + i] * l[b * size + i];
            l[a * size + b] = a == b ? sqrt(fmax(sum, 1e-6)) : sum / l[b * size + b];
        }
}

/* solved = shape^-1 solved */
static void solve(const struct clouds *c, size_t size)
{
    const double *l = c->factor;
    double *v = c->solved;

    for (size_t a = 0; a < size; a++) {
        for (size_t b = 0; b < a; b++)
            v[a] -= l[a * size + b] * v[b];
        v[a] /= l[a * size + a];
    }
    for (size_t a = size; a-- > 0;) {
        for (size_t b = a + 1; b < size; b++)
            v[a] -= l[b * size + a] * v[b];
        v[a] /= l[a * size + a];
    }
}

static void set_class(struct clouds *c, size_t y, size_t size, bool independent, float *row)
{
    const double *offset = c->offset + y * c->width;
    double bias = log((c->count[y] + 0.5) / (c->rows + 0.5 * (double)c->k));

    memset(row, 0, (c->width + 1) * sizeof *row);
    for (size_t a = 0; !independent && a < size; a++)
        c->solved[a] = offset[c->first[a]];
    if (!independent)
        solve(c, size);
    for (size_t a = 0; a < size; a++) {
        uint32_t j = c->first[a];
        double w = independent ? offset[j] / c->variance[j] : c->solved[a];
        row[j] = (float)w;
        bias -= w * (0.5 * offset[j] + c->common[j]);
    }
    row[c->width] = (float)bias;
}

static const struct table_part discriminant = {"discriminant", table_discriminant_fit, table_linear_logits};

static enum infomask_status add_state(struct clouds *c, size_t size, double shrinkage, struct table_path *path,
                                      struct infomask_error *err)
{
    float *state = table_path_grow(path);
    bool independent = shrinkage >= 1 || size > c->shaped;

    if (state == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the discriminants");
    if (!independent)
        factorise(c, size, shrinkage);
    for (size_t y = 0; y < c->k; y++)
        set_class(c, y, size, independent, state + y * (c->width + 1));
    return table_judge(c->fit, &discriminant, path, 0, err);
}

static enum infomask_status follow_path(struct clouds *c, struct table_path *path, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (size_t size = 1; status == INFOMASK_OK; size = 2 * size < c->width ? 2 * size : c->width) {
        for (int s = 0; s < SHRINKAGES && status == INFOMASK_OK; s++)
            if (shrinkages[s] >= 1 || (size > 1 && size <= c->shaped))
                status = add_state(c, size, shrinkages[s], path, err);
        if (size == c->width || path->count + SHRINKAGES > TABLE_MOST_STATES)
            break;
    }
    return status;
}

static bool clouds_init(struct clouds *c)
{
    size_t cells;

    c->shaped = c->width < MOST_SHAPED ? c->width : MOST_SHAPED;
    c->count = calloc(c->k, sizeof *c->count);
    c->offset = checked_mul3(c->k, c->width, sizeof *c->offset, &cells) ? calloc(1, cells) : NULL;
    c->common = calloc(c->width, sizeof *c->common);
    c->variance = calloc(c->width, sizeof *c->variance);
    c->gain = calloc(c->width, sizeof *c->gain);
    c->first = calloc(c->width, sizeof *c->first);
    c->shape = calloc(c->shaped * c->shaped, sizeof *c->shape);
    c->factor = calloc(c->shaped * c->shaped, sizeof *c->factor);
    c->solved = calloc(c->shaped, sizeof *c->solved);
    return c->count != NULL && c->offset != NULL && c->common != NULL && c->variance != NULL && c->gain != NULL &&
           c->first != NULL && c->shape != NULL && c->factor != NULL && c->solved != NULL;
}

static void clouds_fini(struct clouds *c)
{
    free(c->count);
    free(c->offset);
    free(c->common);
    free(c->variance);
    free(c->gain);
    free(c->first);
    free(c->shape);
    free(c->factor);
    free(c->solved);
}

enum infomask_status table_discriminant_fit(const struct table_fit *fit, struct table_path *path,
                                            struct infomask_error *err)
{
    struct clouds c = {.fit = fit, .k = (size_t)fit->data->classes, .width = fit->matrix->width};
    bool fits = clouds_init(&c);
    enum infomask_status status = INFOMASK_OK;

    path->size = c.k * (c.width + 1);
    if (fits) {
        visit_rows(&c, 1, add_to_means);
        set_means(&c);
        visit_rows(&c, 1, add_to_variances);
        set_gains(&c);
        fits = rank_columns(&c);
    }
    if (fits) {
        visit_rows(&c, fit->data->stored[fit->data->folds] / MOST_ROWS + 1, add_to_shape);
        scale_shape(&c);
        status = follow_path(&c, path, err);
    } else {
        status = error_set(err, INFOMASK_MEMORY, "no memory for the discriminants");
    }
    clouds_fini(&c);
    return status;
}
