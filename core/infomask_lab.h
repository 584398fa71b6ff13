/* For whoever measures networks and masks: scores of masks, raw tensors, maps of cells, features, operations, times
 * (infomask run, bench, evaluate, train, and protocol v2).
 *
 * Nats, statuses and thread rule as in infomask.h.
 */
#ifndef INFOMASK_LAB_H
#define INFOMASK_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/infomask_mask.h"

/* ---- Evaluating masks -------------------------------------------------------------------------------------------- */

#define INFOMASK_BOX_LEVELS 100

/* Scores of one photo's mask, all at the working size (longest side 224). */
struct infomask_mask_score {
    double pixel_ap;  /* average precision of the saliency's ranking of the pixels */
    double iou;       /* of mask and truth */
    bool pointing;    /* the most salient pixel lies on the truth */
    float box_iou[INFOMASK_BOX_LEVELS]; /* box of the largest region over level / 100 of the maximum, and the truth's */
    /* Faithfulness, by the model; NAN unless asked for.  Areas under curves over 20 steps, in nats of PMI: */
    double deletion;  /* the most salient pixels go first; low is good */
    double insertion; /* they come first, into the photo blurred to a tenth of its side; high is good */
    double road;      /* PMI without the least salient fifth less PMI without the most salient fifth; high is good */
    double drop;      /* max(0, p - p') / p, p' of the photo weighted by the saliency */
    bool increase;    /* p' > p */
};

/* [h, w], borrowed. */
struct infomask_ranking {
    const float *values; /* a saliency of any size and any range */
    int h, w;
};
struct infomask_truth {
    const uint8_t *pixels; /* not 0 on the object */
    int h, w;
};

/* mask [height, width] of the photo or NULL: then Otsu of the saliency. */
enum infomask_status infomask_score_mask(const struct infomask_photo *photo, const struct infomask_ranking *saliency,
                                         const uint8_t *mask, const struct infomask_truth *truth,
                                         struct infomask_mask_score *score, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Fills the second half of the score; about 45 passes. */
enum infomask_status infomask_score_faithfulness(struct infomask_session *session, struct infomask_photo *photo,
                                                 const struct infomask_classification *classification, int target,
                                                 const struct infomask_ranking *saliency,
                                                 struct infomask_mask_score *score, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The saliency of a mask at its working size; borrowed from the mask. */
const float *infomask_mask_saliency(const struct infomask_mask *mask, int *h, int *w);
/* A grey picture (PNG, JPEG, WebP; luma of 8 bits) as floats in 0..1, malloc'ed: somebody's map, or a truth. */
enum infomask_status infomask_read_map(const void *bytes, size_t size, float **map, int *h, int *w,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Looking at a model file ------------------------------------------------------------------------------------- */

struct infomask_inspection {
    bool nhwc;
    int channels, height, width; /* 0: any size */
    size_t outputs;              /* numbers for each picture, of the output asked for */
    char others[160];            /* the file's other outputs, each in quotes; "": there is one */
    enum infomask_output_kind
        head;                    /* how the output ends: in a softmax or sigmoid of its own, or in neither (LOGITS) */
    bool normalises;             /* the first layers scale and shift the input themselves */
    bool takes_bytes;            /* then: they expect 0..255, not 0..1 */
    bool whole_numbers;          /* the input is of integers: bytes, from which nothing may be subtracted before */
    bool takes_unit;             /* who made the file makes networks that take 0..1 (ultralytics) */
    float darkest, lightest;     /* 0..1, 0..255, -1..1: as metadata say (Image.NominalPixelRange); both 0: not */
    bool blue_first;             /* BGR, as they say (Image.BitmapPixelFormat) */
    char *classes;               /* the file's own names of its classes, a line each; free() it; NULL: none */
};
/* Reads the file without running it.  output: a tensor's name, NULL: the first.  What infomask_model_load would say of
 * a file that cannot be read; UNSUPPORTED_MODEL for an input that is no picture. */
enum infomask_status infomask_inspect(const char *path, const char *output, struct infomask_inspection *found,
                                      struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Raw tensors (infomask run, bench, protocol v2) -------------------------------------------------------------- */

/* n images of h x w in the model's own input layout (spec.nhwc, else NCHW), normalised by the caller; borrowed. */
struct infomask_images {
    const float *data;
    int n, h, w;
};
/* output [n, classes]: the network's own output, no temperature. */
enum infomask_status infomask_run(struct infomask_session *session, const struct infomask_images *input, float *output,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

/* The map of the pass that classified: infoCAM, [rows, columns] nats per cell whose mean is the target's PMI. */
struct infomask_cells {
    int target, rows, columns;
    double *values; /* owned */
};
void infomask_cells_fini(struct infomask_cells *cells);

/* infomask_run's tensors, classified: results [n], and with cells [n] (may be NULL) the maps of `target` (-1: each
 * item's best class).  options->samples must be 0.  INFOMASK_NO_CLASS_MAP if there are no maps to give. */
enum infomask_status infomask_classify_tensor(struct infomask_session *session, const struct infomask_images *input,
                                              const struct infomask_classify_options *options, int target,
                                              struct infomask_classification *results, struct infomask_cells *cells,
                                              struct infomask_error *err) __attribute__((warn_unused_result));
/* The same for a photo, seen as infomask_classify sees it. */
enum infomask_status infomask_classify_cells(struct infomask_session *session, struct infomask_photo *photo,
                                             const struct infomask_classify_options *options, int target,
                                             struct infomask_classification *result, struct infomask_cells *cells,
                                             struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Features (infomask train) ----------------------------------------------------------------------------------- */

/* How a photo is looked at: its centred square of `crop` of the shorter side (0: the model's own view), or its mirror
 * image. */
struct infomask_look {
    double crop;
    bool mirrored;
};
/* What the pooled linear head sees: the mean over the map's cells, features [infomask_model_info.features].
 * INFOMASK_NO_CLASS_MAP for a model without such a head. */
enum infomask_status infomask_features(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_look *look, float *features, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The photo's centred square at width x height, as a model of that input sees it: 8-bit RGB, or luma if `gray`;
 * pixels [height][width][3 or 1]. */
enum infomask_status infomask_photo_pixels(struct infomask_photo *photo, int width, int height, bool gray,
                                           uint8_t *pixels, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* RGB pixels [height][width][3] as a JPEG. */
enum infomask_status infomask_pixels_jpeg(const uint8_t *pixels, int width, int height,
                                          struct infomask_encoded *encoded, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- Operations and times ---------------------------------------------------------------------------------------- */

/* Floating-point operations of one h x w item (a multiplication and an addition are two), of its convolutions and
 * linear layers; read from the file anew. */
enum infomask_status infomask_model_flops(const struct infomask_model_spec *spec, int height, int width, double *flops,
                                          struct infomask_error *err) __attribute__((warn_unused_result));

struct infomask_bench_options {
    int width, height, batch;
    double seconds; /* at least 3 runs are made */
};
struct infomask_bench_result {
    int runs;
    double min_ms, median_ms; /* of one run: the whole batch */
    double peak_gflops;       /* of a product in the cache, in the session's precision, on all threads of its pool */
};
/* Times the network alone, on noise. */
enum infomask_status infomask_bench(struct infomask_session *session, const struct infomask_bench_options *options,
                                    struct infomask_bench_result *result, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
