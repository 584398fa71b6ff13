/* The columns of a table as codes from 0 to 63, from X alone: where a value stands among the column's values.  Coarser
 * codes are the upper bits: code >> 3 is one of 8, code >> 4 one of 4. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/train/table/table.h"

#define SAMPLE 4096
#define PRESENT 56 /* codes of values where some are missing; those have the last one */

/* Intervals of a column: code[i] for border[i - 1] < x <= border[i]. */
struct axis {
    int borders; /* -1: a constant column */
    uint8_t levels; /* as of table_matrix */
    float border[TABLE_CODES - 1];
    uint8_t code[TABLE_CODES];
};

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* The present values of a sample, sorted. */
static size_t sorted_sample(const struct infomask_table *table, size_t j, float *sample)
{
    size_t most = table->rows < SAMPLE ? table->rows : SAMPLE, count = 0;

    for (size_t i = 0; i < most; i++) {
        float v = table->x[i * table->rows / most * table->columns + j];
        if (!isnan(v))
            sample[count++] = v;
    }
    qsort(sample, count, sizeof *sample, by_value);
    return count;
}

static bool any_missing(const struct infomask_table *table, size_t j)
{
    for (size_t i = 0; i < table->rows; i++)
        if (isnan(table->x[i * table->columns + j]))
            return true;
    return false;
}

/* Few values: each its own code, as far from each other as there is room. */
static void spread_values(struct axis *axis, const float *sample, size_t count, int codes)
{
    axis->borders = 0;
    for (size_t i = 1; i < count; i++)
        if (sample[i] > sample[i - 1])
            axis->border[axis->borders++] = 0.5f * sample[i - 1] + 0.5f * sample[i];
    for (int l = 0; l <= axis->borders; l++)
        axis->code[l] = (uint8_t)(l * codes / (axis->borders + 1));
}

static void cut_at_quantiles(struct axis *axis, const float *sample, size_t count, int codes)
{
    axis->borders = 0;
    axis->code[0] = 0;
    for (size_t b = 1; b < (size_t)codes; b++) {
        size_t at = b * count / (size_t)codes;
        while (at < count && at > 0 && sample[at] <= sample[at - 1])
            at++;
        if (at == 0 || at >= count || (axis->borders > 0 && sample[at - 1] <= axis->border[axis->borders - 1]))
            continue;
        axis->border[axis->borders++] = 0.5f * sample[at - 1] + 0.5f * sample[at];
        axis->code[axis->borders] = (uint8_t)b;
    }
}

static void look_at(const struct infomask_table *table, size_t j, float *sample, struct axis *axis)
{
    size_t count = sorted_sample(table, j, sample), distinct = count > 0;
    bool missing = any_missing(table, j);
    int codes = missing ? PRESENT : TABLE_CODES;

    for (size_t i = 1; i < count; i++)
        distinct += sample[i] > sample[i - 1];
    axis->borders = -1;
    axis->levels = distinct > 1 && distinct <= TABLE_CODES && !missing ? (uint8_t)distinct : 0;
    axis->code[0] = 0;
    if (distinct > (size_t)codes)
        cut_at_quantiles(axis, sample, count, codes);
    else if (distinct > 1)
        spread_values(axis, sample, count, codes);
    else if (distinct == 1 && missing)
        axis->borders = 0;
}

static float code_of(const struct axis *axis, float x)
{
    int low = 0, high = axis->borders;

    if (isnan(x))
        return TABLE_CODES - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (x > axis->border[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return axis->code[low];
}

enum infomask_status table_codes(const struct infomask_table *table, const uint32_t *order, struct table_matrix *codes,
                                 struct infomask_error *err)
{
    struct axis *axes = malloc(table->columns * sizeof *axes);
    float *sample = malloc(SAMPLE * sizeof *sample);
    size_t bytes, width = 0;
    bool room;

    *codes = (struct table_matrix){.n = table->rows};
    codes->source = malloc((table->columns + 1) * sizeof *codes->source);
    codes->levels = malloc(table->columns + 1);
    room = axes != NULL && sample != NULL && codes->source != NULL && codes->levels != NULL;
    for (size_t j = 0; room && j < table->columns; j++) {
        look_at(table, j, sample, &axes[width]);
        if (axes[width].borders < 0)
            continue;
        codes->levels[width] = axes[width].levels;
        codes->source[width++] = (uint32_t)j;
    }
    codes->width = width;
    if (room &&
        checked_mul3(table->rows, width, sizeof *codes->x, &bytes))
        codes->x = aligned_new(bytes + 1);
    for (size_t i = 0; codes->x != NULL && i < table->rows; i++)
        for (size_t j = 0; j < width; j++)
            codes->x[i * width + j] = code_of(&axes[j], table->x[order[i] * table->columns + codes->source[j]]);
    free(axes);
    free(sample);
    return codes->x != NULL ? INFOMASK_OK
                            : error_set(err, INFOMASK_MEMORY, "no memory for %zu columns", table->columns);
}
