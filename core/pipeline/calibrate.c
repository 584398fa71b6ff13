/* Quantises a model on photos, and measures on others what that changes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/info/info.h"
#include "core/infomask_train.h"
#include "core/pipeline/pipeline.h"
#include "core/quant/quant.h"

#define DEFAULT_CROPS 96
#define DEFAULT_HELD_OUT 500
#define MOST_CROPS 100000
#define APART 8        /* photos from which some are kept for the measurement alone: every third */
#define SMALLEST 0.4   /* crop, of the shorter side */
#define TOP 5

/* ---- Crops of photos --------------------------------------------------------------------------------------------- */

/* Some of the photos, and how many crops each of them gives. */
struct share {
    const size_t *photos; /* by their numbers */
    size_t count;
    int crops;
    uint64_t stream; /* of the random numbers: apart for calibration and measurement */
};

static int crops_of(const struct share *share, size_t i)
{
    return (int)(((uint64_t)i + 1) * (uint64_t)share->crops / share->count -
                 (uint64_t)i * (uint64_t)share->crops / share->count);
}

static int crops_before(const struct share *share, size_t i)
{
    return (int)((uint64_t)i * (uint64_t)share->crops / share->count);
}

struct job {
    const struct infomask_quantize_options *options;
    struct infomask_model *exact, *rounded; /* rounded: while it is measured */
    struct engine_session *exact_sessions[POOL_MAX_THREADS], *rounded_sessions[POOL_MAX_THREADS];
    struct pool *pool;
    size_t count;                             /* photos that are looked at */
    size_t *numbers, *calibrated, *held_out;  /* [count] photos, by their numbers */
    struct infomask_error *errors;            /* [photos] */
    struct share share;
    float *pictures; /* [crops] of the calibration */
    struct tally *tallies; /* [share.count] */
};

/* The size of the model's own view times a random factor, anywhere on the photo. */
static struct image_view random_view(const struct infomask_model *model, int width, int height,
                                     struct random_stream *stream)
{
    struct image_view view = pipeline_view(model, width, height);
    double whole = model->spec.fit == INFOMASK_CROP ? model->spec.crop : 1;
    double factor = (SMALLEST + (1 - SMALLEST) * random_unit(stream)) / whole;

    view.width = fmin(view.width * factor, width);
    view.height = fmin(view.height * factor, height);
    view.left = floor((width - view.width) * random_unit(stream));
    view.top = floor((height - view.height) * random_unit(stream));
    return view;
}

typedef enum infomask_status crop_body(struct job *job, size_t i, int crop, int worker, const float *tensor,
                                       struct infomask_error *err);

/* Every crop of photo i of the share, as the network takes it, through `body`. */
static enum infomask_status each_crop(struct job *job, size_t i, int worker, crop_body *body,
                                      struct infomask_error *err)
{
    const struct infomask_model *model = job->exact;
    size_t number = job->share.photos[i], size = 0;
    struct random_stream stream = random_stream(job->options->seed, (uint64_t)number << 8 | job->share.stream);
    struct infomask_session session = {.model = job->exact};
    struct infomask_timing timing = {0};
    struct infomask_photo *photo = NULL;
    char *bytes = NULL;
    float *tensor = malloc((size_t)model->spec.width * (size_t)model->spec.height * (size_t)model->info.channels *
                           sizeof *tensor);
    enum infomask_status status = tensor != NULL ? job->options->read(job->options->context, number, &bytes, &size, err)
                                                 : error_set(err, INFOMASK_MEMORY, "out of memory");

    if (status == INFOMASK_OK)
        status = infomask_photo_open(bytes, size, job->options->limits, &photo, err);
    if (status == INFOMASK_OK)
        infomask_photo_whole(photo);
    for (int c = 0; c < crops_of(&job->share, i) && status == INFOMASK_OK; c++) {
        int width = photo->info.width, height = photo->info.height;
        struct image_view view = c == 0 ? pipeline_view(model, width, height)
                                        : random_view(model, width, height, &stream);
        status = pipeline_tensor(&session, photo, &view, tensor, &timing, err);
        if (status == INFOMASK_OK)
            status = body(job, i, c, worker, tensor, err);
    }
    infomask_photo_close(photo);
    free(bytes);
    free(tensor);
    return status;
}

/* ---- Which photos ------------------------------------------------------------------------------------------------ */

