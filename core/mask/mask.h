/* Where the information about a class is: class maps, the evidence gate, the graph of cells, thresholds, regions.
 *
 * Arrays in, arrays out: no network is run and no photo is touched here (docs/masks.md tells the whole chain).
 * Shapes: h x w the grid of the network's last features, n = h w its cells (or those of a finer grid), d features,
 * K classes.  Maps are row-major.  Nats throughout.  Everything is serial and deterministic; functions are reentrant.
 */
#ifndef INFOMASK_MASK_MASK_H
#define INFOMASK_MASK_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/kernels/kernels.h"

/* ---- Class maps of a pooled linear head -------------------------------------------------------------------------- */

/* z = scale (W mean(f) + b): the logits.  All arrays are borrowed. */
struct mask_head {
    const float *w; /* [K, d]; NULL: f are the cells' logits themselves, W is one and b zero, d is K */
    const float *b; /* [K]; not read where w is NULL, nor are mean_w and mean_b */
    bool binary;    /* each class is a question of its own: z is its log odds */
    int classes, features;
    double scale;        /* 1 / temperature */
    const float *mean_w; /* [d] mean over the classes (mask_head_mean) */
    double mean_b;
    const struct kernel_weights *packed; /* W and b for the table that mask_window_pmi is given */
};
/* mean_w[j] = mean_c w[c, j]; returns mean_c b[c].  Once a model. */
double mask_head_mean(const float *w, const float *b, int classes, int features, float *mean_w);

/* A target: a class, or a set of classes G asked about as one.  With z' = z + log t - log r the shifted logits of the
 * whole photo and a = softmax of z' within G,  LSE_G(z') = sum_k a_k z'_k + H(a)  exactly, so that the maps of a set
 * are those of a class whose weights are sum_k a_k w_k. */
struct mask_set {
    const int *members;  /* [count], in rising order */
    int count;
    const double *share; /* a [count]; NULL for one class */
    double log_prior;    /* log t(G), t(G) = sum of t over G; not needed for one class unless it is binary */
    double odds;         /* binary: log r - log (1 - r) of the prior r that is inside the logits */
};
/* One class; target is borrowed. */
struct mask_set mask_set_one(const int *target);
bool mask_set_has(const struct mask_set *set, int class);
/* log p(G) = LSE of log_p over the members; the same for a prior. */
double mask_set_log_sum(const struct mask_set *set, const double *log_p);
/* a from log p(y|x) [K] under the prior asked about. */
void mask_set_share(const struct mask_set *set, const double *log_p, double *share);

/* m(u) = scale sum_k a_k (w_k . f(u) + b_k), shifted so that the mean is the PMI of the pass.  Of one class m_y of F3
 * (information.md 4: l_y(u) - log r_y - LSE(z + log t - log r) = l_y(u) - z_y + i_t(x; y)); of a set
 * sum_k a_k l'_k(u) + H(a) - LSE(z') - log t(G).  Fails only for memory. */
enum infomask_status mask_information(const struct mask_head *head, const struct mask_set *set, const float *f, int n,
                                      double pmi, double *cells, struct infomask_error *err)
    __attribute__((warn_unused_result));

enum mask_method { MASK_INFOCAM, MASK_CAM, MASK_INFOCAM_PLUS, MASK_GRADCAM_PP, MASK_LAYERCAM };

/* The map that finds the object (its positive part makes the seeds), [n]:
 *   INFOCAM       scale K/(K-1) ((w_t - mean_c w_c) . f(u) + b_t - mean b): local logit over the mean of the others',
 *                 nats; of a binary class scale (w_t . f(u) + b_t) - odds, the log-likelihood ratio of its being there,
 *                 which the same formula gives for two classes
 *   CAM           w_t . f(u), whose positive part is Grad-CAM = HiResCAM = XGrad-CAM for such a head
 *   INFOCAM_PLUS  (not of binary classes) scale ((w_t - w_k) . f(u) + b_t - b_k), k = `other`: D_{t,k} of F2, nats
 *   GRADCAM_PP    sum_j max(w_tj, 0) / (2 + w_tj mean(f_j)) f_j(u)   (Chattopadhyay et al. 2018 in closed form)
 *   LAYERCAM      max(sum_j max(w_tj, 0) f_j(u), 0)   (Jiang et al. 2021)
 * Of a set w_t is sum_k a_k w_k, infoCAM's contrast is the mean of the weights outside of it, and for the last two,
 * which are of gradients, w_t is the gradient of log p(G|x), sum_k a_k w_k - sum_j p_j w_j.
 * log_p [K]: of the pass; may be NULL for one class.  Fails only for memory. */
