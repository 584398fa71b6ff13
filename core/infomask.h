/* infomask: a photo in; class probabilities, nats, a mask and a filtered photo out.
 *
 * The public face of the numeric core (libinfomask.a): no HTTP, no JSON, no configuration, no global state.  The nouns:
 *   pool     the compute threads of the process (core/base/pool.h), made once and handed in;
 *   model    a network, immutable and shared by all threads;
 *   session  what one worker needs to run a model; one thread at a time;
 *   photo    the bytes of one upload and what was decoded of them; one thread at a time.
 * Everything is in nats and in double; a caller converts to bits.  Class priors are natural.  Every call that can
 * fail returns a status and fills err with a sentence for the user (core/base/status.h).
 */
#ifndef INFOMASK_H
#define INFOMASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"

#define INFOMASK_VERSION "0.1.0"

/* ---- Photos ------------------------------------------------------------------------------------------------------ */

struct infomask_limits {
    size_t max_pixels;     /* default 40,000,000 */
    int max_side;          /* 16,384 */
    int min_side;          /* 8 */
    int max_scans;         /* of a progressive JPEG: 100 */
    size_t decoder_memory; /* 256 MiB */
    /* polled during long work, perhaps by two threads at a time; true ends it with INFOMASK_DEADLINE.  May be NULL */
    bool (*expired)(void *context);
    void *deadline_context;
};
struct infomask_limits infomask_default_limits(void);

struct infomask_photo_info {
    const char *format;            /* "jpeg", "png", "webp" */
    int width, height;             /* as a viewer shows it */
    int orientation;               /* EXIF 1..8 */
    bool alpha;
};

struct infomask_photo;

/* Looks at the header only; the bytes are borrowed until infomask_photo_close.  Decoding happens on first need, once,
 * and only as far as the request needs. */
enum infomask_status infomask_photo_open(const void *bytes, size_t size, const struct infomask_limits *limits,
                                         struct infomask_photo **photo, struct infomask_error *err);
void infomask_photo_close(struct infomask_photo *photo);
const struct infomask_photo_info *infomask_photo_info(const struct infomask_photo *photo);
/* Says, before anything is decoded, that all of the photo will be needed (a mask or a filter follows): one decode. */
void infomask_photo_whole(struct infomask_photo *photo);

/* ---- Models ------------------------------------------------------------------------------------------------------ */

/* AUTO: who reads a model's folder chooses by what it records; a spec never holds it. */
enum infomask_precision { INFOMASK_F32, INFOMASK_BF16, INFOMASK_INT8, INFOMASK_AUTO };
#define INFOMASK_PRECISIONS 3
enum infomask_color { INFOMASK_RGB, INFOMASK_BGR, INFOMASK_GRAY };
enum infomask_fit { INFOMASK_CROP, INFOMASK_SQUASH };

/* The plain values of a model folder's model.json (api.md section 4).  Strings and arrays are copied. */
struct infomask_model_spec {
    const char *path;   /* the ONNX file */
    const char *output; /* tensor name, or NULL: the file's first output */
    bool probabilities; /* the output is probabilities, not logits */
    size_t labels;      /* lines of labels.txt; must equal the network's outputs; 0: not checked */

    int width, height; /* the training view */
    enum infomask_color color;
    bool nhwc;                /* the file's input layout is NHWC (for raw tensors only) */
    enum infomask_fit fit;
    double crop;              /* of the shorter side */
    int resize_width, resize_height; /* INFOMASK_SQUASH: first to this size; 0: straight to width x height */
    const char *resize;       /* "bicubic", "bilinear", "nearest", "lanczos" */
    float mean[3], std[3];    /* of 0..255 values */