static void look_at_photo(void *context, int i, int worker)
{
    struct job *job = context;
    struct infomask_photo *photo = NULL;
    char *bytes = NULL;
    size_t size = 0;
    size_t number = job->numbers[i];
    struct infomask_error *err = &job->errors[number];
    const struct image *image;

    (void)worker;
    err->status = job->options->read(job->options->context, number, &bytes, &size, err);
    if (err->status == INFOMASK_OK)
        err->status = infomask_photo_open(bytes, size, job->options->limits, &photo, err);
    if (err->status == INFOMASK_OK)
        err->status = photo_image(photo, 8, NULL, &image, NULL, err);
    infomask_photo_close(photo);
    free(bytes);
}

/* Photos that can be read, no more than there are to be crops; with enough of them, every third is for the
 * measurement. */
static enum infomask_status share_photos(struct job *job, struct infomask_quantized *result, struct infomask_error *err)
{
    size_t photos = job->options->photos, most = (size_t)result->crops + (size_t)result->held_out, readable = 0;

    job->count = photos < most ? photos : most;
    for (size_t i = 0; i < job->count; i++)
        job->numbers[i] = i * photos / job->count;
    pool_for(job->pool, (int)job->count, look_at_photo, job);
    for (size_t i = 0; i < job->count; i++)
        if (job->errors[job->numbers[i]].status == INFOMASK_OK)
            job->numbers[readable++] = job->numbers[i];
    result->left_out = job->count - readable;
    if (readable == 0)
        return error_set(err, INFOMASK_BAD_DATA, "there is no photo that can be read");
    result->apart = readable >= APART;
    for (size_t i = 0; i < readable; i++) {
        if (!result->apart || i % 3 != 2)
            job->calibrated[result->photos++] = job->numbers[i];
        if (!result->apart || i % 3 == 2)
            job->held_out[result->held_out_photos++] = job->numbers[i];
    }
    return INFOMASK_OK;
}

static enum infomask_status first_failure(const struct job *job, struct infomask_error *err)
{
    for (size_t i = 0; i < job->share.count; i++) {
        const struct infomask_error *e = &job->errors[job->share.photos[i]];
        if (e->status != INFOMASK_OK)
            return error_set(err, e->status, "%s", e->text);
    }
    return INFOMASK_OK;
}

/* ---- Calibration ------------------------------------------------------------------------------------------------- */

static enum infomask_status keep_crop(struct job *job, size_t i, int crop, int worker, const float *tensor,
                                      struct infomask_error *err)
{
    size_t elements = (size_t)job->exact->spec.width * (size_t)job->exact->spec.height *
                      (size_t)job->exact->info.channels;

    (void)worker;
    (void)err;
    memcpy(job->pictures + (size_t)(crops_before(&job->share, i) + crop) * elements, tensor, elements * sizeof *tensor);
    return INFOMASK_OK;
}

static void keep_photo(void *context, int i, int worker)
{
    struct job *job = context;
    (void)each_crop(job, (size_t)i, worker, keep_crop, &job->errors[job->share.photos[i]]);
}

static enum infomask_status new_graph(void *context, struct graph **graph, struct infomask_error *err)
{
    enum infomask_status status;

    *graph = NULL;
    status = pipeline_read(context, false, graph, err);
    if (status == INFOMASK_OK)
        status = pipeline_fuse(*graph, err);
    if (status != INFOMASK_OK) {
        graph_free(*graph);
        *graph = NULL;
    }
    return status;
}

static void tell_layer(void *context, int layer, int layers, const char *tensor)
{
    const struct infomask_quantize_options *options = context;
    if (options->progress != NULL)
        options->progress(options->context, tensor, layer, layers);
}

/* The range of bytes, as the network sees it. */
static void input_range(const struct infomask_model *model, float *low, float *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int c = 0; c < model->info.channels; c++) {
        *low = fminf(*low, (0 - model->spec.mean[c]) / model->spec.std[c]);
        *high = fmaxf(*high, (255 - model->spec.mean[c]) / model->spec.std[c]);
    }
}

