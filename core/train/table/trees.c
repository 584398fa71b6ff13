/* The trees part: gradient boosting of the cross-entropy (Friedman 2001; second order as Chen and Guestrin 2016), with
 * trees of DEPTH levels whose leaves hold a number for each class.  Columns are cut into bins by their quantiles, so
 * that a split is found in a histogram of the gradients.
 *
 * Missing values have a bin of their own, the last one, and at every split go to whichever side gains more by them.
 *
 * A state is what ROUNDS trees add to the one before; the first one is the log prior. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/base/random.h"
#include "core/train/table/table.h"

#define DEPTH 4
#define SPLITS ((1 << DEPTH) - 1)
#define LEAVES (1 << DEPTH)
#define LEAST_BINS 64
#define BINS 256          /* at most: a sharp border costs what lies in its bin */
#define ROWS_PER_BIN 32
#define MOST_HISTOGRAM 500000 /* floats of a level's histograms beyond which there are fewer bins: the second cache */
#define ROUNDS 4        /* trees of a state */
#define STATES 60
#define PATIENCE 6      /* states without a gain on both folds that end a path */
#define RATE 0.1f
#define PENALTY 1.0f    /* added to a leaf's curvature */
#define LEAST 1.0f      /* curvature, summed over the classes, on each side of a split */
#define SHARE 0.7       /* of the rows that a tree is made from */
#define SAMPLE 4096     /* rows that the quantiles are taken from */
#define MOST_CELLS 10000 /* columns times classes */
#define COLUMNS 24      /* that a tree chooses from, drawn anew for each */

bool table_trees_fit_in(const struct table_data *data, const struct table_matrix *matrix)
{
    return matrix->width > 0 && matrix->width * (size_t)data->classes <= MOST_CELLS;
}

/* A tree as it lies in a state: row x goes right at a split where x[column] > border; heap order.  A missing value goes
 * left there, and right where the column is written as -1 - column. */
struct tree {
    float column[SPLITS], border[SPLITS];
    /* then float leaf[LEAVES][K] */
};
#define TREE_FLOATS (sizeof(struct tree) / sizeof(float))

static size_t tree_size(size_t k)
{
    return TREE_FLOATS + LEAVES * k;
}

static int leaf_of(const struct tree *tree, const float *x)
{
    int at = 0;

    for (int level = 0; level < DEPTH; level++) {
        float column = tree->column[at], border = tree->border[at];
        at = 2 * at + 1 + (column >= 0 ? x[(size_t)column] > border : !(x[(size_t)(-1 - column)] <= border));
    }
    return at - SPLITS;
}

/* Adds what a state's trees say of rows x to their logits. */
static void add_state(const struct table_matrix *matrix, size_t k, const float *state, const float *x, size_t rows,
                      float *logits)
{
    for (size_t t = 0; t < ROUNDS; t++) {
        const float *tree = state + tree_size(k) * t;
        for (size_t i = 0; i < rows; i++) {
            const float *leaf = tree + TREE_FLOATS +
                                (size_t)leaf_of((const struct tree *)tree, x + i * matrix->width) * k;
            for (size_t y = 0; y < k; y++)
                logits[i * k + y] += leaf[y];
        }
    }
}

void table_trees_logits(const struct table_data *data, const struct table_matrix *matrix, const struct table_path *path,
                        int step, const float *x, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes;

    for (size_t i = 0; i < rows; i++)
        memcpy(logits + i * k, path->states, k * sizeof *logits);
    for (int s = 1; s <= step; s++)
        add_state(matrix, k, path->states + path->size * (size_t)s, x, rows, logits);
}

/* ---- Growing ----------------------------------------------------------------------------------------------------- */

