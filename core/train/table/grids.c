/* The grids part: boosted look-up tables of one, two or three columns, for what columns say only together (two codes
 * that interact, the sign of a product) and for what a column says in many turns (periods).
 *
 * Which pairs and triples are looked at is screened first, on the rows outside both folds alone: those whose cells and
 * labels have the largest G-statistic beyond what the columns, or the pairs in a triple, have by themselves.  Then
 * gradient boosting, as of the trees (trees.c), of grids of 64 cells: one column in 64 codes, two in 8, three in 4
 * (codes.c).
 *
 * A state is what ROUNDS grids add to the one before; the first one is the log prior. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/base/random.h"
#include "core/train/table/screen.h"
#include "core/train/table/table.h"

#define ROUNDS 6         /* grids of a state */
#define STATES 60
#define PATIENCE 5       /* states without a gain on both folds that end a path */
#define RATE 0.15f
#define PENALTY 3.0f     /* added to a cell's curvature */
#define SHARE 0.7        /* of the rows that a grid is made from */
#define MOST_ROWS 50000  /* that are learnt from */
#define MOST_CLASSES 32

bool table_grids_fit_in(const struct table_data *data, const struct table_matrix *codes)
{
    return codes->width > 0 && data->classes <= MOST_CLASSES;
}

/* A grid as it lies in a state. */
struct grid {
    float dims, column[3];
    /* then float cell[TABLE_CODES][K] */
};
#define GRID_FLOATS (sizeof(struct grid) / sizeof(float))

static size_t grid_size(size_t k)
{
    return GRID_FLOATS + TABLE_CODES * k;
}

/* Adds what a state's grids say of rows x to their logits. */
static void add_state(size_t width, size_t k, const float *state, const float *x, size_t rows, float *logits)
{
    for (size_t t = 0; t < ROUNDS; t++, state += grid_size(k)) {
        const struct grid *grid = (const struct grid *)state;
        struct screened what = {(int)grid->dims, {(uint32_t)grid->column[0], (uint32_t)grid->column[1],
                                                  (uint32_t)grid->column[2]}, 0};
        for (size_t i = 0; i < rows; i++) {
            const float *cell = state + GRID_FLOATS + screened_cell(&what, x + i * width) * k;
            for (size_t y = 0; y < k; y++)
                logits[i * k + y] += cell[y];
        }
    }
}

void table_grids_logits(const struct table_data *data, const struct table_matrix *matrix, const struct table_path *path,
                        int step, const float *x, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes;

    for (size_t i = 0; i < rows; i++)
        memcpy(logits + i * k, path->states, k * sizeof *logits);
    for (int s = 1; s <= step; s++)
        add_state(matrix->width, k, path->states + path->size * (size_t)s, x, rows, logits);
}

/* ---- Boosting ---------------------------------------------------------------------------------------------------- */

struct boosting {
    const struct table_fit *fit;
    size_t k, count;         /* rows that are learnt from */
    uint32_t *rows;          /* [count] of the data */
    struct screened *list;   /* [TABLE_SCREENED] what grids are made of */
    size_t listed;
    uint8_t *cell;           /* [listed][count] */
    float *f, *g;            /* [count][K] logits; [count][2 K] gradient and curvature */
    bool *used;              /* [count] */
    float *sums, *best;      /* [TABLE_CODES][2 K], of a grid and of the best one */
    float *held;             /* [rows of both folds][K] their logits so far */
    uint64_t round;
};

static void take_rows(struct boosting *b)
{
    const struct table_data *data = b->fit->data;
    size_t step = data->n / MOST_ROWS + 1;

    for (int f = 0; f < data->folds; f++)
        for (size_t i = data->start[f]; f != b->fit->fold[0] && f != b->fit->fold[1] && i < data->start[f + 1];
             i += step)
            b->rows[b->count++] = (uint32_t)i;
}

