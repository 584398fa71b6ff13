/* The grids part: boosted look-up tables of one, two or three columns, for what columns say only together (two codes
 * that interact, the sign of a product) and for what a column says in many turns (periods).
 *
 * Which pairs and triples are looked at is screened first, on the rows outside both folds alone: those whose cells and
 * labels have the largest G-statistic beyond what the columns, or the pairs in a triple, have by themselves.  Then
 * gradient boosting (boosting.h) of grids of 64 cells: one column in 64 codes, two in 8, three in 4 (codes.c).  Columns
 * of few values, in particular categories, have a level for each of them where that makes no more than 256 cells. */
#include <stdlib.h>
#include <string.h>

#include "core/train/table/boosting.h"
#include "core/train/table/screen.h"

#define STATES 60
#define PENALTY 3.0f     /* added to a cell's curvature */
#define MOST_ROWS 50000  /* that are learnt from */
#define MOST_CLASSES 32

bool table_grids_fit_in(const struct table_data *data, const struct table_matrix *codes)
{
    return codes->width > 0 && data->classes <= MOST_CLASSES;
}

/* A grid as it lies in a state. */
struct grid {
    float dims, column[3], levels[3];
    /* then float cell[screened_most_cells][K] */
};
#define GRID_FLOATS (sizeof(struct grid) / sizeof(float))

static size_t grid_size(size_t k)
{
    return GRID_FLOATS + screened_most_cells(k) * k;
}

static void add_grid(const float *learner, size_t width, size_t k, const float *x, size_t rows, float *logits)
{
    const struct grid *grid = (const struct grid *)learner;
    struct screened what = {.dims = (int)grid->dims};

    for (int d = 0; d < 3; d++) {
        what.column[d] = (uint32_t)grid->column[d];
        what.levels[d] = (uint8_t)grid->levels[d];
    }

    for (size_t i = 0; i < rows; i++) {
        const float *cell = learner + GRID_FLOATS + screened_cell(&what, x + i * width) * k;
        for (size_t y = 0; y < k; y++)
            logits[i * k + y] += cell[y];
    }
}

static const struct boosting_kind kind = {
    .name = "grids", .rounds = 6, .patience = 5, .rate = 0.15f, .penalty = PENALTY, .share = 0.7,
    .size = grid_size, .add = add_grid};

struct grids {
    struct boosting boosting;
    struct screened *list; /* [TABLE_SCREENED] what grids are made of */
    size_t listed;
    uint8_t *cell;         /* [listed][rows that are learnt from] */
    float *sums, *best;    /* [screened_most_cells][2 K], of a grid and of the best one */
};

/* The score of all cells, into grids->sums what it is made of. */
static float gain_of(struct grids *grids, size_t candidate)
{
    const struct boosting *b = &grids->boosting;
    const uint8_t *cell = grids->cell + candidate * b->count;
    size_t pair = 2 * b->k, cells = screened_cells(&grids->list[candidate]);
    float gain = 0, curvature;

    memset(grids->sums, 0, cells * pair * sizeof *grids->sums);
    for (size_t i = 0; i < b->count; i++) {
        float *sum = grids->sums + cell[i] * pair;
        const float *g = b->g + i * pair;
        for (size_t y = 0; b->used[i] && y < pair; y++)
            sum[y] += g[y];
    }
    for (size_t c = 0; c < cells; c++)
        gain += boosting_score(grids->sums + c * pair, b->k, PENALTY, &curvature);
    return gain;
}

static void grow_grid(void *part, float *learner)
{
    struct grids *grids = part;
    struct boosting *b = &grids->boosting;
    float *cells = learner + GRID_FLOATS, best = -1, *swap;
    const struct screened *what;
    size_t chosen = 0, k = b->k;

    (void)boosting_next(b);
    for (size_t c = 0; c < grids->listed; c++) {
        float gain = gain_of(grids, c);
        if (gain <= best)
            continue;
        best = gain;
        chosen = c;
        swap = grids->best;
        grids->best = grids->sums;
        grids->sums = swap;
    }
    what = &grids->list[chosen];
    *(struct grid *)learner = (struct grid){.dims = (float)what->dims};
    for (int d = 0; d < 3; d++) {
        ((struct grid *)learner)->column[d] = (float)what->column[d];
        ((struct grid *)learner)->levels[d] = (float)what->levels[d];
    }
    boosting_leaves(b, grids->best, screened_cells(what), cells);
    for (size_t i = 0; i < b->count; i++)
        for (size_t y = 0; y < k; y++)
            b->f[i * k + y] += cells[grids->cell[chosen * b->count + i] * k + y];
}

/* What grids are made of, and the cell of each row in each. */
static enum infomask_status prepare(struct grids *grids, struct infomask_error *err)
{
    const struct boosting *b = &grids->boosting;
    const struct table_matrix *matrix = b->fit->matrix;
    enum infomask_status status;

    grids->list = calloc(TABLE_SCREENED, sizeof *grids->list);
    grids->sums = malloc(screened_most_cells(b->k) * 2 * b->k * sizeof *grids->sums);
    grids->best = malloc(screened_most_cells(b->k) * 2 * b->k * sizeof *grids->best);
    if (grids->list == NULL || grids->sums == NULL || grids->best == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the grids");
    status = table_screen(b->fit, b->rows, b->count, grids->list, &grids->listed, err);
    if (status != INFOMASK_OK)
        return status;
    grids->cell = malloc(grids->listed * b->count + 1);
    if (grids->cell == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the grids");
    for (size_t c = 0; c < grids->listed; c++)
        for (size_t i = 0; i < b->count; i++)
            grids->cell[c * b->count + i] =
                (uint8_t)screened_cell(&grids->list[c], matrix->x + b->rows[i] * matrix->width);
    return INFOMASK_OK;
}

enum infomask_status table_grids_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    struct grids grids = {0};
    enum infomask_status status =
        boosting_init(&grids.boosting, &kind, fit, fit->data->n / MOST_ROWS + 1, path, err);

    if (status == INFOMASK_OK)
        status = prepare(&grids, err);
    if (status == INFOMASK_OK)
        status = boosting_follow(&grids.boosting, grids.listed > 0 ? STATES : 1, grow_grid, &grids, path, err);
    free(grids.list);
    free(grids.cell);
    free(grids.sums);
    free(grids.best);
    boosting_fini(&grids.boosting);
    return status;
}