enum infomask_status mask_class_map(const struct mask_head *head, enum mask_method method, const struct mask_set *set,
                                    int other, const double *log_p, const float *f, int n, float *map,
                                    struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The contrast class of INFOCAM_PLUS: the least likely of the best 200 of z [K] (all, if there are fewer) that is not
 * in the set; where all of these are, the likeliest outside.  -1: the set has every class. */
int mask_other_class(const float *z, int classes, const struct mask_set *set);

/* Window PMI [h, w] for each of `sets`: PMI of the head on the mean of f over k x k cells (k odd; reflected at the
 * border).  offset [K] (NULL: zeros) = log t - log r, of binary classes that of the odds; log_r [K] NULL: uniform.
 * out[i] is the map of sets[i]. */
struct mask_window {
    int window;            /* k */
    const float *offset;   /* [K] or NULL */
    const double *log_r;   /* [K] or NULL */
    double smoothing;      /* label smoothing in the logits, inverted; 0: none */
    /* NULL: by head->packed.  Else logits z [n, K], before the head's scale, of rows of features [n, head->features] */
    enum infomask_status (*logits)(const void *context, const float *rows, int n, float *z, struct infomask_error *err);
    const void *context;
};
enum infomask_status mask_window_pmi(const struct mask_head *head, const struct kernel_table *kernels,
                                     const struct mask_window *window, const float *f, int h, int w,
                                     const struct mask_set *sets, int count, float *const *out,
                                     struct infomask_error *err)
    __attribute__((warn_unused_result));

/* gate = clip(win / g, 0, 1), g = min(1, most / 2) nats; most: the largest PMI there can be, log K or -log t(G). */
void mask_gate(const float *win, int n, double most, float *gate);

/* ---- A place and its surroundings -------------------------------------------------------------------------------- */

/* share [rows, columns]: how much of each cell's rectangle of the picture mask [h, w] covers, 0..1 (255 is all of a
 * pixel); the cells part the picture evenly, pixels on a border counting for both sides by their parts.  Fails only for
 * memory. */
enum infomask_status mask_cover(const uint8_t *mask, int h, int w, int rows, int columns, double *share,
                                struct infomask_error *err) __attribute__((warn_unused_result));
enum mask_place {
    MASK_REGION, /* the cells under the mask, each weighted by its covered share */
    MASK_CONTEXT /* the cells less than half covered, by their uncovered share */
};
#define MASK_PLACE_LEAST 0.5 /* cells: of less there is nothing to say */
/* mean [d] of f [n, d] over the place, in double; returns the weight in cells.  Under MASK_PLACE_LEAST mean is not
 * written. */
double mask_place_mean(enum mask_place place, const double *share, const float *f, int n, int d, float *mean);
/* How far what share [n] covers lies in other cells than what it leaves: the total variation distance between the two
 * over the cells; 1 if every cell is covered wholly or not at all, 0 if all are alike.  NAN where either is under
 * MASK_PLACE_LEAST. */
double mask_place_apart(const double *share, int n);

/* ---- The graph of cells ------------------------------------------------------------------------------------------ */

/* A tensor inside the network, [h, w, c]; h 0: there is none. */
struct mask_tensor {
    int h, w, c;
};
struct mask_part {
    int tensor; /* its number */
    double weight;
};
#define MASK_LEVELS 3
/* Which of the tensors [count], residual sums in network order, link the cells; weight [MASK_LEVELS] of those at a
 * quarter and half of the last stride and at it.  The last of each channel count at the former two, and the last one at
 * the latter.  Where those at half of the stride are all alike, the last of them is so deep that cells beside the
 * object see the object, and the first one joins it.  What has as many channels as the features [h, w, c], which the
 * head pools (c 0: it does not), is deeper still: at the last stride it is left out where there is another.  Returns
 * how many parts [count] were written. */
int mask_parts(const struct mask_tensor *tensors, int count, const struct mask_tensor *features, const double *weight,
               struct mask_part *parts);
/* Writes one tensor's part of the cells' vectors: t [n, c] (n cells of the graph's grid), each channel
 * (v - mean) / (std + 1e-3) over the cells, each cell divided by its length and times sqrt(weight), to columns
 * [at, at + c) of x [n, total]. */
enum infomask_status mask_cells_part(const float *t, int n, int c, double weight, float *x, int total, int at,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
/* Each row of x [n, total] divided by its length. */
void mask_cells_unit(float *x, int n, int total);

/* A_ij = max(x_i . x_j, 0)^4 exp(-|lab_i - lab_j|^2 / (2 30^2)) for j >= i (the rest is left as it is); lab [3, n],
 * a [n, n]. */
void mask_affinity(const struct kernel_table *kernels, const float *x, int n, int total, const float *lab, float *a);

/* q = sigmoid(6 (s - centre)), k = (2 q - 1)^2, L = (0.01 / 0.99) d k / mean k, d = row sums of A; solves
 * (diag(d + L) - A) p = L q by conjugate gradients and scales p to 0..1; seeds that are all alike are
 * p themselves.  a: the upper triangle.  *steps (may be NULL): iterations. */
enum infomask_status mask_spread(const float *a, int n, const float *seeds, double centre, float *p, int *steps,
                                 struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* m = max(m, 0) / max(m), in place; all zeros stay zeros. */
void mask_normalise(float *m, size_t n);
/* m = 1 / (1 + exp(-slope (m - centre))), in place. */
void mask_sigmoid(float *m, size_t n, float slope, float centre);
/* Otsu's threshold of values clipped to 0..1: 256 bins, (bin + 0.5) / 256. */
double mask_otsu(const float *m, size_t n);
/* The threshold between object and ground in soft [n], with seeds [n] 0..1: 1.1 times Otsu's; or the same of the values
 * above that, where these are a small bright part with the seeds and a large faint one without them, which is ground
 * that looks somewhat like the object. */
double mask_object_threshold(const float *soft, const float *seeds, size_t n);
/* Raises x and gate (which may be NULL) [h, w] to one half and more where saliency [h, w] shows thin parts that the
 * mask, x and gate of at least one half, leaves out: no wider than 14 pixels, .17 more salient than what is beside
 * them, and hanging together with the mask.  Fails only for memory. */
enum infomask_status mask_limbs(const float *saliency, int h, int w, float *x, float *gate, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The value of the last cell taken when cells are taken by falling value until they hold `share` of the sum of the
 * positive ones; INFINITY if none is positive. */
enum infomask_status mask_share_threshold(const float *m, int n, double share, double *threshold,
                                          struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Regions ----------------------------------------------------------------------------------------------------- */

struct mask_region {
    int x, y, width, height;
    size_t pixels;
    int peak_x, peak_y; /* first pixel in reading order with the largest value */
    float peak;
    double sum;    /* of the positive values */
    double signed_sum; /* of all values */
    double sum_x, sum_y; /* of the pixels' columns and rows */
};
struct mask_regions {
    struct mask_region *region; /* by falling number of pixels, ties by position; owned */
    int count;
    size_t pixels;  /* set */
    double inside;  /* sum of the positive values under the mask */
    double total;   /* and over the whole picture */
};
/* 8-connected regions of the set pixels of mask [h, w].  Values come row by row from `value` (NULL: zeros), so that
 * beside the mask only two rows of runs and the regions met so far are in memory.  Of more than `most` regions the
 * largest are kept. */
typedef void mask_value_row(void *context, int y, float *row);
enum infomask_status mask_regions_find(const uint8_t *mask, int h, int w, mask_value_row *value, void *context,
                                       int most, struct mask_regions *regions, struct infomask_error *err)
    __attribute__((warn_unused_result));
void mask_regions_fini(struct mask_regions *regions);

/* Specks of fewer than `least` pixels leave the mask [h, w] (0 or 255), then holes of fewer are filled; the largest
 * region always stays.  In place. */
enum infomask_status mask_tidy(uint8_t *mask, int h, int w, size_t least, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Canvases: strokes are the 8-connected regions of MASK_STROKE pixels; fainter pixels beside them, MASK_RIM, go with
 * them when they are painted. */
enum { MASK_RIM = 1, MASK_STROKE = 255 };
struct mask_strokes {
    struct mask_region *region; /* by their first pixels in reading order; owned */
    int count;
    int *stroke; /* [runs] which one each run of pixels belongs to, in reading order; owned */
    size_t runs;
};
enum infomask_status mask_strokes_find(const uint8_t *marks, int h, int w, mask_value_row *value, void *context,
                                       struct mask_strokes *strokes, struct infomask_error *err)
    __attribute__((warn_unused_result));
void mask_strokes_fini(struct mask_strokes *strokes);
/* out [h, w] is 255 on every stroke that is taken and on its rim, else 0.  marks: those that the strokes were found in;
 * out may be marks. */
enum infomask_status mask_strokes_paint(const struct mask_strokes *strokes, const uint8_t *marks, int h, int w,
                                        const bool *taken, uint8_t *out, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
