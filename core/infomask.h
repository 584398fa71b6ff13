/* infomask: a photo in; class probabilities, nats, a mask and a filtered photo out.
 *
 * The public face of the numeric core (libinfomask.a): no HTTP, no JSON, no configuration, no global state.  A header a
 * use: this one serves classifications; infomask_mask.h masks and filters; infomask_estimate.h measures a labelled data
 * set; infomask_lab.h is for whoever measures the networks and masks themselves; infomask_train.h trains.  The nouns:
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
                                         struct infomask_photo **photo, struct infomask_error *err)
    __attribute__((warn_unused_result));
void infomask_photo_close(struct infomask_photo *photo);
const struct infomask_photo_info *infomask_photo_info(const struct infomask_photo *photo);
/* Says, before anything is decoded, that all of the photo will be needed (a mask or a filter follows): one decode. */
void infomask_photo_whole(struct infomask_photo *photo);

enum infomask_format { INFOMASK_PNG, INFOMASK_JPEG, INFOMASK_WEBP };
const char *infomask_format_type(enum infomask_format format); /* "image/png", ... */

/* An encoded picture; data is malloc'ed. */
struct infomask_encoded {
    uint8_t *data;
    size_t size;
    const char *content_type;
    double scale, offset; /* INFOMASK_PICTURE_MAP: value = offset + scale * pixel, in the unit asked for */
};
void infomask_encoded_fini(struct infomask_encoded *encoded);
/* A JPEG of the photo whose longest side is `side` (or the photo's own, if that is smaller), for pages that list many.
 */
