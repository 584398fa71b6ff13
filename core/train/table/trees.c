/* The trees part: gradient boosting (boosting.h) of trees of DEPTH levels whose leaves hold a number for each class.
 * Columns are cut into bins by their quantiles, so that a split is found in a histogram of the gradients.
 *
 * Missing values have a bin of their own, the last one, and at every split go to whichever side gains more by them.
 *
 * Of many classes a tree's splits are found by the gradients of some (Iosipoi and Vakhrushev 2022), drawn anew for each
 * tree, those with large gradients more often; its leaves hold a number for every class all the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/train/table/boosting.h"

#define DEPTH 4
#define SPLITS ((1 << DEPTH) - 1)
#define LEAVES (1 << DEPTH)
#define LEAST_BINS 64
#define BINS 256          /* at most: a sharp border costs what lies in its bin */
#define ROWS_PER_BIN 16
#define MOST_HISTOGRAM 500000 /* floats of a level's histograms beyond which there are fewer bins: the second cache */
#define STATES 60
#define PENALTY 1.0f    /* added to a leaf's curvature */
#define LEAST 1.0f      /* curvature, summed over the classes, on each side of a split */
#define SAMPLE 4096     /* rows that the quantiles are taken from */
#define MOST_CELLS 10000 /* columns times classes */
#define COLUMNS 24      /* that a tree chooses from, drawn anew for each */
#define CLASSES 32      /* by which a tree's splits are found */

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
        int column = (int)tree->column[at]; /* of a size_t the conversion takes several times as long */
        float border = tree->border[at];
        at = 2 * at + 1 + (column >= 0 ? x[column] > border : !(x[-1 - column] <= border));
    }
    return at - SPLITS;
}

static void add_tree(const float *learner, size_t width, size_t k, const float *x, size_t rows, float *logits)
{
    for (size_t i = 0; i < rows; i++) {
        const float *leaf = learner + TREE_FLOATS + (size_t)leaf_of((const struct tree *)learner, x + i * width) * k;
        for (size_t y = 0; y < k; y++)
            logits[i * k + y] += leaf[y];
    }
}

static const struct boosting_kind kind = {
    .name = "trees", .rounds = 4, .patience = 6, .rate = 0.1f, .penalty = PENALTY, .share = 0.7,
    .size = tree_size, .add = add_tree};

/* ---- Growing ----------------------------------------------------------------------------------------------------- */

