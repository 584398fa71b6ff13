/* A photo's class probabilities and information, from one pass over the model's own view of it. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/info/info.h"
#include "core/pipeline/pipeline.h"

#define BATCH 8 /* photos in one pass: more gain nothing, and the arena grows with it */

/* The whole photo squeezed to resize_width x resize_height, of which the centre is the view: as one resampling of the
 * box that the centre comes from.  Multiplied before it is divided: what is the whole side is that side exactly. */
static struct image_view squash_view(const struct infomask_model_spec *spec, int width, int height)
{
    int across = spec->resize_width > 0 ? spec->resize_width : spec->width;
    int down = spec->resize_height > 0 ? spec->resize_height : spec->height;

    return (struct image_view){.left = floor((across - spec->width) / 2.0) * width / across,
                               .top = floor((down - spec->height) / 2.0) * height / down,
                               .width = (double)spec->width * width / across,
                               .height = (double)spec->height * height / down,
                               .out_width = spec->width,
                               .out_height = spec->height};
}

struct image_view pipeline_view(const struct infomask_model *model, int width, int height)
{
    const struct infomask_model_spec *spec = &model->spec;
    struct image_view view = spec->fit == INFOMASK_CROP
                                 ? image_view_crop(width, height, spec->crop, spec->width, spec->height)
                                 : squash_view(spec, width, height);
    view.filter = model->filter;
    return view;
}

enum infomask_status pipeline_pass(struct infomask_session *session, struct infomask_photo *photo,
                                   const struct image_view *view, bool taps, struct infomask_timing *timing,
                                   struct infomask_error *err)
{
    float *input;
    double start;
    enum infomask_status status =
        engine_prepare(session->engine, 1, view->out_height, view->out_width, taps, &input, err);

    if (status == INFOMASK_OK)
        status = pipeline_tensor(session, photo, view, input, timing, err);
    if (status != INFOMASK_OK)
        return status;
    start = clock_ms();
    status = engine_run(session->engine, err);
    timing->network += clock_ms() - start;
    return status;
}

void pipeline_log_prior(const struct infomask_model *model, const struct infomask_prior *prior, double *log_t)
{
    size_t k = model->info.classes;

    switch (prior->kind) {
    case INFOMASK_PRIOR_TRAIN:
        memcpy(log_t, model->log_prior, k * sizeof *log_t);
        break;
    case INFOMASK_PRIOR_UNIFORM:
        for (size_t i = 0; i < k; i++)
            log_t[i] = model->sigmoid ? -log(2) : -log((double)k);
        break;
    case INFOMASK_PRIOR_GIVEN: /* with a sigmoid head each class's own */
        for (size_t i = 0; i < k; i++)
            log_t[i] = log(prior->p[i]);
        break;
    }
}

/* A sigmoid in float32 ends at 1 - 2^-24: what is nearer to 1 cannot be told from it. */
static float logit(float p)
{
    const float most = 1 - FLT_EPSILON / 2;

    p = fminf(fmaxf(p, FLT_MIN), most);
    return logf(p) - log1pf(-p);
}

void pipeline_logits(const struct infomask_model *model, const float *output, float *logits)
{
    float scale = (float)(1.0 / model->temperature);

    for (size_t i = 0; i < model->info.classes; i++) {
        float z = output[i];
        if (model->probabilities)
            z = logf(z > FLT_MIN ? z : FLT_MIN);
        else if (model->squashed && model->sigmoid)
            z = logit(z);
        logits[i] = z * scale;
    }
}

enum infomask_status pipeline_posterior(const struct infomask_model *model, const float *logits, const double *log_t,
                                        double *log_p, struct infomask_error *err)
{
    size_t k = model->info.classes;
    double eps = model->spec.label_smoothing;

    for (size_t i = 0; i < k; i++)
        if (!isfinite(logits[i]))
            return error_set(err, INFOMASK_INTERNAL, "the network's output for class %zu is not a finite number", i);
    if (model->sigmoid) {
        info_log_sigmoid(logits, model->log_logit_prior, log_t, k, log_p);
        return INFOMASK_OK;
    }
    if (eps <= 0) {
        info_log_posterior(logits, model->log_logit_prior, log_t, k, log_p);
        return INFOMASK_OK;
    }
    /* smoothing squashed the posterior under the prior of the logits: undo it there, then change the prior */
    info_log_posterior(logits, model->log_logit_prior, model->log_logit_prior, k, log_p);
    info_unsmooth(log_p, eps, k, log_p);
    for (size_t i = 0; i < k; i++)
        log_p[i] += log_t[i] - model->log_logit_prior[i];
    info_log_softmax(log_p, k, log_p);
    return INFOMASK_OK;
}

struct ranked {
    uint64_t key; /* rises as the double falls */
    int index;
};

