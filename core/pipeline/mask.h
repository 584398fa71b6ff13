/* How a mask is made (docs/masks.md), in the order of the files: the plan of one request (mask.c), one chain a target
 * at working size (chain.c, occlusion.c), and the photo's own pixels (paint.c; strokes.c for canvases).  Private to
 * core/pipeline.
 *
 * Working size: the photo with its longest side at 224.  Nothing here grows with the photo but the mask's bytes.
 */
#ifndef INFOMASK_PIPELINE_MASK_H
#define INFOMASK_PIPELINE_MASK_H

#include "core/image/pixels.h"
#include "core/infomask_mask.h"
#include "core/mask/mask.h"
#include "core/pipeline/pipeline.h"

#define WORKING_SIDE 224

/* What a quality preset fixes beside the resolution. */
struct chain_preset {
    double centre;        /* of the seeds' sigmoid */
    double weight[3];     /* of the tensors at a quarter, half and the whole of the last stride; 0: left out */
    int radius[2];        /* of the sharpening guided filters */
};

#define MASK_EVIDENCE 0.29 /* of log K: the largest window PMI below which nothing is masked */

/* Where the pass of the whole photo comes from, and what becomes of its features. */
enum mask_pass {
    MASK_PASS,      /* it is made */
    MASK_PASS_KEPT, /* it is made, and its features are kept for who will ask the same photo again */
    MASK_PASS_LIES  /* the session's last pass was this photo's, in this view and with taps: it is not made again */
};

/* One request: what was asked for, resolved against the model. */
struct mask_plan {
    struct infomask_session *session;
    struct infomask_photo *photo;
    const struct infomask_classification *classification;
    const struct infomask_mask_options *options;
    const struct chain_preset *preset;
    struct image_view view; /* of the pass that makes the map */
    enum infomask_threshold_rule rule;
    double rule_value;
    double min_evidence; /* nats; of groups plan_evidence */
    bool evidence_given; /* by the request: it stands for groups as well */
    bool evidence_default; /* neither by the request nor by the model's folder */
    int window;          /* cells */
    bool strokes;        /* a canvas of strokes on a flat background: window PMI averaged over each stroke */
    const int *targets;
    int count;
    enum mask_pass pass;
};

/* What a target's pixels are cut from: where `x` enlarged is at least `level` and the gate, if there is one, .5. */
struct mask_layer {
    bool empty;
    int h, w;
    float *x;    /* [h, w] */
    float *gate; /* [h, w] or NULL */
    double level;
    double threshold;     /* to report, in the unit of the rule */
    float *saliency;      /* [saliency_h, saliency_w] 0..1 */
    int saliency_h, saliency_w;
    bool strokes; /* cut by connected strokes of the photo, not by pixels */
};

/* The features of a pass over the whole photo, before the pooling. */
struct place_map {
    int rows, columns, d;
    const float *f; /* [rows, columns, d]; NULL: the model has no pooled head, or they were not kept */
    float *owned;   /* f, or NULL where they lie in the session */
};

/* The layers of all targets; kept with the mask for its pictures. */
struct infomask_saliency {
    int h, w;      /* of values */
    float *values; /* [h, w] maximum over the targets, 0..1 */
    struct mask_layer *layers;
    int count;
    struct place_map place; /* where the plan keeps it */
};

/* The pass and every target's chain: fills maps[i] and layers[i] for i in [0, plan->count), which are zeroed, and place
 * if the features are kept. */
enum infomask_status chain_run(const struct mask_plan *plan, struct infomask_map *maps, struct mask_layer *layers,
                               struct place_map *place, struct infomask_timing *timing, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Those of the session's last pass with taps, as they lie there until the next one; and a copy. */
struct place_map place_map_lying(const struct infomask_session *session);
enum infomask_status place_map_copy(const struct place_map *from, struct place_map *to, struct infomask_error *err)
    __attribute__((warn_unused_result));
void place_map_fini(struct place_map *place);
/* infomask_mask; pass: as in the plan. */
enum infomask_status mask_make(struct infomask_session *session, struct infomask_photo *photo,
                               const struct infomask_classification *classification,
                               const struct infomask_mask_options *options, enum mask_pass pass,
                               struct infomask_mask *mask, struct infomask_error *err)
    __attribute__((warn_unused_result));
void mask_layer_fini(struct mask_layer *layer);

/* Occlusion (Zeiler and Fergus 2014) in nats: the PMI that is lost when a window is painted in the photo's mean colour,
 * averaged over the windows that cover a cell; map [rows, columns] is malloc'ed, one a target. */
enum infomask_status occlusion_maps(const struct mask_plan *plan, float **maps, int *rows, int *columns,
                                    struct infomask_timing *timing, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The whole photo resampled to h x w 8-bit RGB (bilinear with antialiasing), as floats in 0..1; rgb malloc'ed.  Made
 * from the picture that the pass was made from. */
enum infomask_status paint_guide(const struct mask_plan *plan, int h, int w, float **rgb,
                                 struct infomask_timing *timing, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Cuts mask->pixels from the layers, finds the objects and the shares. */
enum infomask_status paint_mask(const struct mask_plan *plan, struct infomask_mask *mask, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* mask->pixels are those that were given. */
enum infomask_status own_mask_paint(const struct mask_plan *plan, struct infomask_mask *mask,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
/* Objects, area and share anew from mask->pixels. */
enum infomask_status paint_measure(struct infomask_mask *mask, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Is the photo strokes on a flat background?  Then marks [height, width] (may be NULL) is MASK_STROKE on the strokes
 * and MASK_RIM on fainter pixels. */
enum infomask_status strokes_mark(struct infomask_photo *photo, struct pool *pool, uint8_t *marks, bool *flat,
                                  struct infomask_timing *timing, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Cuts mask->pixels of a canvas: the strokes of each target, whole.  Runs the network. */
enum infomask_status strokes_paint(const struct mask_plan *plan, struct infomask_mask *mask, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Only the view of the pass that makes the map. */
enum infomask_status plan_view(struct mask_plan *plan, struct infomask_error *err) __attribute__((warn_unused_result));

/* PMI of the targets from one row of network output, or of logits, under the prior asked about. */
enum infomask_status plan_pmi(const struct mask_plan *plan, const float *output, double *pmi,
                              struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status plan_pmi_of_logits(const struct mask_plan *plan, const float *logits, double *pmi,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
/* The same from log p(y|x) [classes], which plan_posterior makes of a row of network output. */
enum infomask_status plan_posterior(const struct mask_plan *plan, const float *output, double *log_p,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
void plan_pmi_of_posterior(const struct mask_plan *plan, const double *log_p, double *pmi);
/* Target i as a set, without shares. */
struct mask_set plan_set(const struct mask_plan *plan, int i);
/* Window PMI of each of sets [count] from the features of a pass: window[i] [h, w] is malloc'ed. */
enum infomask_status plan_windows(const struct mask_plan *plan, const struct engine_tap *features,
                                  const struct mask_set *sets, float **window, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The largest one of each target, [count], in the session's last pass with taps; for models with a pooled head. */
enum infomask_status plan_largest_windows(const struct mask_plan *plan, double *largest, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The rule of the threshold, the least evidence and the window: of the request, else of the model's folder. */
enum infomask_status plan_rules(struct mask_plan *plan, struct infomask_error *err) __attribute__((warn_unused_result));
/* The least evidence that target i needs. */
double plan_evidence(const struct mask_plan *plan, int i);

/* INFOMASK_DEADLINE if the photo's time is over. */
enum infomask_status plan_expired(const struct infomask_photo *photo, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
