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

/* ---- Sets of classes --------------------------------------------------------------------------------------------- */

struct mask_set mask_set_one(const int *target)
{
    return (struct mask_set){.members = target, .count = 1};
}

bool mask_set_has(const struct mask_set *set, int class)
{
    for (int i = 0; i < set->count; i++)
        if (set->members[i] == class)
            return true;
    return false;
}

double mask_set_log_sum(const struct mask_set *set, const double *log_p)
{
    double most = log_p[set->members[0]], sum = 0;

    if (set->count == 1)
        return most;
    for (int i = 1; i < set->count; i++)
        most = fmax(most, log_p[set->members[i]]);
    if (isinf(most))
        return most;
    for (int i = 0; i < set->count; i++)
        sum += exp(log_p[set->members[i]] - most);
    return most + log(sum);
}

void mask_set_share(const struct mask_set *set, const double *log_p, double *share)
{
    double total = mask_set_log_sum(set, log_p);

    for (int i = 0; i < set->count; i++)
        share[i] = isinf(total) ? 1.0 / set->count : exp(log_p[set->members[i]] - total);
}

/* v [d] += share w_class */
static void add_row(const struct mask_head *head, int class, double share, double *v)
{
    const float *w = head->w + (size_t)class * (size_t)head->features;

    for (int j = 0; j < head->features; j++)
        v[j] += share * (double)w[j];
}

static void add_weights(const struct mask_head *head, int class, double share, double *v)
{
    if (head->w != NULL)
        add_row(head, class, share, v);
    else
        v[class] += share;
}

static double bias_of(const struct mask_head *head, int class) { return head->w != NULL ? (double)head->b[class] : 0; }
static double mean_weight(const struct mask_head *head, int j)
{
    return head->w != NULL ? (double)head->mean_w[j] : 1.0 / head->classes;
}
static double mean_bias(const struct mask_head *head) { return head->w != NULL ? head->mean_b : 0; }

/* v [d] = sum_k a_k w_k; returns sum_k a_k b_k. */
static double set_weights(const struct mask_head *head, const struct mask_set *set, double *v)
{
    double bias = 0;

    for (int j = 0; j < head->features; j++)
        v[j] = 0;
    for (int i = 0; i < set->count; i++) {
        double share = set->share != NULL ? set->share[i] : 1.0;
        add_weights(head, set->members[i], share, v);
        bias += share * bias_of(head, set->members[i]);
    }
    return bias;
}

/* outside [d]: the mean weights of the classes that are not in the set; returns the mean of their biases. */
static double outside_weights(const struct mask_head *head, const struct mask_set *set, double *outside)
{
    double k = head->classes, others = k - set->count, bias = k * mean_bias(head);

    for (int j = 0; j < head->features; j++)
        outside[j] = k * mean_weight(head, j);
    for (int i = 0; i < set->count; i++) {
        add_weights(head, set->members[i], -1, outside);
        bias -= bias_of(head, set->members[i]);
    }
    for (int j = 0; j < head->features; j++)
        outside[j] = others > 0 ? outside[j] / others : 0;
    return others > 0 ? bias / others : 0;
}

/* v -= sum_j p_j w_j: the gradient of log p(G|x) in the features. */
static void subtract_expected(const struct mask_head *head, const double *log_p, double *v)
{
    for (int c = 0; c < head->classes; c++) {
        double p = exp(log_p[c]);
        if (p > 0)
            add_weights(head, c, -p, v);
    }
}

/* ---- Maps -------------------------------------------------------------------------------------------------------- */

