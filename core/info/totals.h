/* What a labelled data set adds up to: sums from which its information is reported, whatever the number of samples.
 *
 * All sums are exact under merge (core/info/exact.h).  K classes; log q is the log-posterior under the estimate's prior
 * t (core/info/info.h).  An object belongs to one thread at a time.
 */
#ifndef INFOMASK_INFO_TOTALS_H
#define INFOMASK_INFO_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/info/exact.h"

#define INFO_BINS 15 /* of the confidence, equally wide */

/* Inverse temperatures of the grid: b_j = 2^((j - 12) / 4), 1/8 to 8. */
#define INFO_GRID 25
double info_grid_beta(int j);

/* The least log q that a sum takes in: a network that gives the true label less than exp(-1e6) is counted as that. */
#define INFO_LOG_Q_FLOOR (-1e6)

/* How logits become a posterior: p_t(y|x) = softmax(z + log t - log r), after smoothing of eps is inverted. */
struct info_lens {
    size_t classes;
    double *log_t, *log_r; /* [classes] */
    double *weight;        /* [classes] t / r, scaled to a maximum of 1 */
    double smoothing;      /* eps */
};
/* Priors are natural, positive and finite, and get normalised; NULL is uniform.  Fails with ARGUMENT or MEMORY. */
enum infomask_status info_lens_init(struct info_lens *lens, size_t classes, const double *prior,
                                    const double *logit_prior, double smoothing, struct infomask_error *err)
    __attribute__((warn_unused_result));
void info_lens_fini(struct info_lens *lens);

/* What is known of one labelled sample. */
struct info_sample {
    uint64_t order; /* hash of its id (info_order) */
    uint32_t label, predicted;
    double log_q, pmi;           /* of the label; log_q >= INFO_LOG_Q_FLOOR; pmi = log_q - log t */
    double information, entropy; /* KL(q || t), H(q) */
    double confidence;           /* q of the predicted class */
};

/* The place of a sample in the order in which limits are computed: a hash of the id's bytes, the same everywhere. */
uint64_t info_order(const char *id);

struct info_class_totals {
    uint64_t samples, correct;
    struct info_exact log_q, log_q2; /* sums of log q and its square over the samples of the class */
};

struct info_grid_totals { /* of the cross-entropy CE(b) of softmax(b z + log t - log r), and its derivatives by b */
    struct info_exact ce, slope, curvature;
};

struct info_bin_totals {
    uint64_t samples, correct;
    struct info_exact confidence;
};

struct info_totals {
    uint64_t samples, correct;
    struct info_exact information, information2, entropy, brier;
    struct info_bin_totals bins[INFO_BINS];
    struct info_grid_totals grid[INFO_GRID];
};

/* Adds one sample: z [K] logits as the network gave them, label < K, scratch [2 K].  sample (may be NULL) is filled,
 * but for `order`. */
void info_totals_add(struct info_totals *totals, struct info_class_totals *classes, const struct info_lens *lens,
                     const float *z, uint32_t label, double *scratch, struct info_sample *sample);

/* into += from */
void info_totals_merge(struct info_totals *into, const struct info_totals *from);
void info_class_totals_merge(struct info_class_totals *into, const struct info_class_totals *from);

/* As bytes, little-endian, the same on every machine.  Unpack refuses totals that no samples could have made. */
#define INFO_TOTALS_BYTES (16 + 4 * 16 + INFO_BINS * 32 + INFO_GRID * 48)
#define INFO_CLASS_TOTALS_BYTES 48
void info_totals_pack(const struct info_totals *totals, uint8_t *bytes);
bool info_totals_unpack(struct info_totals *totals, const uint8_t *bytes, size_t size);
void info_class_totals_pack(const struct info_class_totals *totals, uint8_t *bytes);
bool info_class_totals_unpack(struct info_class_totals *totals, const uint8_t *bytes, size_t size);

#endif
