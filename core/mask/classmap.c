#include <math.h>
#include <stdlib.h>

#include "core/mask/mask.h"

#define OTHERS 200 /* the published infoCAM looks for its contrast class among so many */

#define COLUMNS 16 /* summed at a time, so that W is read along its rows */

double mask_head_mean(const float *w, const float *b, int classes, int features, float *mean_w)
{
    double sum_b = 0;

    for (int first = 0; first < features; first += COLUMNS) {
        int count = features - first < COLUMNS ? features - first : COLUMNS;
        double sum[COLUMNS] = {0};
        for (int c = 0; c < classes; c++)
            for (int j = 0; j < count; j++)
                sum[j] += (double)w[(size_t)c * (size_t)features + (size_t)(first + j)];
        for (int j = 0; j < count; j++)
            mean_w[first + j] = (float)(sum[j] / classes);
    }
    for (int c = 0; c < classes; c++)
        sum_b += (double)b[c];
    return sum_b / classes;
}

/* Eight partial sums: the same order whatever vectors the compiler has. */
static double dot(const float *a, const float *b, int n)
{
    double part[8] = {0};
    int i = 0;

    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            part[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        part[i & 7] += (double)a[i] * (double)b[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

void mask_information(const struct mask_head *head, int target, const float *f, int n, double pmi, double *cells)
{
    const float *w = head->w + (size_t)target * (size_t)head->features;
    double mean = 0;

    for (int u = 0; u < n; u++) {
        cells[u] = head->scale * dot(w, f + (size_t)u * (size_t)head->features, head->features);
        mean += cells[u] / n;
    }
    for (int u = 0; u < n; u++)
        cells[u] += pmi - mean; /* the bias is in both and cancels */
}

/* The mean feature vector, for Grad-CAM++. */
static void feature_means(const float *f, int n, int d, double *mean)
{
    for (int j = 0; j < d; j++)
        mean[j] = 0;
    for (int u = 0; u < n; u++)
        for (int j = 0; j < d; j++)
            mean[j] += (double)f[(size_t)u * (size_t)d + (size_t)j] / n;
}

/* Every method is v . f(u) + constant; this makes v [d] and the constant.  mean [d] is for GRADCAM_PP. */
static float direction(const struct mask_head *head, enum mask_method method, int t, int other, const double *mean,
                       float *v)
{
    size_t d = (size_t)head->features;
    const float *w = head->w + (size_t)t * d, *o = head->w + (size_t)other * d;
    double k = head->classes, contrast = head->scale * k / (k - 1);

    for (size_t j = 0; j < d; j++) {
        double positive = w[j] > 0 ? (double)w[j] : 0.0;
        switch (method) {
        case MASK_INFOCAM: v[j] = (float)(contrast * ((double)w[j] - (double)head->mean_w[j])); break;
        case MASK_CAM: v[j] = w[j]; break;
        case MASK_INFOCAM_PLUS: v[j] = (float)(head->scale * ((double)w[j] - (double)o[j])); break;
        case MASK_GRADCAM_PP: v[j] = (float)(positive / fmax(2.0 + (double)w[j] * mean[j], 1e-7)); break;
        case MASK_LAYERCAM: v[j] = (float)positive; break;
        }
    }
    if (method == MASK_INFOCAM)
        return (float)(contrast * ((double)head->b[t] - head->mean_b));
    if (method == MASK_INFOCAM_PLUS)
        return (float)(head->scale * ((double)head->b[t] - (double)head->b[other]));
    return 0;
}

enum infomask_status mask_class_map(const struct mask_head *head, enum mask_method method, int target, int other,
                                    const float *f, int n, float *map, struct infomask_error *err)
{
    int d = head->features;
    float *v = malloc((size_t)d * sizeof *v), constant;
    double *mean = malloc((size_t)d * sizeof *mean);
    bool made = v != NULL && mean != NULL;

    if (made) {
        if (method == MASK_GRADCAM_PP)
            feature_means(f, n, d, mean);
        constant = direction(head, method, target, other, mean, v);
        for (int u = 0; u < n; u++) {
            float value = (float)dot(v, f + (size_t)u * (size_t)d, d) + constant;
            map[u] = method == MASK_LAYERCAM && value < 0 ? 0 : value;
        }
    }
    free(v);
    free(mean);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for a class map");
}

/* How many classes are more likely than c; ties by index. */
static int rank_of(const float *z, int classes, int c)
{
    int rank = 0;

    for (int k = 0; k < classes; k++)
        rank += z[k] > z[c] || (z[k] == z[c] && k < c);
    return rank;
}

int mask_other_class(const float *z, int classes, int target)
{
    int last = (classes < OTHERS ? classes : OTHERS) - 1, other = -1;

    for (int c = 0; c < classes && other < 0; c++)
        if (rank_of(z, classes, c) == last)
            other = c;
    for (int c = 0; c < classes && other == target; c++)
        if (rank_of(z, classes, c) == last - 1)
            other = c;
    return other;
}