enum infomask_status infomask_thumbnail(struct infomask_photo *photo, int side, struct infomask_encoded *encoded,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

/* The whole photo as RGB of width x height pixels; alpha is put over white. */
enum infomask_status infomask_photo_small(struct infomask_photo *photo, int width, int height, uint8_t *rgb,
                                          struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Models ------------------------------------------------------------------------------------------------------ */

/* AUTO: who reads a model's folder chooses by what it records; a spec never holds it. */
enum infomask_precision { INFOMASK_F32, INFOMASK_BF16, INFOMASK_INT8, INFOMASK_AUTO };
#define INFOMASK_PRECISIONS 3
enum infomask_color { INFOMASK_RGB, INFOMASK_BGR, INFOMASK_GRAY };
enum infomask_fit { INFOMASK_CROP, INFOMASK_SQUASH };
/* What a row of the network's output is.  AUTO: as the file ends.  SIGMOID: every class is a question of its own,
 * answered by yes or no (several labels a photo), whether the file ends in the sigmoid or before it. */
enum infomask_output_kind {
    INFOMASK_HEAD_AUTO,
    INFOMASK_HEAD_LOGITS,
    INFOMASK_HEAD_PROBABILITIES,
    INFOMASK_HEAD_SIGMOID
};

enum infomask_threshold_rule {
    INFOMASK_THRESHOLD_AUTO,
    INFOMASK_THRESHOLD_OTSU,
    INFOMASK_THRESHOLD_MAX,   /* value: share of the maximum, of the saliency */
    INFOMASK_THRESHOLD_NATS,  /* value: nats per cell */
    INFOMASK_THRESHOLD_SHARE, /* value: share of the positive information */
    INFOMASK_THRESHOLD_WINDOW, /* window PMI > 0 */
    INFOMASK_THRESHOLD_GIVEN   /* only in results: the mask was the caller's */
};

/* Classes that are asked about as one: each once, in rising order. */
struct infomask_group {
    const int *members; /* [count] */
    int count;
};

/* What takes the place of removed pixels. */
enum infomask_fill {
    INFOMASK_OWN_FILL, /* the model's (infomask_model_spec.fill) */
    INFOMASK_MATCH, /* copies of kept patches; falls back to INFOMASK_DIFFUSE (infomask_filtered.fill, fill_reason) */
    INFOMASK_INPAINT,
    INFOMASK_DIFFUSE,
    INFOMASK_BLUR,
    INFOMASK_MEAN,
    INFOMASK_PIXELATE,
    INFOMASK_TRANSPARENT,
    INFOMASK_COLOR
};

/* Is the network, as it was planned and fused, what its layers give one by one?  AT_LOAD: asked on a small picture, and
 * of as many layers from the input on as some 5 % of the load allow, unless it is known (infomask_model_spec.known); a
 * model that differs by more than rounding is not loaded (INFOMASK_DIFFERS).  INT8 is compared with the same rounded
 * weights on the reference kernels, all of it, however long that takes.  WHOLE: on a picture of the network's own size,
 * by the reference kernels; the answer is in infomask_model_info. */
enum infomask_verify { INFOMASK_VERIFY_AT_LOAD, INFOMASK_VERIFY_WHOLE, INFOMASK_VERIFY_NOT };

/* What a comparison (WHOLE, or of INT8) by this very program, with the same kernels and precision, has found. */
struct infomask_known {
    char digest[65]; /* infomask_model_info.digest: of a network with another one nothing is known */
    bool equal;
    double error, most;
};

/* The plain values of a model folder's model.json (api.md section 4).  Strings and arrays are copied. */
struct infomask_model_spec {
    const char *path;   /* the ONNX file */
    const char *output; /* tensor name, or NULL: the file's first output that is not of whole numbers or text */
    bool probabilities; /* the output is probabilities, not logits */
    enum infomask_output_kind head;
    /* The file is an encoder, whose output x [D] becomes the logits scale <x / |x|, e_k> of K classes' embeddings e (as
     * of a CLIP-like encoder: unit length, times 100), [K][D] row-major; NULL: it is a classifier.  Borrowed while
     * loading */
    const float *embeddings;
    size_t embedding_rows, embedding_size;
    double embedding_scale; /* more than 0 */
    size_t labels;      /* lines of labels.txt; must equal the network's outputs; 0: not checked */

    int width, height; /* the training view */
    enum infomask_color color;
    bool nhwc;                /* the file's input layout is NHWC (for raw tensors only) */
    enum infomask_fit fit;
    double crop;              /* of the shorter side */
    int resize_width, resize_height; /* INFOMASK_SQUASH: first to this size; 0: straight to width x height */
    const char *resize;       /* "bicubic", "bilinear", "nearest", "lanczos" */
    float mean[3], std[3];    /* of 0..255 values */

    /* [labels] training prior, or NULL: uniform.  SIGMOID: of each class being there, 0 to 1 (NULL: a half); they need
     * no sum.  So is logit_prior then */
    const double *prior;
    const double *logit_prior; /* [labels] what is inside the logits, or NULL: by objective */
    bool pc_softmax;           /* objective: logit prior defaults to uniform instead of prior */
    double label_smoothing;    /* inverted before any PMI; 0: none */
    double temperature;        /* logits are divided by it; 0 or 1: none */
    float dropout;             /* noise before the head when samples are asked for; 0: none */
    const char *isa;           /* "ref", "blas", "neon", "avx2", "avx512", "amx"; NULL: the best here */
    enum infomask_precision precision;
    const char *int8_path;     /* INFOMASK_INT8: the file of its weights (infomask_quantize) */
    size_t arena_limit;        /* bytes per session; 0: 256 MiB */
    enum infomask_verify verify;
    const struct infomask_known *known; /* for AT_LOAD; NULL: nothing is known */

    /* The folder's own mask settings; 0 or NULL: the built-in ones. */
    enum infomask_threshold_rule mask_threshold;
    double mask_threshold_value; /* in nats where the rule is of nats */
    int mask_resolution;        /* side of the square with the pass's area; -1: native, if memory allows */
    double mask_min_evidence; /* nats; NAN or 0: 0.29 log K */
    int mask_window;          /* cells of the window PMI: 0: 5 */
    double mask_scale; /* the pass of quality standard over the model's own side, the others in proportion; 0: 2 */

    /* Wherever a class is asked about as a target, classes + g asks about groups[g] as one. */
    const struct infomask_group *groups; /* [group_count] */
    int group_count;
    enum infomask_fill fill;  /* what a filter fills with if it is not told; INFOMASK_OWN_FILL: INFOMASK_MATCH */
};
/* Spec with every default filled in (224 x 224 RGB, crop 0.875 bicubic, mean 0, std 1, softmax, uniform prior). */
struct infomask_model_spec infomask_default_spec(void);

struct infomask_model;

/* What the cells of a class map are. */
enum infomask_map_kind {
    INFOMASK_NO_MAP,        /* there is none: only occlusion works */
    INFOMASK_MAP_LINEAR,    /* a linear head on a pooled map: each cell's logits are the head's of the cell alone */
    INFOMASK_MAP_PIECEWISE, /* layers linearised at the photo, whose functions are piecewise linear: a cell's logits are
                             * what the head loses without it, as long as no unit changes sides */
    INFOMASK_MAP_FIRST_ORDER /* other functions: to first order.  The cells' mean is the photo's logits in any case */
};

struct infomask_model_info {
    size_t classes;
    int width, height, channels;
    int stride;       /* input pixels per map cell */
    bool class_map;   /* the head is known: infocam and its kin work; else only occlusion */
    enum infomask_map_kind map;
    bool windows;     /* parts of the map can be asked on their own: window PMI, a place and its surroundings */
    bool layers;      /* the head has layers, or none: no weights of single features */
    size_t features;  /* inputs of a linear head under a softmax, on which another can be taught; 0: there is none */
    bool noise;       /* samples can be asked for */
    bool sigmoid;     /* several labels a photo: each class is a binary variable */
    bool fixed_size;
    char sha256[65];  /* of the model file; of an encoder, of its digest, its classes' embeddings and their scale */
    const char *isa;
    const char *precision; /* "f32", "bf16", "int8" */
    size_t weight_bytes; /* as packed */
    size_t memory_bytes; /* those, the head's as maps read them, and tables; sessions come on top */
    double prior_entropy; /* H(prior), nats */
    int groups;
    char digest[65];  /* of all that makes the network what it is: files, output, size, embeddings */
    bool verified, equal; /* by infomask_verify; false: it could not be compared, or nobody asked */
    enum infomask_how {
        INFOMASK_VERIFIED_LAYERS,
        INFOMASK_VERIFIED_SMALL,
        INFOMASK_VERIFIED_WHOLE,
        INFOMASK_VERIFIED_KNOWN
    } how;
    double error, most; /* the largest difference, and what rounding may do, by the spread of what was compared */
    bool not_finite, constant; /* found by VERIFY_WHOLE: its outputs; not_finite: and so equal to none */
};

enum infomask_status infomask_model_load(const struct infomask_model_spec *spec, struct infomask_model **model,
                                         struct infomask_error *err) __attribute__((warn_unused_result));
void infomask_model_free(struct infomask_model *model); /* no session may be left */
/* Gives the memory of the network back, and takes it anew.  What is known of the model may be asked meanwhile as
 * before, by any thread: its info, scores, specs of estimates; but no session may be left, and none can be made.  spec:
 * as at the load; BAD_MODEL where its files hold another network by now. */
void infomask_model_unload(struct infomask_model *model);
enum infomask_status infomask_model_reload(struct infomask_model *model, const struct infomask_model_spec *spec,
                                           struct infomask_error *err) __attribute__((warn_unused_result));
const struct infomask_model_info *infomask_model_info(const struct infomask_model *model);

struct infomask_session;
/* pool: whose idle threads help; NULL: none.  INTERNAL for a model that is unloaded. */
enum infomask_status infomask_session_create(struct infomask_model *model, struct pool *pool,
                                             struct infomask_session **session, struct infomask_error *err)
    __attribute__((warn_unused_result));
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

/* All arrays are [classes] and belong to the result.  With a sigmoid head a class's numbers are of its being there:
 * log_probability = log p(there|x), pmi = log p(there|x) - log t; information, entropy and prior_entropy are sums over
 * the classes of the binary ones; the order is by falling pmi. */
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

/* What a classification says of a target: a class, or classes + g for group g.  Of a set G of classes
 * log p(G|x) = LSE over G of log p(y|x), t(G) likewise, PMI = log p(G|x) - log t(G): exact, at most -log t(G). */
struct infomask_score {
    double log_probability, pmi, log_prior;
    int rank; /* 1 + the number of classes outside that are likelier */
    int size; /* classes */
};
struct infomask_score infomask_score(const struct infomask_model *model,
                                     const struct infomask_classification *classification, int target);

enum infomask_status infomask_classify(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_classify_options *options,
                                       struct infomask_classification *result, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Several photos in one pass; results[i] or errors[i] (status not OK) for each.  Returns the first fatal status. */
enum infomask_status infomask_classify_batch(struct infomask_session *session, struct infomask_photo *const *photos,
                                             int count, const struct infomask_classify_options *options,
                                             struct infomask_classification *results, struct infomask_error *errors,
                                             struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Threads, instruction sets, timing --------------------------------------------------------------------------- */

/* What a pool is to be started with (pool_create's `start`): each worker makes its numeric library's buffers. */
void infomask_worker_start(void *context, int worker);

/* The processor that OpenBLAS, which multiplies the matrices of training, computes for, by its own name ("Haswell").
 * better (may be NULL): the value of OPENBLAS_CORETYPE to start the process with where it does not know this processor,
 * else NULL. */
const char *infomask_openblas_core(const char **better);

/* The kernels that `name` means here ("ref", "blas", "neon", "avx2", "avx512", "amx"; NULL or "auto": the best of this
 * processor); NULL for another word or a set that this processor or build does not have. */
const char *infomask_isa(const char *name, struct infomask_error *err);
/* "f32", "bf16", "int8", "auto". */
const char *infomask_precision_name(enum infomask_precision precision);
/* Do these kernels have the precision?  (isa: as above; AUTO: always.)  INFOMASK_ARGUMENT with a sentence if not. */
enum infomask_status infomask_precision_check(enum infomask_precision precision, const char *isa,
                                              struct infomask_error *err) __attribute__((warn_unused_result));

#endif