struct forest {
    const struct table_fit *fit;
    size_t k, width, count;  /* count: training rows */
    size_t drawn;            /* columns that a tree chooses from */
    size_t bin_count;        /* a power of two */
    uint32_t *columns;       /* [width] a permutation whose first `drawn` they are */
    uint8_t *bins;           /* [count][width] */
    float *borders;          /* [width][bin_count - 1], rising; bin b: border[b - 1] < x <= border[b] */
    bool holes;              /* values may be missing: the last bin is theirs */
    uint32_t *rows;          /* [count] of the data */
    int *node;               /* [count] of the tree that is being grown, within its level */
    float *f, *g;            /* [count][K] logits; [count][2 K] gradient and curvature of each class */
    bool *used;              /* [count] by the tree that is being grown */
    float *cells;            /* [nodes of a level][drawn][bin_count][2 K] */
    float *sides;            /* [2][2 K] scratch */
    float *held;             /* [rows of both folds][K] their logits so far */
    uint64_t round;
};

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* Borders between distinct values at the quantiles of a sample; those that are not needed are infinite.  As many as
 * there are bins for values that are not missing, less one, and infinite ones up to `bins` less one. */
static void find_borders(const struct table_matrix *matrix, size_t j, size_t bins, bool holes, float *sample,
                         float *borders)
{
    size_t most = matrix->n < SAMPLE ? matrix->n : SAMPLE, count = 0, used = 0, whole = bins - holes;

    for (size_t i = 0; i < most; i++) {
        float v = matrix->x[i * matrix->n / most * matrix->width + j];
        if (!isnan(v))
            sample[count++] = v;
    }
    qsort(sample, count, sizeof *sample, by_value);
    for (size_t b = 1; b < whole; b++) {
        size_t at = b * count / whole;
        while (at < count && at > 0 && sample[at] <= sample[at - 1])
            at++;
        if (at == 0 || at >= count || (used > 0 && sample[at - 1] <= borders[used - 1]))
            continue;
        borders[used++] = 0.5f * sample[at - 1] + 0.5f * sample[at];
    }
    while (used < bins - 1)
        borders[used++] = INFINITY;
}

static uint8_t bin_of(const float *borders, size_t bins, float x)
{
    size_t bin = 0;

    if (isnan(x))
        return (uint8_t)(bins - 1);
    for (size_t step = bins / 2; step > 0; step /= 2)
        if (x > borders[bin + step - 1])
            bin += step;
    return (uint8_t)bin;
}

static void add_row(struct forest *forest, size_t row, float *counts)
{
    const struct table_data *data = forest->fit->data;
    const float *x = forest->fit->matrix->x + row * forest->width;
    uint8_t *bins = forest->bins + forest->count * forest->width;
    size_t count = forest->bin_count;

    for (size_t j = 0; j < forest->width; j++)
        bins[j] = bin_of(forest->borders + j * (count - 1), count, x[j]);
    forest->rows[forest->count++] = (uint32_t)row;
    counts[data->labels[row]] += data->weights != NULL ? data->weights[row] : 1;
}

/* The rows outside both folds, and the log prior of their labels, which is the first state. */
static void take_rows(struct forest *forest, float *prior)
{
    const struct table_data *data = forest->fit->data;
    float sum = 0;

    for (size_t y = 0; y < forest->k; y++)
        prior[y] = 0.5f;
    for (int f = 0; f < data->folds; f++)
        for (size_t i = data->start[f];
             f != forest->fit->fold[0] && f != forest->fit->fold[1] && i < table_learnt_end(data, f); i++)
            add_row(forest, i, prior);
    for (size_t y = 0; y < forest->k; y++)
        sum += prior[y];
    for (size_t y = 0; y < forest->k; y++)
        prior[y] = logf(prior[y] / sum);
    for (size_t i = 0; i < forest->count; i++)
        memcpy(forest->f + i * forest->k, prior, forest->k * sizeof *prior);
}

/* g = w (q - 1[label]), h = w q (1 - q) */
static void set_row(struct forest *forest, size_t i)
{
    const struct table_data *data = forest->fit->data;
    size_t k = forest->k;
    float *g = forest->g + i * 2 * k, *h = g + k, w = data->weights != NULL ? data->weights[forest->rows[i]] : 1;

    memcpy(g, forest->f + i * k, k * sizeof *g);
    data->kernels->softmax(g, g, 1, k);
    g[data->labels[forest->rows[i]]] -= 1;
    for (size_t y = 0; y < k; y++) {
        h[y] = w * fmaxf(fabsf(g[y]) * (1 - fabsf(g[y])), 1e-6f); /* |q - 1[label]| is q or 1 - q */
        g[y] *= w;
    }
}