    const double *prior;       /* [labels] training prior, or NULL: uniform */
    const double *logit_prior; /* [labels] what is inside the logits, or NULL: by objective */
    bool pc_softmax;           /* objective: logit prior defaults to uniform instead of prior */
    double label_smoothing;    /* inverted before any PMI; 0: none */
    double temperature;        /* logits are divided by it; 0 or 1: none */
    float dropout;             /* noise before the head when samples are asked for; 0: none */
    const char *isa;           /* "ref", "blas", "avx2", "avx512", "amx"; NULL: the best here */
    enum infomask_precision precision;
    const char *int8_path;     /* INFOMASK_INT8: the file of its weights (infomask_quantize) */
    size_t arena_limit;        /* bytes per session; 0: 256 MiB */

    /* The folder's own mask settings; 0 or NULL: the built-in ones. */
    const char *mask_threshold; /* as the parameter `threshold` */
    int mask_resolution;        /* side of the square with the pass's area; -1: native, if memory allows */
    double mask_min_evidence; /* nats; NAN or 0: 0.29 log K */
    int mask_window;          /* cells of the window PMI: 0: 5 */
};
/* Spec with every default filled in (224 x 224 RGB, crop 0.875 bicubic, mean 0, std 1, softmax, uniform prior). */
struct infomask_model_spec infomask_default_spec(void);

struct infomask_model;

struct infomask_model_info {
    size_t classes;
    int width, height, channels;
    int stride;       /* input pixels per map cell */
    bool class_map;   /* pooled linear head: infocam and its kin work; else only occlusion */
    size_t features;  /* inputs of that head; 0: there is none */
    bool noise;       /* samples can be asked for */
    bool fixed_size;
    char sha256[65];  /* of the model file */
    const char *isa;
    const char *precision; /* "f32", "bf16", "int8" */
    size_t weight_bytes;
    double prior_entropy; /* H(prior), nats */
};

enum infomask_status infomask_model_load(const struct infomask_model_spec *spec, struct infomask_model **model,
                                         struct infomask_error *err);
void infomask_model_free(struct infomask_model *model); /* no session may be left */
const struct infomask_model_info *infomask_model_info(const struct infomask_model *model);

struct infomask_session;
/* pool: whose idle threads help; NULL: none. */
enum infomask_status infomask_session_create(struct infomask_model *model, struct pool *pool,
                                             struct infomask_session **session, struct infomask_error *err);
void infomask_session_free(struct infomask_session *session);
void infomask_session_trim(struct infomask_session *session); /* when idle: back to the arena of the training view */
size_t infomask_session_bytes(const struct infomask_session *session);

/* ---- Results ----------------------------------------------------------------------------------------------------- */

struct infomask_timing { /* milliseconds */
    double decode, preprocess, network, information, map, mask, fill, encode;
};

/* The prior asked about. */
struct infomask_prior {
    enum { INFOMASK_PRIOR_TRAIN, INFOMASK_PRIOR_UNIFORM, INFOMASK_PRIOR_GIVEN } kind;
    const double *p; /* GIVEN: [classes], positive, summing to 1 */
};

struct infomask_classify_options {
    struct infomask_prior prior;
    int samples; /* 0..256 noisy passes; INFOMASK_NO_NOISE for a model without noise */
    uint64_t seed;
};

/* All arrays are [classes] and belong to the result. */
struct infomask_classification {
    size_t classes;
    double *log_probability; /* log p_t(y|x) */
    double *pmi;             /* log p_t(y|x) - log t_y */
    double information, entropy, prior_entropy;
    int *order;              /* classes by falling probability, ties by index */
    int samples;             /* 0: no noise below */
    uint64_t seed;
    double noise_information[2], model_information;
    double *noise_l1, *noise_ls; /* log-probability [L_1, L_S]; pmi: minus log prior */
    double *log_prior;           /* log t_y */
    float *logits;               /* as the network gave them (after the temperature) */
    struct infomask_timing timing;
};
void infomask_classification_fini(struct infomask_classification *result);

enum infomask_status infomask_classify(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_classify_options *options,
                                       struct infomask_classification *result, struct infomask_error *err);

