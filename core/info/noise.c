#include "core/info/info.h"

#include <math.h>

/* One class over the passes. */
struct column {
    double l1, ls;   /* mean log q_s, log mean q_s */
    double kl_share; /* mean_s q_s (log q_s - ls): the class's part of mean KL(q_s || qbar) */
};

static struct column column_of(const double *log_q, size_t s, size_t stride)
{
    double top = log_q[0], sum = 0, total = 0, kl = 0;
    struct column c;

    for (size_t i = 0; i < s; i++) {
        top = fmax(top, log_q[i * stride]);
        sum += log_q[i * stride];
    }
    for (size_t i = 0; i < s; i++)
        total += exp(log_q[i * stride] - top);
    c.l1 = sum / (double)s;
    /* Jensen (E1) holds in numbers too, also where all passes agree and rounding would have it the other way */
    c.ls = fmax(top + log(total / (double)s), c.l1);
    for (size_t i = 0; i < s; i++)
        kl += exp(log_q[i * stride]) * (log_q[i * stride] - c.ls);
    c.kl_share = kl / (double)s;
    return c;
}

/* BALD is summed as a mean of divergences and not as a difference of entropies, which would cancel for small noise. */
void info_noise(const double *log_q, const double *log_t, size_t s, size_t k, double *l1, double *ls,
                struct info_noise *noise)
{
    double uniform = -log((double)k), lower = 0, spread = 0;

    for (size_t y = 0; y < k; y++) {
        struct column c = column_of(log_q + y, s, k);
        lower += exp(c.ls) * (c.ls - (log_t != NULL ? log_t[y] : uniform));
        spread += c.kl_share;
        if (l1 != NULL)
            l1[y] = c.l1;
        if (ls != NULL)
            ls[y] = c.ls;
    }
    noise->information[0] = fmax(lower, 0);
    noise->information[1] = noise->information[0] + fmax(spread, 0);
    noise->model_information = noise->information[1] - noise->information[0];
}
