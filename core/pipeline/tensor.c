/* What the network sees and says of it, without a mask in between: raw tensors in (protocol v2, infomask run), and the
 * cells of the very pass that classified. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/infomask_lab.h"
#include "core/mask/mask.h"
#include "core/pipeline/pipeline.h"

/* infoCAM of item i of the pass: its mean is the PMI of the classification. */
static enum infomask_status cells_of(struct infomask_session *session, int i, int target,
                                     const struct infomask_classification *result, struct infomask_cells *cells,
                                     struct infomask_error *err)
{
    struct engine_tap f = engine_features(session->engine);
    struct pipeline_cells of;
    int n = f.h * f.w, class = target >= 0 ? target : result->order[0];
    struct mask_set set;
    enum infomask_status status;
    double *share;

    cells->target = class;
    cells->rows = f.h;
    cells->columns = f.w;
    cells->values = malloc((size_t)n * sizeof *cells->values);
    if (cells->values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the map");
    set = pipeline_set(session->model, &class, result->log_prior);
    share = malloc((size_t)set.count * sizeof *share);
    if (share == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the map");
    mask_set_share(&set, result->log_probability, share);
    set.share = share;
    status = pipeline_cells_init(&of, session->model, f.data + (size_t)i * (size_t)n * (size_t)f.c, n, err);
    if (status == INFOMASK_OK) {
        status = mask_information(&of.head, &set, of.f, n, infomask_score(session->model, result, class).pmi,
                                  cells->values, err);
        pipeline_cells_fini(&of);
    }
    free(share);
    return status;
}

void infomask_cells_fini(struct infomask_cells *cells)
{
    free(cells->values);
    *cells = (struct infomask_cells){0};
}

static void forget(struct infomask_classification *results, struct infomask_cells *cells, int n)
{
    for (int i = 0; i < n; i++) {
        infomask_classification_fini(&results[i]);
        if (cells != NULL)
            infomask_cells_fini(&cells[i]);
    }
}

/* Runs what is in the network's input, and reads every item's numbers. */
static enum infomask_status run_and_read(struct infomask_session *session, int n,
                                         const struct infomask_classify_options *options, int target,
                                         struct infomask_classification *results, struct infomask_cells *cells,
                                         struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    double start = clock_ms(), network;
    enum infomask_status status = engine_run(session->engine, err);

    network = clock_ms() - start;
    for (int i = 0; i < n && status == INFOMASK_OK; i++) {
        status = pipeline_result_init(&results[i], model->info.classes, 0, err);
        if (status == INFOMASK_OK)
            status = pipeline_interpret(model, engine_output(session->engine) + (size_t)i * model->info.classes,
                                        &options->prior, &results[i], err);
        if (status == INFOMASK_OK && cells != NULL)
            status = cells_of(session, i, target, &results[i], &cells[i], err);
        if (status == INFOMASK_OK)
            results[i].timing.network = network / n;
    }
    return status;
}

static enum infomask_status check_map(const struct infomask_model *model, const struct infomask_cells *cells,
                                      struct infomask_error *err)
{
    if (cells != NULL && !model->info.class_map)
        return error_set(err, INFOMASK_NO_CLASS_MAP, "this model has no class map: %s",
                         infomask_why_not(&model->info, INFOMASK_INFOCAM));
    return INFOMASK_OK;
}

enum infomask_status infomask_classify_cells(struct infomask_session *session, struct infomask_photo *photo,
                                             const struct infomask_classify_options *options, int target,
                                             struct infomask_classification *result, struct infomask_cells *cells,
                                             struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    struct image_view view = pipeline_view(model, photo->info.width, photo->info.height);
    struct infomask_timing timing = {0};
    float *input;
    enum infomask_status status = check_map(model, cells, err);

    *result = (struct infomask_classification){0};
    if (cells != NULL)
        *cells = (struct infomask_cells){0};
    if (status == INFOMASK_OK)
        status = engine_prepare(session->engine, 1, view.out_height, view.out_width, cells != NULL, &input, err);
    if (status == INFOMASK_OK)
        status = pipeline_tensor(session, photo, &view, input, &timing, err);
    if (status == INFOMASK_OK)
        status = run_and_read(session, 1, options, target, result, cells, err);
    result->timing.decode = timing.decode;
    result->timing.preprocess = timing.preprocess;
    if (status != INFOMASK_OK)
        forget(result, cells, 1);
    return status;
}

/* NCHW as most files have it, to the engine's NHWC. */
static void to_nhwc(const float *nchw, int n, size_t c, size_t pixels, float *nhwc)
{
    for (int i = 0; i < n; i++, nchw += c * pixels, nhwc += c * pixels)
        for (size_t p = 0; p < pixels; p++)
            for (size_t j = 0; j < c; j++)
                nhwc[p * c + j] = nchw[j * pixels + p];
}

/* The caller's tensor, in the model file's own layout, into the network's input. */
static enum infomask_status take_tensor(struct infomask_session *session, const struct infomask_images *input,
                                        bool taps, struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    int n = input->n, h = input->h, w = input->w;
    size_t pixels = (size_t)h * (size_t)w, channels = (size_t)model->info.channels;
    float *own;
    enum infomask_status status = engine_prepare(session->engine, n, h, w, taps, &own, err);

    if (status == INFOMASK_ARGUMENT)
        error_prefix(err, "the input has H x W = %d x %d, the model is made for %d x %d", h, w, model->info.height,
                     model->info.width);
    if (status != INFOMASK_OK)
        return status;
    if (model->spec.nhwc)
        memcpy(own, input->data, (size_t)n * pixels * channels * sizeof *own);
    else
        to_nhwc(input->data, n, channels, pixels, own);
    return INFOMASK_OK;
}

/* Photos cannot make a sound network overflow, numbers of the caller's own can: that is then his input's fault. */
static enum infomask_status blame(const struct infomask_session *session, int n, struct infomask_error *err)
{
    const float *output = engine_output(session->engine);

    for (size_t i = 0; i < (size_t)n * session->model->info.classes; i++)
        if (!isfinite(output[i]))
            return error_set(err, INFOMASK_BAD_DATA, "the network overflows on this input: its output is not finite");
    return INFOMASK_INTERNAL;
}

enum infomask_status infomask_classify_tensor(struct infomask_session *session, const struct infomask_images *input,
                                              const struct infomask_classify_options *options, int target,
                                              struct infomask_classification *results, struct infomask_cells *cells,
                                              struct infomask_error *err)
{
    int n = input->n;
    enum infomask_status status = check_map(session->model, cells, err);

    for (int i = 0; i < n; i++) {
        results[i] = (struct infomask_classification){0};
        if (cells != NULL)
            cells[i] = (struct infomask_cells){0};
    }
    if (status == INFOMASK_OK)
        status = take_tensor(session, input, cells != NULL, err);
    if (status == INFOMASK_OK)
        status = run_and_read(session, n, options, target, results, cells, err);
    if (status == INFOMASK_INTERNAL)
        status = blame(session, n, err);
    if (status != INFOMASK_OK)
        forget(results, cells, n);
    return status;
}

enum infomask_status infomask_run(struct infomask_session *session, const struct infomask_images *input, float *output,
                                  struct infomask_error *err)
{
    enum infomask_status status = take_tensor(session, input, false, err);

    if (status == INFOMASK_OK)
        status = engine_run(session->engine, err);
    if (status == INFOMASK_OK)
        memcpy(output, engine_output(session->engine),
               (size_t)input->n * session->model->info.classes * sizeof *output);
    return status;
}