/* Several photos in one pass; results[i] or errors[i] (status not OK) for each.  Returns the first fatal status. */
enum infomask_status infomask_classify_batch(struct infomask_session *session, struct infomask_photo *const *photos,
                                             int count, const struct infomask_classify_options *options,
                                             struct infomask_classification *results, struct infomask_error *errors,
                                             struct infomask_error *err);

/* ---- Masks ------------------------------------------------------------------------------------------------------- */

enum infomask_method {
    INFOMASK_INFOCAM,
    INFOMASK_CAM,
    INFOMASK_INFOCAM_PLUS,
    INFOMASK_GRADCAM_PLUS_PLUS,
    INFOMASK_LAYERCAM,
    INFOMASK_OCCLUSION
};
enum infomask_quality { INFOMASK_STANDARD, INFOMASK_MIDDLE, INFOMASK_FAST };
enum infomask_threshold_rule {
    INFOMASK_THRESHOLD_AUTO,
    INFOMASK_THRESHOLD_OTSU,
    INFOMASK_THRESHOLD_MAX,   /* value: share of the maximum, of the saliency */
    INFOMASK_THRESHOLD_NATS,  /* value: nats per cell */
    INFOMASK_THRESHOLD_SHARE, /* value: share of the positive information */
    INFOMASK_THRESHOLD_WINDOW, /* window PMI > 0 */
    INFOMASK_THRESHOLD_GIVEN   /* only in results: the mask was the caller's */
};

struct infomask_mask_options {
    const int *targets; /* class indices; NULL with count 0: the best class of the classification */
    int target_count;
    struct infomask_prior prior;
    enum infomask_method method;
    enum infomask_quality quality;
    int resolution;     /* 0: by quality; -1: native; else the side */
    bool no_refine;
    enum infomask_threshold_rule threshold;
    double threshold_value;
    bool threshold_given; /* false: the model folder's rule */
    double min_evidence;  /* nats; NAN: the model's */
    int occlusion_window, occlusion_stride; /* pixels of the view; 0: a quarter and an eighth of its side */
    /* [height, width] of the photo, not 0 where the target is: a mask of the caller's own, taken as it is.  No evidence is
     * asked for, nothing is refined; a filter makes one round of it, whatever its area.  NULL: the chain makes one */
    const uint8_t *given;
};
struct infomask_mask_options infomask_default_mask_options(void);

struct infomask_object {
    int x, y, width, height; /* photo pixels */
    double area;             /* share of the photo */
    int peak_x, peak_y;      /* the most informative pixel */
    double information_share;
};

/* One target's map; of several targets there is one each. */
struct infomask_map {
    int target;
    double probability, pmi;       /* of the classification pass (the model's own crop) */
    int rows, columns;
    double *cells;                 /* [rows, columns] nats per cell (other methods: their own unit); owned */
    double mean, map_pmi;          /* mean of the cells; PMI of the pass that made the map */
    double largest_window_pmi;     /* NAN without a pooled head */
};

struct infomask_mask {
    int width, height;             /* of the photo */
    enum infomask_method method;
    int map_count;
    struct infomask_map *maps;     /* in the order of the targets; owned */
    bool empty;                    /* nothing there, nothing masked */
    enum infomask_threshold_rule rule;
    double threshold;              /* in the unit of the rule */
    double area;                   /* share of the photo's pixels that are masked */
    double information_share;      /* of the positive information, inside the mask */
    uint8_t *pixels;               /* [height, width] 0 or 255; owned */
    struct infomask_object *objects;
    int object_count;
    struct infomask_saliency *saliency; /* opaque, at working size; owned */
    struct infomask_timing timing;
};
void infomask_mask_fini(struct infomask_mask *mask);

/* classification: of the same photo, session and prior (its pmi and probability go into the maps). */
enum infomask_status infomask_mask(struct infomask_session *session, struct infomask_photo *photo,
                                   const struct infomask_classification *classification,
                                   const struct infomask_mask_options *options, struct infomask_mask *mask,
                                   struct infomask_error *err);