static void set_prior(struct boosting *b, float *prior)
{
    const struct table_data *data = b->fit->data;
    float sum = 0;

    for (size_t y = 0; y < b->k; y++)
        prior[y] = 0.5f;
    for (size_t i = 0; i < b->count; i++)
        prior[data->labels[b->rows[i]]] += data->weights != NULL ? data->weights[b->rows[i]] : 1;
    for (size_t y = 0; y < b->k; y++)
        sum += prior[y];
    for (size_t y = 0; y < b->k; y++)
        prior[y] = logf(prior[y] / sum);
    for (size_t i = 0; i < b->count; i++)
        memcpy(b->f + i * b->k, prior, b->k * sizeof *prior);
}

/* g = w (q - 1[label]), h = w q (1 - q) */
static void set_gradients(struct boosting *b)
{
    const struct table_data *data = b->fit->data;
    struct random_stream random = random_stream(data->seed ^ b->fit->stream, b->round);
    size_t k = b->k;

    for (size_t i = 0; i < b->count; i++) {
        float *g = b->g + i * 2 * k, *h = g + k, w = data->weights != NULL ? data->weights[b->rows[i]] : 1;
        memcpy(g, b->f + i * k, k * sizeof *g);
        data->kernels->softmax(g, g, 1, k);
        for (size_t y = 0; y < k; y++)
            h[y] = w * fmaxf(g[y] * (1 - g[y]), 1e-6f);
        g[data->labels[b->rows[i]]] -= 1;
        for (size_t y = 0; y < k; y++)
            g[y] *= w;
        b->used[i] = random_unit(&random) < SHARE;
    }
}

/* sum_cells sum_k G^2 / (H + penalty), into b->sums what it is made of. */
static float gain_of(struct boosting *b, size_t candidate)
{
    const uint8_t *cell = b->cell + candidate * b->count;
    size_t pair = 2 * b->k;
    float gain = 0;

    memset(b->sums, 0, TABLE_CODES * pair * sizeof *b->sums);
    for (size_t i = 0; i < b->count; i++) {
        float *sum = b->sums + cell[i] * pair;
        const float *g = b->g + i * pair;
        for (size_t y = 0; b->used[i] && y < pair; y++)
            sum[y] += g[y];
    }
    for (size_t c = 0; c < TABLE_CODES; c++)
        for (size_t y = 0; y < b->k; y++) {
            float g = b->sums[c * pair + y], h = b->sums[c * pair + b->k + y];
            gain += g * g / (h + PENALTY);
        }
    return gain;
}

static void add_grid(struct boosting *b, float *state)
{
    struct grid *grid = (struct grid *)state;
    float *cells = state + GRID_FLOATS, best = -1, *swap;
    size_t chosen = 0, k = b->k;

    set_gradients(b);
    for (size_t c = 0; c < b->listed; c++) {
        float gain = gain_of(b, c);
        if (gain <= best)
            continue;
        best = gain;
        chosen = c;
        swap = b->best;
        b->best = b->sums;
        b->sums = swap;
    }
    *grid = (struct grid){
        (float)b->list[chosen].dims,
        {(float)b->list[chosen].column[0], (float)b->list[chosen].column[1], (float)b->list[chosen].column[2]}};
    for (size_t c = 0; c < TABLE_CODES; c++)
        for (size_t y = 0; y < k; y++)
            cells[c * k + y] = -RATE * b->best[c * 2 * k + y] / (b->best[c * 2 * k + k + y] + PENALTY);
    for (size_t i = 0; i < b->count; i++)
        for (size_t y = 0; y < k; y++)
            b->f[i * k + y] += cells[b->cell[chosen * b->count + i] * k + y];
    b->round++;
}

/* ---- The part ---------------------------------------------------------------------------------------------------- */

/* The losses of both folds: their logits grow with the states. */
static enum infomask_status judge(struct boosting *b, struct table_path *path, const float *state,
                                  struct infomask_error *err)
{
    const struct table_data *data = b->fit->data;
    const struct table_matrix *matrix = b->fit->matrix;
    float *held = b->held, *row = malloc(b->k * sizeof *row);

