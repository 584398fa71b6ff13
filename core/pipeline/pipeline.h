/* What the files of the pipeline share: a photo's decoded pictures, a model with its priors, a session, and the steps
 * that every route takes (photo -> view -> tensor -> network -> logits -> posterior).  Private to core/pipeline. */
#ifndef INFOMASK_PIPELINE_PIPELINE_H
#define INFOMASK_PIPELINE_PIPELINE_H

#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/image/image.h"
#include "core/infomask.h"
#include "core/infomask_mask.h"
#include "core/mask/mask.h"

struct photo_picture {
    struct image image; /* pixels NULL: not decoded */
    bool partial;       /* only `region` of it is defined */
    struct image_region region;
};

struct infomask_photo {
    const void *bytes; /* borrowed */
    size_t size;
    struct image_limits limits;
    struct image_info image_info;
    struct infomask_photo_info info;
    bool whole;                     /* all of the photo will be needed: no region decoding */
    struct photo_picture scaled[9]; /* by numerator of 8; [8] is the photo itself */
};

/* The whole photo at numerator/8 of its size, decoded on first need (by idle threads of the pool too); the photo keeps
 * it.  pool and timing may be NULL. */
enum infomask_status photo_image(struct infomask_photo *photo, int numerator, struct pool *pool,
                                 const struct image **image, struct infomask_timing *timing, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Gives the decoded pictures back, but not the bytes. */
void photo_forget(struct infomask_photo *photo);

struct infomask_model {
    struct infomask_model_spec spec; /* plain values; mask_threshold is the model's own copy, other pointers NULL */
    struct infomask_model_info info;
    struct engine_model *engine;
    const struct engine_info *network;
    struct image_normalise normalise;
    enum image_filter filter;
    bool probabilities;      /* the output is probabilities: logits are their logarithms */
    bool sigmoid;            /* every class is a binary variable */
    bool squashed;           /* the output went through the sigmoid: logits are log p - log (1 - p) */
    double temperature;      /* 1: none.  Logits of cells must be divided by it as well */
    double *log_prior;       /* [classes] training prior */
    double *log_logit_prior; /* [classes] what is inside the logits */
    const struct kernel_table *kernels;
    float *head_mean;        /* [features] mean of a linear head's weights over the classes; else NULL */
    double head_mean_bias;   /* and of its biases */
    struct infomask_group *groups; /* [info.groups] */
    int *members;                  /* of all groups */
};

struct infomask_session {
    struct infomask_model *model;
    struct engine_session *engine;
    struct pool *pool;
};


/* The network from its file, its constants folded; on failure it may be there, to be freed.  fixed: of a size that the
 * file leaves open, spec's is taken for the only one. */
enum infomask_status pipeline_read(const struct infomask_model_spec *spec, bool fixed, struct graph **graph,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
/* The passes that are left. */
enum infomask_status pipeline_fuse(struct graph *graph, struct infomask_error *err) __attribute__((warn_unused_result));

/* Behind an encoder's output: its unit length, and the product with spec->embeddings.  BAD_MODEL if they do not fit. */
enum infomask_status embeddings_append(const struct infomask_model_spec *spec, struct graph *graph,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

/* How its first output ends: in a softmax, in a sigmoid, in neither (LOGITS). */
enum infomask_output_kind pipeline_output_kind(const struct graph *graph);

/* The model with quantised weights that are in no file yet. */
struct quant;
enum infomask_status pipeline_load_int8(const struct infomask_model_spec *spec, const struct quant *int8,
                                        struct infomask_model **model, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* What classification sees of a photo of that size, as the model folder says (crop or squash). */
struct image_view pipeline_view(const struct infomask_model *model, int width, int height);

/* Decodes what the view needs, resamples and normalises it into `tensor` [out_height, out_width, channels]. */
enum infomask_status pipeline_tensor(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct image_view *view, float *tensor, struct infomask_timing *timing,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

/* One pass: pipeline_tensor into the network's input, and the network runs.  With taps, the features and residual
 * sums stay readable in session->engine. */
enum infomask_status pipeline_pass(struct infomask_session *session, struct infomask_photo *photo,
                                   const struct image_view *view, bool taps, struct infomask_timing *timing,
                                   struct infomask_error *err) __attribute__((warn_unused_result));

/* log t of the prior asked about, [classes]. */
void pipeline_log_prior(const struct infomask_model *model, const struct infomask_prior *prior, double *log_t);

/* One row of network output to logits: the logarithm where it is probabilities, divided by the temperature.
 * logits may be output. */
void pipeline_logits(const struct infomask_model *model, const float *output, float *logits);

/* log p_t(y|x) [classes] from pipeline_logits' logits: label smoothing inverted, prior changed from the one inside the
 * logits to log_t.  INFOMASK_INTERNAL if a logit is not finite. */
enum infomask_status pipeline_posterior(const struct infomask_model *model, const float *logits, const double *log_t,
                                        double *log_p, struct infomask_error *err) __attribute__((warn_unused_result));

/* The arrays of a result for k classes; samples > 0: those of the noise as well. */
enum infomask_status pipeline_result_init(struct infomask_classification *result, size_t k, int samples,
                                          struct infomask_error *err) __attribute__((warn_unused_result));
/* One row of the network's output to every number of the result but the noise. */
enum infomask_status pipeline_interpret(const struct infomask_model *model, const float *output,
                                        const struct infomask_prior *prior, struct infomask_classification *result,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

/* The target as a set of classes, which points to *target or into the model; log_prior under log_t.  share: NULL. */
struct mask_set pipeline_set(const struct infomask_model *model, const int *target, const double *log_t);
bool pipeline_is_target(const struct infomask_model *model, int target);

/* The pooled linear head, as the class maps want it; borrowed from the model.  Of a head of layers: of features that
 * are the cells' logits. */
struct mask_head pipeline_head(const struct infomask_model *model);
/* The cells of one picture's map as the class maps want them: those of a linear head as they lie, else what they say,
 * by the head linearised at the picture (engine_head_cells). */
struct pipeline_cells {
    struct mask_head head;
    const float *f; /* [n, head.features] */
    float *owned;   /* f, or NULL */
};
enum infomask_status pipeline_cells_init(struct pipeline_cells *cells, const struct infomask_model *model,
                                         const float *f, int n, struct infomask_error *err)
    __attribute__((warn_unused_result));
void pipeline_cells_fini(struct pipeline_cells *cells);

#endif