static uint64_t falling_key(double x)
{
    uint64_t bits;

    x += 0.0; /* one zero */
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? bits : ~bits & INT64_MAX;
}

/* Stable by one byte of the keys; counts: how many keys have each value of it. */
static void by_byte(const struct ranked *from, size_t k, int shift, const uint32_t counts[256], struct ranked *to)
{
    uint32_t place[256], sum = 0;

    for (int b = 0; b < 256; b++) {
        place[b] = sum;
        sum += counts[b];
    }
    for (size_t i = 0; i < k; i++)
        to[place[from[i].key >> shift & 255]++] = from[i];
}

/* By radix: for a thousand classes a fraction of the time of qsort. */
static enum infomask_status rank(const double *by, struct infomask_classification *result, struct infomask_error *err)
{
    size_t k = result->classes;
    struct ranked *both = malloc(2 * k * sizeof *both), *ranked = both, *spare = both + k;
    uint32_t counts[8][256] = {0};

    if (both == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the result");
    for (size_t i = 0; i < k; i++) {
        ranked[i] = (struct ranked){falling_key(by[i]), (int)i};
        for (int b = 0; b < 8; b++)
            counts[b][ranked[i].key >> 8 * b & 255]++;
    }
    for (int b = 0; b < 8; b++) {
        struct ranked *sorted = spare;
        if (counts[b][ranked[0].key >> 8 * b & 255] == k) /* all the same */
            continue;
        by_byte(ranked, k, 8 * b, counts[b], sorted);
        spare = ranked;
        ranked = sorted;
    }
    for (size_t i = 0; i < k; i++)
        result->order[i] = ranked[i].index;
    free(both);
    return INFOMASK_OK;
}

enum infomask_status pipeline_result_init(struct infomask_classification *result, size_t k, int samples,
                                          struct infomask_error *err)
{
    *result = (struct infomask_classification){.classes = k};
    result->log_probability = malloc(k * sizeof(double));
    result->pmi = malloc(k * sizeof(double));
    result->log_prior = malloc(k * sizeof(double));
    result->order = malloc(k * sizeof(int));
    result->logits = malloc(k * sizeof(float));
    if (samples > 0) {
        result->noise_l1 = malloc(k * sizeof(double));
        result->noise_ls = malloc(k * sizeof(double));
    }
    if (result->log_probability == NULL || result->pmi == NULL || result->log_prior == NULL || result->order == NULL ||
        result->logits == NULL || (samples > 0 && (result->noise_l1 == NULL || result->noise_ls == NULL))) {
        infomask_classification_fini(result);
        return error_set(err, INFOMASK_MEMORY, "no memory for the result");
    }
    return INFOMASK_OK;
}

void infomask_classification_fini(struct infomask_classification *result)
{
    free(result->log_probability);
    free(result->pmi);
    free(result->log_prior);
    free(result->order);
    free(result->logits);
    free(result->noise_l1);
    free(result->noise_ls);
    *result = (struct infomask_classification){0};
}

enum infomask_status pipeline_interpret(const struct infomask_model *model, const float *output,
                                        const struct infomask_prior *prior, struct infomask_classification *result,
                                        struct infomask_error *err)
{
    size_t k = result->classes;
    double start = clock_ms();
    enum infomask_status status;

    pipeline_log_prior(model, prior, result->log_prior);
    pipeline_logits(model, output, result->logits);
    status = pipeline_posterior(model, result->logits, result->log_prior, result->log_probability, err);
    if (status != INFOMASK_OK)
        return status;
    info_pmi(result->log_probability, result->log_prior, k, result->pmi);
    if (model->sigmoid) {
        info_binary_kl_entropy(result->log_probability, result->log_prior, k, &result->information, &result->entropy);
        result->prior_entropy = info_binary_entropy(result->log_prior, k);
    } else {
        info_kl_entropy(result->log_probability, result->log_prior, k, &result->information, &result->entropy);
        result->prior_entropy =
            prior->kind == INFOMASK_PRIOR_TRAIN ? model->info.prior_entropy : info_entropy(result->log_prior, k);
    }
    status = rank(model->sigmoid ? result->pmi : result->log_probability, result, err);
    result->timing.information += clock_ms() - start;
    return status;
}

/* S noisy passes to their posteriors log_q [s][k]; z [s][k] is scratch. */
static enum infomask_status noisy_posteriors(struct infomask_session *session, int samples, uint64_t seed,
                                             const double *log_t, float *z, double *log_q, struct infomask_error *err)
{
    size_t k = session->model->info.classes;
    enum infomask_status status = engine_noisy(session->engine, samples, seed, z, err);

    for (size_t i = 0; i < (size_t)samples && status == INFOMASK_OK; i++) {
        pipeline_logits(session->model, z + i * k, z + i * k);
        status = pipeline_posterior(session->model, z + i * k, log_t, log_q + i * k, err);
    }
    return status;
}

static enum infomask_status add_noise(struct infomask_session *session, const struct infomask_classify_options *options,
                                      struct infomask_classification *result, struct infomask_error *err)
{
    size_t k = result->classes, bytes, s = (size_t)options->samples;
    bool fits = checked_mul3(s, k, sizeof(double), &bytes);
    float *z = fits ? malloc(bytes / 2) : NULL;
    double *log_q = fits ? malloc(bytes) : NULL;
    struct info_noise bounds;
    enum infomask_status status;