static enum infomask_status make_weights(struct job *job, struct infomask_quantized *result, struct quant **quant,
                                         struct infomask_error *err)
{
    const struct infomask_quantize_options *o = job->options;
    struct quant_options how = {.kernels = job->exact->kernels, .graph = new_graph,
                                .graph_context = (void *)(uintptr_t)o->model, .count = result->crops,
                                .h = job->exact->spec.height, .w = job->exact->spec.width, .keep = o->keep,
                                .keep_count = o->keep_count, .nearest = o->nearest, .pool = job->pool,
                                .progress = tell_layer, .progress_context = (void *)(uintptr_t)o};
    size_t elements = (size_t)how.h * (size_t)how.w * (size_t)job->exact->info.channels;
    enum infomask_status status;

    job->share = (struct share){job->calibrated, result->photos, result->crops, 0};
    job->pictures = calloc((size_t)result->crops, elements * sizeof *job->pictures);
    if (job->pictures == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %d crops", result->crops);
    pool_for(job->pool, (int)job->share.count, keep_photo, job);
    status = first_failure(job, err);
    how.pictures = job->pictures;
    input_range(job->exact, &how.input_low, &how.input_high);
    if (status == INFOMASK_OK)
        status = quant_make(&how, quant, err);
    if (status != INFOMASK_OK)
        return status;
    memcpy((*quant)->model, job->exact->info.sha256, SHA256_HEX);
    for (int i = 0; i < (*quant)->int8.count; i++) {
        result->kept += (*quant)->int8.layers[i].bf16;
        result->layers += !(*quant)->int8.layers[i].bf16;
    }
    return INFOMASK_OK;
}

/* ---- Measurement ------------------------------------------------------------------------------------------------- */

#define CLEAR_NATS 0.1 /* between the two best classes: closer ones any rounding may exchange */

struct tally { /* of a photo's crops */
    int agree, clear, clear_agree, sure, sure_agree;
    double squares;
};

/* log p of the network's output for the tensor, [classes]. */
static enum infomask_status log_probabilities(struct infomask_model *model, struct engine_session **session,
                                              const float *tensor, double *log_p, struct infomask_error *err)
{
    size_t elements = (size_t)model->spec.width * (size_t)model->spec.height * (size_t)model->info.channels;
    float *input = NULL;
    enum infomask_status status = INFOMASK_OK;

    if (*session == NULL)
        status = engine_session_create(session, model->engine, NULL, err);
    if (status == INFOMASK_OK)
        status = engine_prepare(*session, 1, model->spec.height, model->spec.width, false, &input, err);
    if (status != INFOMASK_OK)
        return status;
    memcpy(input, tensor, elements * sizeof *input);
    status = engine_run(*session, err);
    for (size_t i = 0; i < model->info.classes && status == INFOMASK_OK; i++) {
        double v = (double)engine_output(*session)[i];
        log_p[i] = (model->probabilities ? log(fmax(v, 1e-30)) : v) / model->temperature;
    }
    if (status == INFOMASK_OK)
        info_log_softmax(log_p, model->info.classes, log_p);
    return status;
}

static size_t best_of(const double *p, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = p[i] > p[best] ? i : best;
    return best;
}

static void compare(double *exact, const double *rounded, size_t classes, struct tally *tally)
{
    size_t best = best_of(exact, classes), terms = classes < TOP ? classes : TOP;
    bool agrees = best_of(rounded, classes) == best, sure = exact[best] >= log(0.5), clear = true;
    double squares = 0, first = exact[best];

    for (size_t i = 0; i < terms; i++) {
        size_t next = best_of(exact, classes);
        if (i == 1)
            clear = first - exact[next] >= CLEAR_NATS;
        squares += (rounded[next] - exact[next]) * (rounded[next] - exact[next]);
        exact[next] = -INFINITY;
    }
    tally->agree += agrees;
    tally->clear += clear;
    tally->clear_agree += clear && agrees;
    tally->sure += sure;
    tally->sure_agree += sure && agrees;
    tally->squares += squares / (double)terms;
}

static enum infomask_status measure_crop(struct job *job, size_t i, int crop, int worker, const float *tensor,
                                         struct infomask_error *err)
{
    size_t classes = job->exact->info.classes;
    double *log_p = malloc(2 * classes * sizeof *log_p);
    enum infomask_status status = log_p != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");