/* A mask of somebody's own for this photo, from a picture of the same size as shown: pixels [height, width] (malloc'ed) is
 * 255 where it is neither black nor transparent, else 0.  ARGUMENT, with both sizes, for another size. */
enum infomask_status infomask_own_mask(const struct infomask_photo *photo, const void *bytes, size_t size,
                                       uint8_t **pixels, struct infomask_error *err);

/* The largest square side that `resolution` may ask of this model. */
int infomask_largest_resolution(struct infomask_model *model, const struct infomask_photo *photo);

enum infomask_picture { INFOMASK_PICTURE_MASK, INFOMASK_PICTURE_MAP, INFOMASK_PICTURE_SALIENCY, INFOMASK_PICTURE_OVERLAY };

struct infomask_picture_options {
    enum infomask_picture picture;
    const char *colormap; /* "viridis", "magma", "turbo", "gray"; NULL: viridis */
    double unit;          /* 1: nats, 1 / ln 2: bits (scale and offset of MAP, the legend of OVERLAY) */
    double opacity;       /* 0..1, of OVERLAY's colours where the map is largest; a third of it where the map is 0 */
};

/* An encoded picture; data is malloc'ed. */
struct infomask_encoded {
    uint8_t *data;
    size_t size;
    const char *content_type;
    double scale, offset; /* MAP: value = offset + scale * pixel, in the unit asked for */
};
void infomask_encoded_fini(struct infomask_encoded *encoded);

/* PNG of exactly the photo's size.  OVERLAY needs the photo. */
enum infomask_status infomask_mask_png(const struct infomask_mask *mask, struct infomask_photo *photo,
                                       const struct infomask_picture_options *options,
                                       struct infomask_encoded *encoded, struct infomask_error *err);
bool infomask_colormap_known(const char *name);
/* A JPEG of the photo whose longest side is `side` (or the photo's own, if that is smaller), for pages that list many. */
enum infomask_status infomask_thumbnail(struct infomask_photo *photo, int side, struct infomask_encoded *encoded,
                                        struct infomask_error *err);

/* ---- Filtering --------------------------------------------------------------------------------------------------- */

enum infomask_fill {
    INFOMASK_INPAINT,
    INFOMASK_DIFFUSE,
    INFOMASK_BLUR,
    INFOMASK_MEAN,
    INFOMASK_PIXELATE,
    INFOMASK_TRANSPARENT,
    INFOMASK_COLOR
};

struct infomask_filter_options {
    struct infomask_mask_options mask;
    bool keep;           /* keep only the target */
    enum infomask_fill fill;
    uint8_t color[3];    /* INFOMASK_COLOR */
    double dilate;       /* pixels at longest side 224, scaled with the photo; default 3 */
    double feather;      /* pixels; default 0 */
    double until;        /* residual PMI in nats at which the target counts as removed; NAN: the verdict's own rule */
    int max_passes;      /* rounds at most; default 3 */
    double max_area;     /* default 0.6; a mask that is given may have more */
    bool jpeg;           /* encode as JPEG quality 90; else PNG */
    uint64_t seed;       /* of the random control region */
};
struct infomask_filter_options infomask_default_filter_options(void);

/* What became of a target (docs/masks.md).  REMOVED: its place says no more than what surrounds it, and the whole has
 * lost it; WEAKENED: less is left than before and than after a random region's removal; FAILED: neither. */
enum infomask_verdict { INFOMASK_NO_VERDICT, INFOMASK_FAILED, INFOMASK_WEAKENED, INFOMASK_REMOVED };
const char *infomask_verdict_name(enum infomask_verdict verdict); /* "failed", ...; NULL for NO_VERDICT */