    if (z == NULL || log_q == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu samples of %zu classes", s, k);
    else
        status = noisy_posteriors(session, options->samples, options->seed, result->log_prior, z, log_q, err);
    if (status == INFOMASK_OK) {
        info_noise(log_q, result->log_prior, s, k, result->noise_l1, result->noise_ls, &bounds);
        memcpy(result->noise_information, bounds.information, sizeof bounds.information);
        result->model_information = bounds.model_information;
        result->samples = options->samples;
        result->seed = options->seed;
    }
    free(z);
    free(log_q);
    return status;
}

enum infomask_status infomask_classify(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_classify_options *options,
                                       struct infomask_classification *result, struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    struct image_view view = pipeline_view(model, photo->info.width, photo->info.height);
    enum infomask_status status;

    if (options->samples > 0 && !model->info.noise)
        return error_set(err, INFOMASK_NO_NOISE, "this model has no noise layer or dropout, so samples must be 0");
    status = pipeline_result_init(result, model->info.classes, options->samples, err);
    if (status == INFOMASK_OK)
        status = pipeline_pass(session, photo, &view, false, &result->timing, err);
    if (status == INFOMASK_OK)
        status = pipeline_interpret(model, engine_output(session->engine), &options->prior, result, err);
    if (status == INFOMASK_OK && options->samples > 0)
        status = add_noise(session, options, result, err);
    if (status != INFOMASK_OK)
        infomask_classification_fini(result);
    return status;
}

/* One photo of a group into its place of the network's input; a bad one leaves zeros there and its own error. */
static void group_item(struct infomask_session *session, struct infomask_photo *photo, float *input, size_t item,
                       struct infomask_classification *result, struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    struct image_view view = pipeline_view(model, photo->info.width, photo->info.height);
    enum infomask_status status = pipeline_result_init(result, model->info.classes, 0, err);

    if (status == INFOMASK_OK)
        status = pipeline_tensor(session, photo, &view, input, &result->timing, err);
    if (status != INFOMASK_OK)
        memset(input, 0, item * sizeof *input);
    photo_forget(photo); /* a batch of large photos must not stay decoded */
    err->status = status;
}

/* Up to BATCH photos in one pass.  Fails as a whole only when the network does. */
static enum infomask_status classify_group(struct infomask_session *session, struct infomask_photo *const *photos,
                                           int count, const struct infomask_prior *prior,
                                           struct infomask_classification *results, struct infomask_error *errors,
                                           struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    int height = model->spec.height, width = model->spec.width;
    size_t item = (size_t)height * (size_t)width * (size_t)model->info.channels, k = model->info.classes;
    float *input;
    double start;
    enum infomask_status status = engine_prepare(session->engine, count, height, width, false, &input, err);

    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < count; i++)
        group_item(session, photos[i], input + (size_t)i * item, item, &results[i], &errors[i]);
    start = clock_ms();
    status = engine_run(session->engine, err);
    for (int i = 0; i < count && status == INFOMASK_OK; i++) {
        results[i].timing.network = (clock_ms() - start) / count;
        if (errors[i].status == INFOMASK_OK)
            errors[i].status = pipeline_interpret(model, engine_output(session->engine) + (size_t)i * k, prior,
                                                  &results[i], &errors[i]);
        if (errors[i].status != INFOMASK_OK)
            infomask_classification_fini(&results[i]);
    }
    return status;
}

enum infomask_status infomask_classify_batch(struct infomask_session *session, struct infomask_photo *const *photos,
                                             int count, const struct infomask_classify_options *options,
                                             struct infomask_classification *results, struct infomask_error *errors,
                                             struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < count; i++) {
        results[i] = (struct infomask_classification){0};
        errors[i] = (struct infomask_error){0};
    }
    if (options->samples > 0) { /* noise is drawn behind one picture's pass */
        for (int i = 0; i < count; i++)
            errors[i].status = infomask_classify(session, photos[i], options, &results[i], &errors[i]);
        return INFOMASK_OK;
    }
    for (int first = 0; first < count && status == INFOMASK_OK; first += BATCH)
        status = classify_group(session, photos + first, count - first < BATCH ? count - first : BATCH,
                                &options->prior, results + first, errors + first, err);
    for (int i = 0; i < count && status != INFOMASK_OK; i++)
        infomask_classification_fini(&results[i]);
    return status;
}