/* Eight partial sums: the same order whatever vectors the compiler has. */
static double dot(const double *a, const float *b, int n)
{
    double part[8] = {0};
    int i = 0;

    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            part[k] += a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        part[i & 7] += a[i] * (double)b[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for a class map");
}

enum infomask_status mask_information(const struct mask_head *head, const struct mask_set *set, const float *f, int n,
                                      double pmi, double *cells, struct infomask_error *err)
{
    double *v = malloc((size_t)head->features * sizeof *v), mean = 0;

    if (v == NULL)
        return no_memory(err);
    (void)set_weights(head, set, v);
    for (int u = 0; u < n; u++) {
        cells[u] = head->scale * dot(v, f + (size_t)u * (size_t)head->features, head->features);
        mean += cells[u] / n;
    }
    for (int u = 0; u < n; u++)
        cells[u] += pmi - mean; /* biases, priors and H(a) are in both and cancel */
    free(v);
    return INFOMASK_OK;
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

/* v [d], the target's weights, less those that infoCAM contrasts it with, times the scale; returns the constant. */
static double contrast(const struct mask_head *head, const struct mask_set *set, double bias, double *extra, double *v)
{
    double k = head->classes, scale = set->count > 1 ? head->scale : head->scale * k / (k - 1);
    double outside = mean_bias(head);

    if (head->binary) {
        for (int j = 0; j < head->features; j++)
            v[j] = (double)(float)(head->scale * v[j]);
        return head->scale * bias - set->odds;
    }
    if (set->count > 1)
        outside = outside_weights(head, set, extra);
    for (int j = 0; j < head->features; j++)
        v[j] = (double)(float)(scale * (v[j] - (set->count > 1 ? extra[j] : mean_weight(head, j))));
    return scale * (bias - outside);
}

/* Every method is v . f(u) + constant; v [d] comes as the target's weights with their bias.  extra [d]: the mean
 * features for GRADCAM_PP, those outside for INFOCAM of a set. */
static double direction(const struct mask_head *head, enum mask_method method, const struct mask_set *set, int other,
                        double bias, double *extra, double *v)
{
    if (method == MASK_INFOCAM)
        return contrast(head, set, bias, extra, v);
    if (method == MASK_INFOCAM_PLUS && other >= 0)
        add_weights(head, other, -1, v);
    for (int j = 0; j < head->features; j++) {
        double positive = v[j] > 0 ? v[j] : 0.0;
        if (method == MASK_INFOCAM_PLUS)
            v[j] *= head->scale;
        else if (method == MASK_GRADCAM_PP)
            v[j] = positive / fmax(2.0 + v[j] * extra[j], 1e-7);
        else if (method == MASK_LAYERCAM)
            v[j] = positive;
        v[j] = (double)(float)v[j];
    }
    return method == MASK_INFOCAM_PLUS ? head->scale * (bias - (other >= 0 ? bias_of(head, other) : 0)) : 0;
}

enum infomask_status mask_class_map(const struct mask_head *head, enum mask_method method, const struct mask_set *set,
                                    int other, const double *log_p, const float *f, int n, float *map,
                                    struct infomask_error *err)
{
    int d = head->features;
    double *v = malloc(2 * (size_t)d * sizeof *v), *extra = v + d, bias;
    float constant;

    if (v == NULL)
        return no_memory(err);
    bias = set_weights(head, set, v);
    if (method == MASK_GRADCAM_PP)
        feature_means(f, n, d, extra);
    if (set->count > 1 && log_p != NULL && (method == MASK_GRADCAM_PP || method == MASK_LAYERCAM))
        subtract_expected(head, log_p, v);
    constant = (float)direction(head, method, set, other, bias, extra, v);
    for (int u = 0; u < n; u++) {
        float value = (float)dot(v, f + (size_t)u * (size_t)d, d) + constant;
        map[u] = method == MASK_LAYERCAM && value < 0 ? 0 : value;
    }
    free(v);
    return INFOMASK_OK;
}

/* How many classes are more likely than c; ties by index. */
static int rank_of(const float *z, int classes, int c)
{
    int rank = 0;

    for (int k = 0; k < classes; k++)
        rank += z[k] > z[c] || (z[k] == z[c] && k < c);
    return rank;
}

int mask_other_class(const float *z, int classes, const struct mask_set *set)
{
    int other = -1, outside = -1, farthest = -1;

    for (int c = 0; c < classes; c++) {
        int rank;
        if (mask_set_has(set, c))
            continue;
        rank = rank_of(z, classes, c);
        if (rank < OTHERS && rank > farthest) {
            other = c;
            farthest = rank;
        }
        if (outside < 0 || z[c] > z[outside])
            outside = c;
    }
    return other >= 0 ? other : outside;
}