/* Why it is that verdict; the numbers that it speaks of are in the verification. */
enum infomask_reason {
    INFOMASK_NOTHING,    /* no verdict: an empty mask, or the target was never there (pmi_before <= 0) */
    INFOMASK_KEPT,       /* no verdict: the target was to stay */
    INFOMASK_GONE,       /* removed: the place says no more than its surroundings, and the whole has lost it */
    INFOMASK_UNDER_LIMIT,/* removed: at most `until` is left */
    INFOMASK_NO_PMI,     /* removed, without a pooled head: pmi_after <= 0 */
    INFOMASK_ROSE,       /* pmi_after is not below pmi_before */
    INFOMASK_PLACE,      /* the place itself still tells */
    INFOMASK_REST,       /* the rest of the photo still tells */
    INFOMASK_FIRST,      /* the target is still the best class */
    INFOMASK_WHOLE,      /* the whole photo still tells */
    INFOMASK_OVER_LIMIT, /* more than `until` is left */
    INFOMASK_NO_PLACE    /* the mask is under half a cell: there is no place to ask */
};

/* One round, as one target sees it.  region_... and context_... are the PMI of the head on the mean features of the cells
 * under the mask, and of those beside it, in the pass of the whole photo; NAN: too few such cells, or no pooled head. */
struct infomask_round {
    double area, pmi_after, map_pmi_after, probability_after;
    double region_pmi_before, region_pmi_after, context_pmi_before, context_pmi_after;
    int rank_after;                /* 1: still the best class */
    double random_area_pmi_after;  /* NAN: not asked for in this round */
    enum infomask_verdict verdict;
    enum infomask_reason reason;
    bool returned;                 /* the round whose picture is the answer */
};

/* A cell that still tells: its pixels of the photo, and its nats in the pass of the filtered picture. */
struct infomask_telling {
    int row, column;
    int x, y, width, height;
    double information;
};
#define INFOMASK_TELLING 3

struct infomask_verification { /* one a target; pmi as infomask_classify answers for the photo and the returned bytes */
    int target;
    double pmi_before, map_pmi_before, probability_before;
    struct infomask_round after; /* the round that is returned */
    int passes;                  /* rounds made */
    bool complete;               /* removed */
    struct infomask_round *rounds; /* [passes]; owned */
    /* unless it is removed: the cells with the most nats, more than 0, under the mask and beside it */
    struct infomask_telling inside[INFOMASK_TELLING], outside[INFOMASK_TELLING];
    int inside_count, outside_count;
};

struct infomask_filtered {
    struct infomask_mask mask; /* of the round that is returned */
    struct infomask_encoded image;
    struct infomask_verification *rows;
    int row_count;
    double area;
    int passes;
    enum infomask_verdict verdict; /* the worst of the rows'; none if any of them has none */
    bool complete;                 /* all are removed */
    bool cut_short;                /* the time was over: the best round so far */
    struct infomask_timing timing;
};
void infomask_filtered_fini(struct infomask_filtered *filtered);

/* Masks, fills, encodes, decodes what was encoded and verifies; while the verdict is not REMOVED, further rounds follow,
 * up to max_passes and max_area, and the best of them is the answer: by verdict, then by how little the place says beyond
 * its surroundings, then by area.  When the photo's time is over, the best round so far is.  mask_in: a mask of the same
 * photo and options that the caller has already (then copied), or NULL. */
enum infomask_status infomask_filter(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct infomask_classification *classification,
                                     const struct infomask_filter_options *options,
                                     const struct infomask_mask *mask_in, struct infomask_filtered *filtered,
                                     struct infomask_error *err);

/* ---- Estimates: the mutual information of a labelled data set (docs/information.md) ------------------------------ */

/* How logits become a posterior: the prior asked about, the one inside the logits, and label smoothing. */
struct infomask_estimate_spec {
    size_t classes;
    double *prior, *logit_prior; /* [classes], positive (normalised on use); NULL: uniform */
    double label_smoothing;
};
/* As the model's classifications under that prior have it; the arrays are malloc'ed. */
enum infomask_status infomask_estimate_spec_of(const struct infomask_model *model, const struct infomask_prior *prior,
                                               struct infomask_estimate_spec *spec, struct infomask_error *err);