struct forest {
    struct boosting boosting;
    size_t width;
    size_t drawn;            /* columns that a tree chooses from */
    size_t bin_count;        /* a power of two */
    uint32_t *columns;       /* [width] a permutation whose first `drawn` they are */
    size_t seen;             /* classes by which splits are found */
    uint32_t *classes;       /* [K] a permutation whose first `seen` they are; NULL: all */
    double *key;             /* [K] scratch; NULL as classes */
    float *some;             /* [count][2 seen] boosting.g of these classes; NULL as classes */
    uint8_t *bins;           /* [count][width], count rows are learnt from */
    float *borders;          /* [width][bin_count - 1], rising; bin b: border[b - 1] < x <= border[b] */
    bool holes;              /* values may be missing: the last bin is theirs */
    int *node;               /* [count] of the tree that is being grown, within its level */
    float *cells;            /* [nodes of a level][drawn][bin_count][2 seen]; [LEAVES][2 K] */
    float *sides;            /* [2][2 seen] scratch */
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

static void fill_bins(struct forest *forest)
{
    const struct boosting *b = &forest->boosting;
    size_t count = forest->bin_count, width = forest->width;

    for (size_t i = 0; i < b->count; i++) {
        const float *x = table_rows(b->fit->data, b->fit->matrix, b->rows[i], 1, NULL);
        for (size_t j = 0; j < width; j++)
            forest->bins[i * width + j] = bin_of(forest->borders + j * (count - 1), count, x[j]);
    }
}

/* Draws the columns that the next tree chooses from. */
static void draw_columns(struct forest *forest, struct random_stream *random)
{
    for (size_t j = 0; forest->drawn < forest->width && j < forest->drawn; j++) {
        size_t other = j + random_below(random, (uint32_t)(forest->width - j));
        uint32_t column = forest->columns[j];
        forest->columns[j] = forest->columns[other];
        forest->columns[other] = column;
    }
}

/* The first `seen` classes become those with the largest log(u) / (sum of squared gradients), u drawn from (0, 1): a
 * sample without replacement by these weights (Efraimidis and Spirakis 2006). */
static void draw_classes(struct forest *forest, struct random_stream *random)
{
    const struct boosting *b = &forest->boosting;
    size_t k = b->k;

    memset(forest->key, 0, k * sizeof *forest->key);
    for (size_t i = 0; i < b->count; i++)
        for (size_t y = 0; b->used[i] && y < k; y++)
            forest->key[y] += (double)(b->g[i * 2 * k + y] * b->g[i * 2 * k + y]);
    for (size_t y = 0; y < k; y++)
        forest->key[y] = log(fmax(random_unit(random), 1e-300)) / fmax(forest->key[y], 1e-30);
    for (size_t s = 0; s < forest->seen; s++) {
        size_t best = s;
        uint32_t class = forest->classes[s];
        for (size_t y = s + 1; y < k; y++)
            best = forest->key[forest->classes[y]] > forest->key[forest->classes[best]] ? y : best;
        forest->classes[s] = forest->classes[best];
        forest->classes[best] = class;
    }
}

static void take_classes(struct forest *forest)
{
    const struct boosting *b = &forest->boosting;
    size_t seen = forest->seen;

    for (size_t i = 0; i < b->count; i++) {
        const float *g = b->g + i * 2 * b->k;
        float *some = forest->some + i * 2 * seen;
        for (size_t s = 0; b->used[i] && s < seen; s++) {
            some[s] = g[forest->classes[s]];
            some[seen + s] = g[b->k + forest->classes[s]];
        }
    }
}

/* Four floats at any address, added at once. */
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

static inline __attribute__((always_inline)) void add_pair(float *cell, const float *g, size_t pair)
{
    size_t y = 0;

    for (; y + 4 <= pair; y += 4)
        *(quad *)(cell + y) += *(const quad *)(g + y);
    for (; y < pair; y++)
        cell[y] += g[y];
}

static inline __attribute__((always_inline)) void fill_cells_of(struct forest *forest, int nodes, size_t pair)
{
    size_t node_size = forest->drawn * forest->bin_count * pair;
    const float *gradients = forest->some != NULL ? forest->some : forest->boosting.g;

    memset(forest->cells, 0, (size_t)nodes * node_size * sizeof *forest->cells);
    for (size_t i = 0; i < forest->boosting.count; i++) {
        const float *g = gradients + i * pair;
        float *node = forest->cells + (size_t)forest->node[i] * node_size;
        if (!forest->boosting.used[i])
            continue;
        for (size_t j = 0; j < forest->drawn; j++) {
            size_t bin = forest->bins[i * forest->width + forest->columns[j]];
            add_pair(node + (j * forest->bin_count + bin) * pair, g, pair);
        }
    }
}

/* Of few classes the inner loop is so short that its length has to be known. */
static void fill_cells(struct forest *forest, int nodes)
{
    switch (forest->seen) {
    case 2:
        fill_cells_of(forest, nodes, 4);
        break;
    case 3:
        fill_cells_of(forest, nodes, 6);
        break;
    case 4:
        fill_cells_of(forest, nodes, 8);
        break;
    default:
        fill_cells_of(forest, nodes, 2 * forest->seen);
    }
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
    size_t seen = forest->seen, pair = 2 * seen, last = forest->bin_count - 1;
    float *left = forest->sides, *right = left + pair, whole, here, h_left, h_right;
    float least = LEAST * (float)seen / (float)forest->boosting.k;

    memset(left, 0, 2 * pair * sizeof *left);
    for (size_t b = 0; b < forest->bin_count; b++)
        for (size_t y = 0; y < pair; y++)
            right[y] += cells[b * pair + y];
    whole = boosting_score(right, seen, PENALTY, &h_right);
    if (!missing_right)
        move_cell(right, left, cells + last * pair, pair);
    for (size_t b = 0; b < last; b++) {
        move_cell(right, left, cells + b * pair, pair);
        here = boosting_score(left, seen, PENALTY, &h_left);
        here += boosting_score(right, seen, PENALTY, &h_right) - whole;
        if (h_left >= least && h_right >= least && here > best->gain)
            *best = (struct split){here, column, (int)b, missing_right};
    }
}

static bool any_missing(const struct forest *forest, const float *cells)
{
    const float *missing = cells + (forest->bin_count - 1) * 2 * forest->seen;
    bool any = false;

    for (size_t y = forest->seen; y < 2 * forest->seen; y++)
        any = any || missing[y] > 0;
    return any;
}

static struct split find_split(const struct forest *forest, int node)
{
    size_t column_size = forest->bin_count * 2 * forest->seen;
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
    for (size_t i = 0; i < forest->boosting.count; i++) {
        const struct split *s = &splits[forest->node[i]];
        int bin = forest->bins[i * forest->width + s->column];
        bool right = forest->holes && bin == bins - 1 ? s->right : bin > s->border;
        forest->node[i] = 2 * forest->node[i] + right;
    }
}

static void grow_tree(void *part, float *learner)
{
    struct forest *forest = part;
    struct boosting *b = &forest->boosting;
    float *leaf = learner + TREE_FLOATS, *sums = forest->cells; /* [LEAVES][2 K]: free again */
    struct random_stream random = boosting_next(b);
    size_t k = b->k;

    draw_columns(forest, &random);
    if (forest->classes != NULL) {
        draw_classes(forest, &random);
        take_classes(forest);
    }
    memset(forest->node, 0, b->count * sizeof *forest->node);
    for (int level = 0; level < DEPTH; level++)
        split_level(forest, level, (struct tree *)learner);
    memset(sums, 0, LEAVES * 2 * k * sizeof *sums);
    for (size_t i = 0; i < b->count; i++)
        for (size_t y = 0; b->used[i] && y < 2 * k; y++)
            sums[(size_t)forest->node[i] * 2 * k + y] += b->g[i * 2 * k + y];
    boosting_leaves(b, sums, LEAVES, leaf);
    for (size_t i = 0; i < b->count; i++)
        for (size_t y = 0; y < k; y++)
            b->f[i * k + y] += leaf[(size_t)forest->node[i] * k + y];
}

/* ---- The part ---------------------------------------------------------------------------------------------------- */

static bool has_holes(const struct table_matrix *matrix)
{
    for (size_t i = 0; i < matrix->n * matrix->width; i++)
        if (isnan(matrix->x[i]))
            return true;
    return false;
}

/* As many bins as the rows can fill and a level's histograms have room for. */
static size_t bins_for(const struct forest *forest, size_t nodes)
{
    size_t bins = BINS, pair = 2 * forest->seen;

    while (bins > LEAST_BINS && (bins * ROWS_PER_BIN > forest->boosting.fit->data->n ||
                                 nodes * forest->drawn * bins * pair > MOST_HISTOGRAM))
        bins /= 2;
    return bins;
}

/* Room to draw classes, where not all are looked at. */
static bool some_classes(struct forest *forest)
{
    size_t k = forest->boosting.k;

    if (forest->seen == k)
        return true;
    forest->classes = malloc(k * sizeof *forest->classes);
    forest->key = malloc(k * sizeof *forest->key);
    forest->some = malloc(forest->boosting.count * 2 * forest->seen * sizeof *forest->some + 1);
    for (size_t y = 0; forest->classes != NULL && y < k; y++)
        forest->classes[y] = (uint32_t)y;
    return forest->classes != NULL && forest->key != NULL && forest->some != NULL;
}

static enum infomask_status forest_init(struct forest *forest, const struct table_matrix *matrix,
                                        struct infomask_error *err)
{
    size_t n = forest->boosting.count, k = forest->boosting.k, width = matrix->width, nodes = (size_t)1 << (DEPTH - 1);
    size_t binned = 0, cells;
    float *sample = malloc(SAMPLE * sizeof *sample);

