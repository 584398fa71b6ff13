/* Occlusion maps: what the class loses, in nats, when a window is painted over (Zeiler and Fergus 2014).  Works for
 * every network; costs one pass a window, in batches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/pipeline/mask.h"

#define BATCH 8
#define MOST_WINDOWS 4096

struct occlusion {
    const struct mask_plan *plan;
    int h, w, channels;
    int window, stride, rows, columns;
    float *photo; /* [h, w, channels] */
    float mean[4];
    double *before; /* [count] PMI of the whole photo */
    double *drop;   /* [rows, columns, count] */
    double *pmi;    /* [count] */
};

static void occlusion_fini(struct occlusion *o)
{
    free(o->photo);
    free(o->before);
    free(o->drop);
    free(o->pmi);
}

static enum infomask_status occlusion_init(struct occlusion *o, const struct mask_plan *plan,
                                           struct infomask_error *err)
{
    const struct infomask_mask_options *options = plan->options;
    size_t pixels, windows, count = (size_t)plan->count;
    int shorter;

    *o = (struct occlusion){.plan = plan, .h = plan->view.out_height, .w = plan->view.out_width};
    o->channels = plan->session->model->info.channels;
    shorter = o->h < o->w ? o->h : o->w;
    o->window = options->occlusion_window > 0 ? options->occlusion_window : (shorter + 3) / 4;
    o->stride = options->occlusion_stride > 0 ? options->occlusion_stride : (shorter + 7) / 8;
    o->rows = (o->h + o->stride - 1) / o->stride;
    o->columns = (o->w + o->stride - 1) / o->stride;
    if (!checked_mul((size_t)o->rows, (size_t)o->columns, &windows) || windows > MOST_WINDOWS)
        return error_set(err, INFOMASK_ARGUMENT, "an occlusion stride of %d makes more than %d windows", o->stride,
                         MOST_WINDOWS);
    if (!checked_mul3((size_t)o->h, (size_t)o->w, (size_t)o->channels, &pixels))
        return error_set(err, INFOMASK_MEMORY, "no memory for the occlusion map");
    o->photo = malloc(pixels * sizeof *o->photo);
    o->before = malloc(count * sizeof *o->before);
    o->pmi = malloc(count * sizeof *o->pmi);
    o->drop = malloc(windows * count * sizeof *o->drop);
    if (o->photo == NULL || o->before == NULL || o->pmi == NULL || o->drop == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the occlusion map");
    return INFOMASK_OK;
}

static void mean_color(struct occlusion *o)
{
    size_t n = (size_t)o->h * (size_t)o->w, c = (size_t)o->channels;
    double sum[4] = {0};

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            sum[k] += (double)o->photo[i * c + k];
    for (size_t k = 0; k < c; k++)
        o->mean[k] = (float)(sum[k] / (double)n);
}

/* From where to where window `i` of an axis reaches, centred on its cell. */
static void window_span(const struct occlusion *o, int i, int size, int *from, int *to)
{
    int start = i * o->stride + o->stride / 2 - o->window / 2, end = start + o->window;

    *from = start > 0 ? start : 0;
    *to = end < size ? end : size;
}

static void paint_window(const struct occlusion *o, int window, float *input)
{
    int y0, y1, x0, x1;
    size_t c = (size_t)o->channels;

    memcpy(input, o->photo, (size_t)o->h * (size_t)o->w * c * sizeof *input);
    window_span(o, window / o->columns, o->h, &y0, &y1);
    window_span(o, window % o->columns, o->w, &x0, &x1);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            memcpy(input + ((size_t)y * (size_t)o->w + (size_t)x) * c, o->mean, c * sizeof *input);
}

/* The photo itself: its tensor, and the PMI to lose. */
static enum infomask_status first_pass(struct occlusion *o, struct infomask_timing *timing, struct infomask_error *err)
{
    const struct mask_plan *plan = o->plan;
    float *input;
    enum infomask_status status = pipeline_tensor(plan->session, plan->photo, &plan->view, o->photo, timing, err);

