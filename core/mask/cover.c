/* What the network says of a place and of what surrounds it: shares of cells under a mask, and means of features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mask/mask.h"

#define COLUMNS 16

/* sums [columns] += part times what each of them covers of a row. */
static void add_row(const uint8_t *row, int w, int columns, double part, double *sums)
{
    double width = (double)w / columns;

    for (int c = 0; c < columns; c++) {
        double from = c * width, to = (c + 1) * width, sum = 0;
        int last = (int)ceil(to) < w ? (int)ceil(to) : w;
        for (int x = (int)from; x < last; x++)
            sum += row[x] * (fmin(x + 1, to) - fmax(x, from));
        sums[c] += part * sum;
    }
}

enum infomask_status mask_cover(const uint8_t *mask, int h, int w, int rows, int columns, double *share,
                                struct infomask_error *err)
{
    double height = (double)h / rows, width = (double)w / columns;
    double *sums = malloc((size_t)columns * sizeof *sums);

    if (sums == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the mask's cells");
    for (int r = 0; r < rows; r++) {
        double from = r * height, to = (r + 1) * height;
        int last = (int)ceil(to) < h ? (int)ceil(to) : h;
        memset(sums, 0, (size_t)columns * sizeof *sums);
        for (int y = (int)from; y < last; y++)
            add_row(mask + (size_t)y * (size_t)w, w, columns, fmin(y + 1, to) - fmax(y, from), sums);
        for (int c = 0; c < columns; c++)
            share[r * columns + c] = fmin(sums[c] / (255 * height * width), 1);
    }
    free(sums);
    return INFOMASK_OK;
}

static double weight_of(enum mask_place place, double share)
{
    if (place == MASK_REGION)
        return share;
    return share < 0.5 ? 1 - share : 0;
}

/* `count` neighbouring features, so that f is read along its rows. */
static void mean_columns(enum mask_place place, const double *share, const float *f, int n, int d, int count,
                         double total, float *mean)
{
    double sum[COLUMNS] = {0};

    for (int u = 0; u < n; u++) {
        double weight = weight_of(place, share[u]);
        for (int j = 0; j < count && weight > 0; j++)
            sum[j] += weight * (double)f[(size_t)u * (size_t)d + (size_t)j];
    }
    for (int j = 0; j < count; j++)
        mean[j] = (float)(sum[j] / total);
}

double mask_place_mean(enum mask_place place, const double *share, const float *f, int n, int d, float *mean)
{
    double total = 0;

    for (int u = 0; u < n; u++)
        total += weight_of(place, share[u]);
    if (!(total >= MASK_PLACE_LEAST))
        return total;
    for (int first = 0; first < d; first += COLUMNS)
        mean_columns(place, share, f + first, n, d, d - first < COLUMNS ? d - first : COLUMNS, total, mean + first);
    return total;
}

double mask_place_apart(const double *share, int n)
{
    double covered = 0, apart = 0;

    for (int u = 0; u < n; u++)
        covered += share[u];
    if (covered < MASK_PLACE_LEAST || n - covered < MASK_PLACE_LEAST)
        return NAN;
    for (int u = 0; u < n; u++)
        apart += fabs(share[u] / covered - (1 - share[u]) / (n - covered));
    return apart / 2;
}