void infomask_estimate_spec_fini(struct infomask_estimate_spec *spec);

struct infomask_sample { /* one labelled photo; nats */
    uint64_t order;      /* hash of its id: the order in which limits are computed */
    uint32_t label, predicted;
    double log_q, pmi;   /* log q(label|x) and its PMI, under the spec's prior */
    double information, entropy, confidence; /* KL(q || prior), H(q), q of the predicted class */
};

/* The sums of any number of samples: their memory is that of the classes.  Adding and merging are exact: whatever the
 * order and the shards, the same bits.  One thread at a time. */
struct infomask_estimate;
enum infomask_status infomask_estimate_create(const struct infomask_estimate_spec *spec,
                                              struct infomask_estimate **estimate, struct infomask_error *err);
void infomask_estimate_free(struct infomask_estimate *estimate);

/* logits [classes] as infomask_classification has them; id: any text; sample (may be NULL) is filled. */
enum infomask_status infomask_estimate_add(struct infomask_estimate *estimate, const float *logits, uint32_t label,
                                           const char *id, struct infomask_sample *sample, struct infomask_error *err);
/* into += from; of the same spec, over other samples. */
enum infomask_status infomask_estimate_merge(struct infomask_estimate *into, const struct infomask_estimate *from,
                                             struct infomask_error *err);

/* As bytes, for a store: one record of the whole and one of each class that has samples. */
#define INFOMASK_ESTIMATE_BYTES 1760
#define INFOMASK_ESTIMATE_CLASS_BYTES 48
void infomask_estimate_pack(const struct infomask_estimate *estimate, uint8_t bytes[INFOMASK_ESTIMATE_BYTES]);
enum infomask_status infomask_estimate_unpack(struct infomask_estimate *estimate, const void *bytes, size_t size,
                                              struct infomask_error *err);
/* False, and no bytes, for a class without samples. */
bool infomask_estimate_pack_class(const struct infomask_estimate *estimate, size_t label,
                                  uint8_t bytes[INFOMASK_ESTIMATE_CLASS_BYTES]);
enum infomask_status infomask_estimate_unpack_class(struct infomask_estimate *estimate, size_t label, const void *bytes,
                                                    size_t size, struct infomask_error *err);

struct infomask_class_report {
    uint64_t samples;
    double mean_pmi;    /* under the spec's prior */
    double information; /* mean log q - log f, f the label's frequency: the parts whose mean over samples is the estimate */
    double accuracy;    /* all three NAN without samples */
};

/* NAN: not defined with so few samples. */
struct infomask_report {
    uint64_t samples;
    size_t classes, classes_seen;
    double accuracy, label_entropy;
    double estimate, standard_error, lower_limit_t, fraction; /* E estimate <= I(X;Y); the limit at 97.5 %, approximate */
    double deviation;                   /* of one sample's part of the estimate */
    double plug_in, plug_in_deviation, overconfidence; /* mean KL(q || prior), of one sample, plug_in - estimate */
    double mean_entropy;
    double temperature, calibrated_estimate; /* as if the logits had been divided by `temperature` */
    bool temperature_at_edge;                /* the best lies outside [1/8, 8] */
    double ece, log_loss, brier;
    double fano;                        /* lower bound on I(X;Y) from the accuracy alone */
    double stratified, stratified_error; /* estimate for a population of the spec's prior */
    double prior_chi2, prior_p_value;   /* of the labels against the spec's prior */
    double bin_confidence[15], bin_accuracy[15]; /* reliability: means over samples of a confidence in [i, i + 1) / 15 */
    uint64_t bin_samples[15];
    struct infomask_class_report *by_class; /* [classes]; owned */
};
enum infomask_status infomask_estimate_report(const struct infomask_estimate *estimate, struct infomask_report *report,
                                              struct infomask_error *err);