    (void)crop;
    if (status == INFOMASK_OK)
        status = log_probabilities(job->exact, &job->exact_sessions[worker], tensor, log_p, err);
    if (status == INFOMASK_OK)
        status = log_probabilities(job->rounded, &job->rounded_sessions[worker], tensor, log_p + classes, err);
    if (status == INFOMASK_OK)
        compare(log_p, log_p + classes, classes, &job->tallies[i]);
    free(log_p);
    return status;
}

static void measure_photo(void *context, int i, int worker)
{
    struct job *job = context;
    (void)each_crop(job, (size_t)i, worker, measure_crop, &job->errors[job->share.photos[i]]);
}

static enum infomask_status measure(struct job *job, const struct quant *quant, struct infomask_quantized *result,
                                    struct infomask_error *err)
{
    struct tally all = {0};
    enum infomask_status status = pipeline_load_int8(job->options->model, quant, &job->rounded, err);

    if (status != INFOMASK_OK)
        return status;
    job->share = (struct share){job->held_out, result->held_out_photos, result->held_out, 1};
    job->tallies = calloc(job->share.count, sizeof *job->tallies);
    if (job->tallies == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (job->options->progress != NULL)
        job->options->progress(job->options->context, "measuring", 0, 1);
    pool_for(job->pool, (int)job->share.count, measure_photo, job);
    for (size_t i = 0; i < job->share.count; i++) {
        all.agree += job->tallies[i].agree;
        all.clear += job->tallies[i].clear;
        all.clear_agree += job->tallies[i].clear_agree;
        all.sure += job->tallies[i].sure;
        all.sure_agree += job->tallies[i].sure_agree;
        all.squares += job->tallies[i].squares;
    }
    result->agreement = (double)all.agree / result->held_out;
    result->log_probability_error = sqrt(all.squares / result->held_out);
    result->clear = (double)all.clear / result->held_out;
    result->clear_agreement = all.clear > 0 ? (double)all.clear_agree / all.clear : (double)NAN;
    result->sure = (double)all.sure / result->held_out;
    result->sure_agreement = all.sure > 0 ? (double)all.sure_agree / all.sure : (double)NAN;
    return first_failure(job, err);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static enum infomask_status job_open(struct job *job, struct infomask_error *err)
{
    size_t photos = job->options->photos + 1;
    struct infomask_model_spec spec = *job->options->model;

    job->numbers = calloc(photos, sizeof *job->numbers);
    job->calibrated = calloc(photos, sizeof *job->calibrated);
    job->held_out = calloc(photos, sizeof *job->held_out);
    job->errors = calloc(photos, sizeof *job->errors);
    if (job->numbers == NULL || job->calibrated == NULL || job->held_out == NULL || job->errors == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    spec.precision = INFOMASK_F32;
    return infomask_model_load(&spec, &job->exact, err);
}

static void job_close(struct job *job)
{
    for (int i = 0; i < POOL_MAX_THREADS; i++) {
        engine_session_free(job->exact_sessions[i]);
        engine_session_free(job->rounded_sessions[i]);
    }
    infomask_model_free(job->exact);
    infomask_model_free(job->rounded);
    free(job->numbers);
    free(job->calibrated);
    free(job->held_out);
    free(job->errors);
    free(job->pictures);
    free(job->tallies);
}

enum infomask_status infomask_quantize(const struct infomask_quantize_options *options, struct pool *pool,
                                       struct infomask_quantized *result, struct infomask_error *err)
{
    struct job job = {.options = options, .pool = pool};
    struct quant *quant = NULL;
    enum infomask_status status;

    *result = (struct infomask_quantized){.crops = options->crops > 0 ? options->crops : DEFAULT_CROPS,
                                          .held_out = options->held_out > 0 ? options->held_out : DEFAULT_HELD_OUT};
    if (options->photos < 1 || options->photos > INT32_MAX || result->crops > MOST_CROPS ||
        result->held_out > MOST_CROPS)
        return error_set(err, INFOMASK_ARGUMENT, "quantising takes at least one photo and at most %d crops",
                         MOST_CROPS);
    status = job_open(&job, err);
    if (status == INFOMASK_OK)
        status = share_photos(&job, result, err);
    if (status == INFOMASK_OK)
        status = make_weights(&job, result, &quant, err);
    free(job.pictures);
    job.pictures = NULL;
    if (status == INFOMASK_OK)
        status = measure(&job, quant, result, err);
    if (status == INFOMASK_OK && options->output != NULL)
        status = quant_write(quant, options->output, err);
    quant_free(quant);
    job_close(&job);
    return status;
}
