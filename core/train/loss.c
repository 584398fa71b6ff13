#include <math.h>

#include "core/train/fit.h"

/* log of sum_k exp(z_k + prior_k), and the index of the largest term */
static double row_log_sum(const float *z, const double *log_prior, int k, int *best)
{
    double high = -INFINITY, sum = 0;

    *best = 0;
    for (int i = 0; i < k; i++) {
        double v = (double)z[i] + (log_prior != NULL ? log_prior[i] : 0);
        if (v > high) {
            high = v;
            *best = i;
        }
    }
    for (int i = 0; i < k; i++)
        sum += exp((double)z[i] + (log_prior != NULL ? log_prior[i] : 0) - high);
    return high + log(sum);
}

/* Both losses have the gradient softmax(z + log prior) - target: PC-softmax differs from the cross-entropy of
 * softmax(z + log prior) by a constant, the log prior of the label. */
static double row_loss(const struct train_loss *loss, const float *z, int label, int k, double normal, double share,
                       float *dz)
{
    double off = loss->smoothing / k, on = 1 - loss->smoothing + off, value = 0;

    for (int i = 0; i < k; i++) {
        double target = i == label ? on : off;
        double log_q = (double)z[i] + (loss->log_prior != NULL ? loss->log_prior[i] : 0) - normal;
        value -= target > 0 ? target * (log_q - (loss->log_prior != NULL ? loss->log_prior[i] : 0)) : 0;
        if (dz != NULL)
            dz[i] = (float)((exp(log_q) - target) * share);
    }
    return value;
}

double train_loss(const struct train_loss *loss, const struct train_answers *answers, float *dlogits, int *correct,
                  double *log_q)
{
    int n = answers->n, classes = answers->classes;
    double sum = 0;

    for (int row = 0; row < n; row++) {
        const float *z = answers->logits + (size_t)row * (size_t)classes;
        int best, label = answers->labels[row];
        double normal = row_log_sum(z, loss->log_prior, classes, &best);
        sum += row_loss(loss, z, label, classes, normal, 1.0 / n,
                        dlogits != NULL ? dlogits + (size_t)row * (size_t)classes : NULL);
        if (correct != NULL)
            *correct += best == label;
        if (log_q != NULL)
            log_q[row] = (double)z[label] + (loss->log_prior != NULL ? loss->log_prior[label] : 0) - normal;
    }
    return sum / n;
}