void infomask_report_fini(struct infomask_report *report);

/* What needs every sample, but little of each.  The points [n] are used up; the results do not depend on their order. */
struct infomask_point {
    uint64_t order;
    double log_q;
    uint32_t label, predicted;
};
struct infomask_limits_of_estimate {
    size_t samples;
    double confidence;
    double betting;   /* lower limit on I(X;Y), valid for every number of samples */
    double bernstein; /* the same, wider */
    double confusion; /* I(predicted; label), at most I(X;Y), biased upwards */
};
enum infomask_status infomask_estimate_limits(struct infomask_point *points, size_t n, size_t classes, double confidence,
                                              struct infomask_limits_of_estimate *limits, struct infomask_error *err);

/* Two models on the same samples: paired t on the differences of their PMIs, a - b.  NAN where they are too few. */
struct infomask_comparison {
    size_t samples;
    double difference, standard_error, lower, upper, p_value; /* two-sided, 95 % */
};
void infomask_compare(const double *pmi_a, const double *pmi_b, size_t n, struct infomask_comparison *comparison);

/* Logits in half precision, relative to the largest of them, for a store. */
void infomask_logits_pack(const float *logits, size_t classes, uint16_t *half);
void infomask_logits_unpack(const uint16_t *half, size_t classes, float *logits);

/* Vector scaling: temperature and a bias a class fitted to kept logits [n][classes] of the spec.  estimate: H(labels)
 * less the cross-entropy at the fit; its optimism is about parameters / (2 n) nats. */
struct infomask_vector_fit {
    size_t samples, parameters;
    double temperature, estimate;
    bool converged;
};
enum infomask_status infomask_estimate_fit(const struct infomask_estimate_spec *spec, const float *logits,
                                           const uint32_t *labels, size_t n, struct pool *pool, double *biases,
                                           struct infomask_vector_fit *fit, struct infomask_error *err);

/* The class prior of unlabelled data by EM, from PMIs [n][classes] under `prior` (natural; NULL: uniform). */
struct infomask_shift {
    double chi2, p_value; /* of no shift, classes - 1 degrees of freedom */
    int steps;
    bool converged;
};
enum infomask_status infomask_fit_prior(const float *pmi, size_t n, size_t classes, const double *prior, double *fitted,
                                        struct infomask_shift *shift, struct infomask_error *err);

/* Synthetic tasks of known information, to try estimators on: the i-th name (NULL: no more), and the task of a name. */
#define INFOMASK_TASK_MAX 10 /* classes and dimensions */
struct infomask_task {
    const char *name;
    size_t index, classes, dimensions;
    double information; /* the true I(X;Y) */
    double prior[INFOMASK_TASK_MAX];
};
const char *infomask_task_name(size_t i);
bool infomask_task_find(const char *name, struct infomask_task *task);
/* Sample i of a seed: x [dimensions], the exact log p(y|x) [classes]; returns the label. */
uint32_t infomask_task_sample(const struct infomask_task *task, uint64_t seed, uint64_t i, float *x, float *log_p);

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

/* saliency [h, w] (any size, any range), mask [height, width] of the photo or NULL (then Otsu of the saliency), truth
 * [truth_h, truth_w], not 0 on the object. */
enum infomask_status infomask_score_mask(const struct infomask_photo *photo, const float *saliency, int h, int w,
                                         const uint8_t *mask, const uint8_t *truth, int truth_h, int truth_w,
                                         struct infomask_mask_score *score, struct infomask_error *err);
/* Fills the second half of the score; about 45 passes. */
enum infomask_status infomask_score_faithfulness(struct infomask_session *session, struct infomask_photo *photo,
                                                 const struct infomask_classification *classification, int target,
                                                 const float *saliency, int h, int w,
                                                 struct infomask_mask_score *score, struct infomask_error *err);
