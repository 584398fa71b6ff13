/* Photos into folds, stratified by class, the photos of one group together; features centred and scaled. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/base/random.h"
#include "core/train/head.h"

#define MANY 20000 /* photos over which three folds do */

static void shuffle(size_t *order, size_t n, uint64_t seed)
{
    struct random_stream random = random_stream(seed ^ UINT64_C(0x68656164), 0);

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = random_below(&random, (uint32_t)i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* The fold with the fewest of this class, then the fewest of all. */
static int emptiest(const size_t *of_class, const size_t *of_all, int folds)
{
    int best = 0;

    for (int f = 1; f < folds; f++)
        if (of_class[f] < of_class[best] || (of_class[f] == of_class[best] && of_all[f] < of_all[best]))
            best = f;
    return best;
}

/* fold[i] of every photo; group_fold [photos] and counts [classes][HEAD_FOLDS] are scratch. */
static void deal(const struct infomask_head_data *data, const size_t *order, int folds, int *group_fold, size_t *counts,
                 int *fold)
{
    size_t of_all[HEAD_FOLDS] = {0};

    for (size_t i = 0; i < data->photos; i++)
        group_fold[i] = -1;
    for (size_t i = 0; i < data->photos; i++) {
        size_t photo = order[i], group = data->groups != NULL ? data->groups[photo] : photo;
        size_t *of_class = counts + data->labels[photo] * (size_t)HEAD_FOLDS;
        int f = group_fold[group] >= 0 ? group_fold[group] : emptiest(of_class, of_all, folds);
        group_fold[group] = fold[photo] = f;
        of_class[f]++;
        of_all[f]++;
    }
}

static void sort_into_folds(struct head_rows *rows, const struct infomask_head_data *data, const int *fold)
{
    size_t at = 0;

    for (int f = 0; f < rows->folds; f++) {
        rows->first[f] = at;
        for (size_t i = 0; i < data->photos; i++)
            if (fold[i] == f) {
                rows->labels[at] = data->labels[i];
                rows->photo[at++] = i;
            }
    }
    rows->first[rows->folds] = at;
}

static enum infomask_status make_folds(struct head_rows *rows, const struct infomask_head_data *data, uint64_t seed,
                                       struct infomask_error *err)
{
    size_t n = data->photos;
    size_t *order = malloc(n * sizeof *order), *counts = calloc(data->classes, HEAD_FOLDS * sizeof *counts);
    int *group_fold = malloc(n * sizeof *group_fold), *fold = malloc(n * sizeof *fold);
    enum infomask_status status = INFOMASK_OK;

    rows->photo = malloc(n * sizeof *rows->photo);
    rows->labels = malloc(n * sizeof *rows->labels);
    if (order == NULL || counts == NULL || group_fold == NULL || fold == NULL || rows->photo == NULL ||
        rows->labels == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu photos", n);
    } else {
        shuffle(order, n, seed);
        deal(data, order, rows->folds, group_fold, counts, fold);
        sort_into_folds(rows, data, fold);
    }
    free(order);
    free(counts);
    free(group_fold);
    free(fold);
    return status;
}

static void centre(struct head_rows *rows, const struct infomask_head_data *data)
{
    size_t count = data->photos * data->views, f = data->features, run = data->views * f;
    double square = 0;

    for (size_t j = 0; j < f; j++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)data->x[i * f + j];
        rows->centre[j] = (float)(sum / (double)count);
    }
    for (size_t i = 0; i < count * f; i++) {
        double v = (double)data->x[i] - (double)rows->centre[i % f];
        square += v * v;
    }
    rows->scale = square > 0 ? sqrt((double)count / square) : 1;
    for (size_t i = 0; i < data->photos; i++) {
        const float *from = data->x + rows->photo[i] * run;
        float *to = rows->x + i * run;
        for (size_t j = 0; j < run; j++)
            to[j] = (float)(((double)from[j] - (double)rows->centre[j % f]) * rows->scale);
    }
}

static enum infomask_status check(const struct infomask_head_data *data, struct infomask_error *err)
{
    size_t *counts = calloc(data->classes, sizeof *counts);
    enum infomask_status status = INFOMASK_OK;

    if (counts == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu classes", data->classes);
    for (size_t i = 0; i < data->photos; i++)
        counts[data->labels[i]]++;
    for (size_t k = 0; k < data->classes && status == INFOMASK_OK; k++)
        if (counts[k] < 2)
            status = error_set(err, INFOMASK_ARGUMENT, "class %zu has %zu photo%s; every class needs at least 2", k,
                               counts[k], counts[k] == 1 ? "" : "s");
    for (size_t i = 0; i < data->photos * data->views * data->features && status == INFOMASK_OK; i++)
        if (!isfinite(data->x[i]))
            status = error_set(err, INFOMASK_BAD_DATA, "a feature is not a finite number");
    free(counts);
    return status;
}

enum infomask_status head_rows_init(struct head_rows *rows, const struct infomask_head_data *data, uint64_t seed,
                                    struct infomask_error *err)
{
    size_t bytes;
    enum infomask_status status;

    *rows = (struct head_rows){.photos = data->photos, .views = data->views, .features = data->features,
                               .classes = data->classes, .folds = data->photos > MANY ? 3 : HEAD_FOLDS};
    if (data->classes < 2 || data->photos < 2 * HEAD_FOLDS || data->photos > UINT32_MAX / 2)
        return error_set(err, INFOMASK_ARGUMENT, "at least 2 classes and %d photos are needed", 2 * HEAD_FOLDS);
    if (!checked_mul3(data->photos * data->views, data->features, sizeof(float), &bytes))
        return error_set(err, INFOMASK_LIMIT, "%zu photos are too many", data->photos);
    status = check(data, err);
    if (status != INFOMASK_OK)
        return status;
    rows->x = aligned_new(bytes);
    rows->centre = malloc(data->features * sizeof *rows->centre);
    if (rows->x == NULL || rows->centre == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the features of %zu photos", data->photos);
    else
        status = make_folds(rows, data, seed, err);
    if (status == INFOMASK_OK)
        centre(rows, data);
    else
        head_rows_fini(rows);
    return status;
}

void head_rows_fini(struct head_rows *rows)
{
    aligned_free(rows->x);
    free(rows->centre);
    free(rows->photo);
    free(rows->labels);
    *rows = (struct head_rows){0};
}

void head_prior(const struct head_rows *rows, unsigned left_out, double *log_prior)
{
    double n = 0;

    for (size_t k = 0; k < rows->classes; k++)
        log_prior[k] = 0.5;
    for (int f = 0; f < rows->folds; f++)
        for (size_t i = rows->first[f]; i < rows->first[f + 1] && (left_out >> f & 1) == 0; i++) {
            log_prior[rows->labels[i]] += 1;
            n += 1;
        }
    for (size_t k = 0; k < rows->classes; k++)
        log_prior[k] = log(log_prior[k] / (n + 0.5 * (double)rows->classes));
}
