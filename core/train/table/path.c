/* Paths: the states of a fit, how each of them did on the two folds that it has not seen, and where to look one up. */
#include <stdlib.h>

#include "core/base/checked.h"
#include "core/train/table/cross_fit.h"

#define MOST_LEARNT 100000   /* rows that a fit learns from */
#define MOST_JUDGED 30000    /* rows of a fold that choose between its states */

/* ---- One path ---------------------------------------------------------------------------------------------------- */

static size_t end_within(const struct table_data *data, int fold, size_t most)
{
    size_t end = data->start[fold + 1], first = data->start[fold];

    return end - first > most ? first + most : end;
}

size_t table_learnt_end(const struct table_data *data, int fold)
{
    return end_within(data, fold, MOST_LEARNT / (size_t)(data->folds - 2));
}

size_t table_judged_end(const struct table_data *data, int fold)
{
    return end_within(data, fold, MOST_JUDGED);
}

void table_path_fini(struct table_path *path)
{
    free(path->states);
    *path = (struct table_path){0};
}

float *table_path_grow(struct table_path *path)
{
    size_t bytes;
    float *states;

    if (path->count == TABLE_MOST_STATES ||
        !checked_mul3((size_t)path->count + 1, path->size, sizeof *states, &bytes) ||
        (states = realloc(path->states, bytes)) == NULL)
        return NULL;
    path->states = states;
    return states + path->size * (size_t)path->count++;
}

void table_judged(struct table_path *path, int side, double loss, int patience)
{
    int best = 0;

    path->loss[side][path->count - 1] = loss;
    if (path->peaked[side])
        return;
    path->ended[side] = path->count;
    for (int i = 1; i < path->count; i++)
        best = path->loss[side][i] < path->loss[side][best] ? i : best;
    path->peaked[side] = patience > 0 && path->count - best > patience;
}

enum infomask_status table_judge(const struct table_fit *fit, const struct table_part *part, struct table_path *path,
                                 int patience, struct infomask_error *err)
{
    const struct table_data *data = fit->data;
    float *logits = malloc(TABLE_BLOCK * (size_t)data->classes * sizeof *logits);

    if (logits == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %d classes", data->classes);
    for (int side = 0; side < 2; side++) {
        size_t end = table_judged_end(data, fit->fold[side]);
        double loss = 0;
        for (size_t i = data->start[fit->fold[side]]; i < end; i += TABLE_BLOCK) {
            size_t rows = end - i < TABLE_BLOCK ? end - i : TABLE_BLOCK;
            part->logits(data, fit->matrix, path, path->count - 1, table_rows(data, fit->matrix, i, rows, NULL), rows,
                         logits);
            loss += table_loss(data, i, rows, logits);
        }
        table_judged(path, side, loss, patience);
    }
    free(logits);
    return INFOMASK_OK;
}

/* ---- The paths of an estimate ------------------------------------------------------------------------------------ */

static int pair_of(int folds, int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a;

    return low * (2 * folds - low - 1) / 2 + high - low - 1;
}

const struct table_path *table_path_of(const struct estimate *e, int part, int fold, int other)
{
    return &e->paths[part][pair_of(e->data.folds, fold, other)];
}

int table_state_near(const struct estimate *e, int part, int fold, int other, int step)
{
    int ended = table_path_of(e, part, fold, other)->ended[other > fold];

    return step < ended ? step : ended - 1;
}

int table_state_at(const struct estimate *e, int part, int fold, int other)
{
    return table_state_near(e, part, fold, other, e->step[part][fold]);
}