    if (row == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the grids");
    for (int side = 0; side < 2; side++) {
        size_t first = data->start[b->fit->fold[side]], rows = table_judged_end(data, b->fit->fold[side]) - first;
        double loss = 0;
        if (path->count > 1)
            add_state(matrix->width, b->k, state, matrix->x + first * matrix->width, rows, held);
        for (size_t i = 0; i < rows; i++, held += b->k) {
            if (path->count == 1)
                memcpy(held, state, b->k * sizeof *held);
            memcpy(row, held, b->k * sizeof *row);
            loss += table_loss(data, first + i, 1, row);
        }
        table_judged(path, side, loss, PATIENCE);
    }
    free(row);
    return INFOMASK_OK;
}

static enum infomask_status follow_path(struct boosting *b, struct table_path *path, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int s = 0; status == INFOMASK_OK && s < STATES && !(path->peaked[0] && path->peaked[1]); s++) {
        float *state = table_path_grow(path);
        if (state == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the grids");
        memset(state, 0, path->size * sizeof *state);
        if (s == 0)
            set_prior(b, state);
        for (int r = 0; s > 0 && b->listed > 0 && r < ROUNDS; r++)
            add_grid(b, state + grid_size(b->k) * (size_t)r);
        status = judge(b, path, state, err);
        if (b->listed == 0)
            break;
    }
    return status;
}

static bool boosting_init(struct boosting *b)
{
    const struct table_data *data = b->fit->data;
    size_t n = data->n, pairs = 0;
    bool fits = checked_mul3(n, 2 * b->k, sizeof(float), &pairs);

    b->rows = malloc(n * sizeof *b->rows);
    b->list = calloc(TABLE_SCREENED, sizeof *b->list);
    b->used = malloc(n * sizeof *b->used);
    b->f = fits ? malloc(pairs / 2) : NULL;
    b->g = fits ? malloc(pairs) : NULL;
    b->held = fits ? malloc(pairs / 2) : NULL;
    b->sums = malloc(TABLE_CODES * 2 * b->k * sizeof *b->sums);
    b->best = malloc(TABLE_CODES * 2 * b->k * sizeof *b->best);
    return b->rows != NULL && b->list != NULL && b->used != NULL && b->f != NULL && b->g != NULL && b->held != NULL &&
           b->sums != NULL && b->best != NULL;
}

static void boosting_fini(struct boosting *b)
{
    free(b->rows);
    free(b->list);
    free(b->cell);
    free(b->used);
    free(b->f);
    free(b->g);
    free(b->held);
    free(b->sums);
    free(b->best);
}

static enum infomask_status prepare(struct boosting *b, struct infomask_error *err)
{
    const struct table_matrix *matrix = b->fit->matrix;
    enum infomask_status status;

    take_rows(b);
    status = table_screen(b->fit, b->rows, b->count, b->list, &b->listed, err);
    if (status != INFOMASK_OK)
        return status;
    b->cell = malloc(b->listed * b->count + 1);
    if (b->cell == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the grids");
    for (size_t c = 0; c < b->listed; c++)
        for (size_t i = 0; i < b->count; i++)
            b->cell[c * b->count + i] = (uint8_t)screened_cell(&b->list[c], matrix->x + b->rows[i] * matrix->width);
    return INFOMASK_OK;
}

enum infomask_status table_grids_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    struct boosting b = {.fit = fit, .k = (size_t)fit->data->classes};
    enum infomask_status status = INFOMASK_OK;

    path->size = ROUNDS * grid_size(b.k);
    if (!boosting_init(&b))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the grids of %zu rows", fit->data->n);
    if (status == INFOMASK_OK)
        status = prepare(&b, err);
    if (status == INFOMASK_OK)
        status = follow_path(&b, path, err);
    boosting_fini(&b);
    return status;
}