static void set_gradients(struct forest *forest)
{
    struct random_stream random = random_stream(forest->fit->data->seed ^ forest->fit->stream, forest->round);

    for (size_t i = 0; i < forest->count; i++) {
        set_row(forest, i);
        forest->node[i] = 0;
        forest->used[i] = random_unit(&random) < SHARE;
    }
    for (size_t j = 0; forest->drawn < forest->width && j < forest->drawn; j++) {
        size_t other = j + random_below(&random, (uint32_t)(forest->width - j));
        uint32_t column = forest->columns[j];
        forest->columns[j] = forest->columns[other];
        forest->columns[other] = column;
    }
}

static void fill_cells(struct forest *forest, int nodes)
{
    size_t pair = 2 * forest->k, node_size = forest->drawn * forest->bin_count * pair;

    memset(forest->cells, 0, (size_t)nodes * node_size * sizeof *forest->cells);
    for (size_t i = 0; i < forest->count; i++) {
        const float *g = forest->g + i * pair;
        float *node = forest->cells + (size_t)forest->node[i] * node_size;
        if (!forest->used[i])
            continue;
        for (size_t j = 0; j < forest->drawn; j++) {
            float *cell = node + (j * forest->bin_count + forest->bins[i * forest->width + forest->columns[j]]) * pair;
            for (size_t y = 0; y < pair; y++)
                cell[y] += g[y];
        }
    }
}

/* sum_k G_k^2 / (H_k + penalty); *curvature: sum_k H_k */
static float score(const float *g, size_t k, float *curvature)
{
    float sum = 0;

    *curvature = 0;
    for (size_t y = 0; y < k; y++) {
        sum += g[y] * g[y] / (g[k + y] + PENALTY);
        *curvature += g[k + y];
    }
    return sum;
}

/* A split of a node: rows whose bin is above `border` go right, missing values where `right` says. */
struct split {
    float gain;
    size_t column;
    int border;
    bool right;
};

static void move_cell(float *from, float *to, const float *cell, size_t pair)
{
    for (size_t y = 0; y < pair; y++) {
        to[y] += cell[y];
        from[y] -= cell[y];
    }
}

/* The best border of a column in one node's cells, missing values on the right or on the left; into *best if it beats
 * it. */
static void try_side(const struct forest *forest, size_t column, const float *cells, bool missing_right,
                     struct split *best)
{
    size_t pair = 2 * forest->k, last = forest->bin_count - 1;
    float *left = forest->sides, *right = left + pair, whole, here, h_left, h_right;

    memset(left, 0, 2 * pair * sizeof *left);
    for (size_t b = 0; b < forest->bin_count; b++)
        for (size_t y = 0; y < pair; y++)
            right[y] += cells[b * pair + y];
    whole = score(right, forest->k, &h_right);
    if (!missing_right)
        move_cell(right, left, cells + last * pair, pair);
    for (size_t b = 0; b < last; b++) {
        move_cell(right, left, cells + b * pair, pair);
        here = score(left, forest->k, &h_left);
        here += score(right, forest->k, &h_right) - whole;
        if (h_left >= LEAST && h_right >= LEAST && here > best->gain)
            *best = (struct split){here, column, (int)b, missing_right};
    }
}

static bool any_missing(const struct forest *forest, const float *cells)
{
    const float *missing = cells + (forest->bin_count - 1) * 2 * forest->k;
    bool any = false;

    for (size_t y = forest->k; y < 2 * forest->k; y++)
        any = any || missing[y] > 0;
    return any;
}