/* The saliency of a mask at its working size; borrowed from the mask. */
const float *infomask_mask_saliency(const struct infomask_mask *mask, int *h, int *w);
/* A grey picture (PNG, JPEG, WebP; luma of 8 bits) as floats in 0..1, malloc'ed: somebody's map, or a truth. */
enum infomask_status infomask_read_map(const void *bytes, size_t size, float **map, int *h, int *w,
                                       struct infomask_error *err);

/* ---- Raw tensors (infomask run, bench, protocol v2) -------------------------------------------------------------- */

/* n images of h x w in the model's own input layout (spec.nhwc, else NCHW), float32, normalised by the caller.
 * output [n, classes]: the network's own output, no temperature. */
enum infomask_status infomask_run(struct infomask_session *session, const float *input, int n, int h, int w,
                                  float *output, struct infomask_error *err);

/* ---- Features (infomask train) ------------------------------------------------------------------------------------ */

/* How a photo is looked at: its centred square of `crop` of the shorter side (0: the model's own view), or its mirror
 * image. */
struct infomask_look {
    double crop;
    bool mirrored;
};
/* What the pooled linear head sees: the mean over the map's cells, features [infomask_model_info.features].
 * INFOMASK_NO_CLASS_MAP for a model without such a head. */
enum infomask_status infomask_features(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_look *look, float *features, struct infomask_error *err);

/* The photo's centred square at width x height, as a model of that input sees it: 8-bit RGB, or luma if `gray`;
 * pixels [height][width][3 or 1]. */
enum infomask_status infomask_photo_pixels(struct infomask_photo *photo, int width, int height, bool gray, uint8_t *pixels,
                                           struct infomask_error *err);

/* ---- Threads, instruction sets, timing --------------------------------------------------------------------------- */

/* What a pool is to be started with (pool_create's `start`): each worker makes its numeric library's buffers. */
void infomask_worker_start(void *context, int worker);

/* The kernels that `name` means here ("ref", "blas", "avx2", "avx512", "amx"; NULL or "auto": the best of this processor);
 * NULL for another word or a set that this processor or build does not have. */
const char *infomask_isa(const char *name, struct infomask_error *err);
/* "f32", "bf16", "int8", "auto". */
const char *infomask_precision_name(enum infomask_precision precision);
/* Do these kernels have the precision?  (isa: as above; AUTO: always.)  INFOMASK_ARGUMENT with a sentence if not. */
enum infomask_status infomask_precision_check(enum infomask_precision precision, const char *isa,
                                              struct infomask_error *err);

/* Floating-point operations of one h x w item (a multiplication and an addition are two), of its convolutions and
 * linear layers; read from the file anew. */
enum infomask_status infomask_model_flops(const struct infomask_model_spec *spec, int height, int width, double *flops,
                                          struct infomask_error *err);

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
                                    struct infomask_bench_result *result, struct infomask_error *err);

/* The map of the pass that classified: infoCAM, [rows, columns] nats per cell whose mean is the target's PMI. */
struct infomask_cells {
    int target, rows, columns;
    double *values; /* owned */
};
void infomask_cells_fini(struct infomask_cells *cells);

/* infomask_run's tensors, classified: results [n], and with cells [n] (may be NULL) the maps of `target` (-1: each
 * item's best class).  options->samples must be 0.  INFOMASK_NO_CLASS_MAP if there are no maps to give. */
enum infomask_status infomask_classify_tensor(struct infomask_session *session, const float *input, int n, int h, int w,
                                              const struct infomask_classify_options *options, int target,
                                              struct infomask_classification *results, struct infomask_cells *cells,
                                              struct infomask_error *err);
/* The same for a photo, seen as infomask_classify sees it. */
enum infomask_status infomask_classify_cells(struct infomask_session *session, struct infomask_photo *photo,
                                             const struct infomask_classify_options *options, int target,
                                             struct infomask_classification *result, struct infomask_cells *cells,
                                             struct infomask_error *err);

#endif