    forest->width = width;
    forest->drawn = width < COLUMNS ? width : COLUMNS;
    forest->seen = k < CLASSES ? k : CLASSES;
    forest->holes = has_holes(matrix);
    forest->bin_count = bins_for(forest, nodes);
    forest->columns = malloc(width * sizeof *forest->columns);
    forest->bins = checked_mul(n, width, &binned) ? malloc(binned + 1) : NULL;
    forest->borders = calloc(width, (forest->bin_count - 1) * sizeof(float));
    forest->node = malloc(n * sizeof *forest->node + 1);
    cells = nodes * forest->drawn * forest->bin_count * 2 * forest->seen;
    cells = cells > LEAVES * 2 * k ? cells : LEAVES * 2 * k;
    forest->cells = malloc(cells * sizeof *forest->cells);
    forest->sides = malloc(4 * forest->seen * sizeof *forest->sides);
    if (sample == NULL || forest->columns == NULL || forest->bins == NULL || forest->borders == NULL ||
        forest->node == NULL || forest->cells == NULL || forest->sides == NULL || !some_classes(forest)) {
        free(sample);
        return error_set(err, INFOMASK_MEMORY, "no memory for the trees of %zu rows", n);
    }
    for (size_t j = 0; j < width; j++) {
        forest->columns[j] = (uint32_t)j;
        find_borders(matrix, j, forest->bin_count, forest->holes, sample,
                     forest->borders + j * (forest->bin_count - 1));
    }
    fill_bins(forest);
    free(sample);
    return INFOMASK_OK;
}

enum infomask_status table_trees_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    struct forest forest = {0};
    enum infomask_status status = boosting_init(&forest.boosting, &kind, fit, 1, path, err);

    if (status == INFOMASK_OK)
        status = forest_init(&forest, fit->matrix, err);
    if (status == INFOMASK_OK)
        status = boosting_follow(&forest.boosting, STATES, grow_tree, &forest, path, err);
    free(forest.columns);
    free(forest.bins);
    free(forest.borders);
    free(forest.node);
    free(forest.cells);
    free(forest.classes);
    free(forest.key);
    free(forest.some);
    free(forest.sides);
    boosting_fini(&forest.boosting);
    return status;
}