static struct split find_split(const struct forest *forest, int node)
{
    size_t column_size = forest->bin_count * 2 * forest->k;
    const float *cells = forest->cells + (size_t)node * forest->drawn * column_size;
    struct split best = {1e-6f, 0, (int)forest->bin_count, false};

    for (size_t j = 0; j < forest->drawn; j++, cells += column_size) {
        try_side(forest, forest->columns[j], cells, true, &best);
        if (forest->holes && any_missing(forest, cells))
            try_side(forest, forest->columns[j], cells, false, &best);
    }
    return best;
}

/* Splits every node of a level; a node that no split helps sends all its rows to the left. */
static void split_level(struct forest *forest, int level, struct tree *tree)
{
    int nodes = 1 << level, bins = (int)forest->bin_count;
    struct split splits[1 << (DEPTH - 1)];

    fill_cells(forest, nodes);
    for (int n = 0; n < nodes; n++) {
        struct split s = splits[n] = find_split(forest, n);
        float column = (float)s.column;
        tree->column[nodes - 1 + n] = forest->holes && s.right ? -1 - column : column;
        tree->border[nodes - 1 + n] =
            s.border < bins ? forest->borders[s.column * (size_t)(bins - 1) + (size_t)s.border] : INFINITY;
    }
    for (size_t i = 0; i < forest->count; i++) {
        const struct split *s = &splits[forest->node[i]];
        int bin = forest->bins[i * forest->width + s->column];
        bool right = forest->holes && bin == bins - 1 ? s->right : bin > s->border;
        forest->node[i] = 2 * forest->node[i] + right;
    }
}

static void grow_tree(struct forest *forest, float *state)
{
    struct tree *tree = (struct tree *)state;
    float *leaf = state + TREE_FLOATS, *sums = forest->cells; /* [LEAVES][2 K]: free again */
    size_t k = forest->k;

    set_gradients(forest);
    for (int level = 0; level < DEPTH; level++)
        split_level(forest, level, tree);
    memset(sums, 0, LEAVES * 2 * k * sizeof *sums);
    for (size_t i = 0; i < forest->count; i++)
        for (size_t y = 0; forest->used[i] && y < 2 * k; y++)
            sums[(size_t)forest->node[i] * 2 * k + y] += forest->g[i * 2 * k + y];
    for (size_t l = 0; l < LEAVES; l++)
        for (size_t y = 0; y < k; y++)
            leaf[l * k + y] = -RATE * sums[l * 2 * k + y] / (sums[l * 2 * k + k + y] + PENALTY);
    for (size_t i = 0; i < forest->count; i++)
        for (size_t y = 0; y < k; y++)
            forest->f[i * k + y] += leaf[(size_t)forest->node[i] * k + y];
    forest->round++;
}

/* ---- The part ---------------------------------------------------------------------------------------------------- */

/* The losses of both folds: their logits grow with the states. */
static void judge(struct forest *forest, struct table_path *path, const float *state)
{
    const struct table_data *data = forest->fit->data;
    const struct table_matrix *matrix = forest->fit->matrix;
    float *held = forest->held, *row = forest->sides;

    for (int side = 0; side < 2; side++) {
        size_t first = data->start[forest->fit->fold[side]],
               rows = table_judged_end(data, forest->fit->fold[side]) - first;
        double loss = 0;
        if (path->count > 1)
            add_state(matrix, forest->k, state, matrix->x + first * matrix->width, rows, held);
        for (size_t i = 0; i < rows; i++, held += forest->k) {
            if (path->count == 1)
                memcpy(held, state, forest->k * sizeof *held);
            memcpy(row, held, forest->k * sizeof *row);
            loss += table_loss(data, first + i, 1, row);
        }
        table_judged(path, side, loss, PATIENCE);
    }
}