    if (status == INFOMASK_OK)
        status = engine_prepare(plan->session->engine, 1, o->h, o->w, false, &input, err);
    if (status != INFOMASK_OK)
        return status;
    memcpy(input, o->photo, (size_t)o->h * (size_t)o->w * (size_t)o->channels * sizeof *input);
    mean_color(o);
    status = engine_run(plan->session->engine, err);
    return status == INFOMASK_OK ? plan_pmi(plan, engine_output(plan->session->engine), o->before, err) : status;
}

static enum infomask_status run_batch(struct occlusion *o, int first, int n, struct infomask_error *err)
{
    const struct mask_plan *plan = o->plan;
    size_t item = (size_t)o->h * (size_t)o->w * (size_t)o->channels, k = plan->session->model->info.classes;
    float *input;
    enum infomask_status status = engine_prepare(plan->session->engine, n, o->h, o->w, false, &input, err);

    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < n; i++)
        paint_window(o, first + i, input + (size_t)i * item);
    status = engine_run(plan->session->engine, err);
    for (int i = 0; i < n && status == INFOMASK_OK; i++) {
        status = plan_pmi(plan, engine_output(plan->session->engine) + (size_t)i * k, o->pmi, err);
        for (int t = 0; t < plan->count; t++)
            o->drop[(size_t)(first + i) * (size_t)plan->count + (size_t)t] = o->before[t] - o->pmi[t];
    }
    return status;
}

static enum infomask_status run_windows(struct occlusion *o, struct infomask_error *err)
{
    int windows = o->rows * o->columns, batch = BATCH;
    enum infomask_status status = INFOMASK_OK;

    for (int first = 0; first < windows && status == INFOMASK_OK;) {
        int n = windows - first < batch ? windows - first : batch;
        status = plan_expired(o->plan->photo, err);
        if (status == INFOMASK_OK)
            status = run_batch(o, first, n, err);
        if (status == INFOMASK_LIMIT && batch > 1) { /* the arena has no room for so many at once */
            batch /= 2;
            status = INFOMASK_OK;
        } else {
            first += n;
        }
    }
    return status;
}

/* The mean drop of the windows that cover the middle of the cell. */
static double cell_value(const struct occlusion *o, int row, int column, int target)
{
    int reach = o->window / (2 * o->stride) + 1, count = 0;
    int cy = row * o->stride + o->stride / 2, cx = column * o->stride + o->stride / 2;
    double sum = 0;

    for (int y = row - reach; y <= row + reach; y++)
        for (int x = column - reach; x <= column + reach; x++) {
            int y0, y1, x0, x1;
            if (y < 0 || x < 0 || y >= o->rows || x >= o->columns)
                continue;
            window_span(o, y, o->h, &y0, &y1);
            window_span(o, x, o->w, &x0, &x1);
            if (cy < y0 || cy >= y1 || cx < x0 || cx >= x1)
                continue;
            sum += o->drop[((size_t)y * (size_t)o->columns + (size_t)x) * (size_t)o->plan->count + (size_t)target];
            count++;
        }
    return count > 0 ? sum / count : 0;
}

static enum infomask_status store_maps(const struct occlusion *o, float **maps, struct infomask_error *err)
{
    for (int t = 0; t < o->plan->count; t++) {
        maps[t] = malloc((size_t)o->rows * (size_t)o->columns * sizeof(float));
        if (maps[t] == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the occlusion map");
        for (int y = 0; y < o->rows; y++)
            for (int x = 0; x < o->columns; x++)
                maps[t][y * o->columns + x] = (float)cell_value(o, y, x, t);
    }
    return INFOMASK_OK;
}

enum infomask_status occlusion_maps(const struct mask_plan *plan, float **maps, int *rows, int *columns,
                                    struct infomask_timing *timing, struct infomask_error *err)
{
    struct occlusion o;
    double start = clock_ms();
    enum infomask_status status = occlusion_init(&o, plan, err);

    if (status == INFOMASK_OK)
        status = first_pass(&o, timing, err);
    if (status == INFOMASK_OK)
        status = run_windows(&o, err);
    if (status == INFOMASK_OK)
        status = store_maps(&o, maps, err);
    *rows = o.rows;
    *columns = o.columns;
    occlusion_fini(&o);
    timing->map += clock_ms() - start;
    return status;
}