static enum infomask_status follow_path(struct forest *forest, struct table_path *path, struct infomask_error *err)
{
    for (int s = 0; s < STATES && !(path->peaked[0] && path->peaked[1]); s++) {
        float *state = table_path_grow(path);
        if (state == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the trees");
        if (s == 0)
            take_rows(forest, state);
        for (int r = 0; s > 0 && r < ROUNDS; r++)
            grow_tree(forest, state + tree_size(forest->k) * (size_t)r);
        judge(forest, path, state);
    }
    return INFOMASK_OK;
}

static bool has_holes(const struct table_matrix *matrix)
{
    for (size_t i = 0; i < matrix->n * matrix->width; i++)
        if (isnan(matrix->x[i]))
            return true;
    return false;
}

/* The most that is learnt from or judged. */
static size_t rows_of(const struct table_fit *fit)
{
    size_t learnt = 0, judged = 0;

    for (int f = 0; f < fit->data->folds; f++) {
        if (f == fit->fold[0] || f == fit->fold[1])
            judged += table_judged_end(fit->data, f) - fit->data->start[f];
        else
            learnt += table_learnt_end(fit->data, f) - fit->data->start[f];
    }
    return learnt > judged ? learnt : judged;
}

static enum infomask_status forest_init(struct forest *forest, struct infomask_error *err)
{
    size_t n = rows_of(forest->fit), k = forest->k, width = forest->width, nodes = (size_t)1 << (DEPTH - 1);
    size_t rows = 0, binned = 0;
    float *sample = malloc(SAMPLE * sizeof *sample);
    bool fits = checked_mul3(n, 2 * k, sizeof(float), &rows) && checked_mul(n, width, &binned);

    forest->drawn = width < COLUMNS ? width : COLUMNS;
    forest->holes = has_holes(forest->fit->matrix);
    forest->bin_count = BINS;
    while (forest->bin_count > LEAST_BINS && (forest->bin_count * ROWS_PER_BIN > forest->fit->data->n ||
                                              nodes * forest->drawn * forest->bin_count * 2 * k > MOST_HISTOGRAM))
        forest->bin_count /= 2;
    forest->columns = malloc(width * sizeof(uint32_t));
    forest->bins = fits ? malloc(binned) : NULL;
    forest->borders = calloc(width, (forest->bin_count - 1) * sizeof(float));
    forest->rows = malloc(n * sizeof(uint32_t));
    forest->node = malloc(n * sizeof(int));
    forest->used = malloc(n * sizeof(bool));
    forest->f = fits ? malloc(rows / 2) : NULL;
    forest->g = fits ? malloc(rows) : NULL;
    forest->cells = calloc(nodes * forest->drawn, forest->bin_count * 2 * k * sizeof(float));
    forest->sides = malloc(4 * k * sizeof(float));
    forest->held = fits ? malloc(rows / 2) : NULL;
    if (sample == NULL || forest->columns == NULL || forest->bins == NULL || forest->borders == NULL ||
        forest->rows == NULL || forest->node == NULL || forest->used == NULL || forest->f == NULL ||
        forest->g == NULL || forest->cells == NULL || forest->sides == NULL || forest->held == NULL) {
        free(sample);
        return error_set(err, INFOMASK_MEMORY, "no memory for the trees of %zu rows", n);
    }
    for (size_t j = 0; j < width; j++) {
        forest->columns[j] = (uint32_t)j;
        find_borders(forest->fit->matrix, j, forest->bin_count, forest->holes, sample,
                     forest->borders + j * (forest->bin_count - 1));
    }
    free(sample);
    return INFOMASK_OK;
}

static void forest_fini(struct forest *forest)
{
    free(forest->columns);
    free(forest->bins);
    free(forest->borders);
    free(forest->rows);
    free(forest->node);
    free(forest->used);
    free(forest->f);
    free(forest->g);
    free(forest->cells);
    free(forest->sides);
    free(forest->held);
}

enum infomask_status table_trees_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    struct forest forest = {.fit = fit, .k = (size_t)fit->data->classes, .width = fit->matrix->width};
    enum infomask_status status;

    path->size = ROUNDS * tree_size(forest.k);
    status = forest_init(&forest, err);
    if (status == INFOMASK_OK)
        status = follow_path(&forest, path, err);
    forest_fini(&forest);
    return status;
}
