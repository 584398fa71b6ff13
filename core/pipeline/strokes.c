/* Canvases: strokes (digits, letters, signs) on a flat background, on a picture larger than what the network was
 * trained on.  A stroke is one thing: it is taken whole or left.  One that fits the training view is judged by the
 * network on that view centred on it, a larger one by the mean of the window PMI over its pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/mask.h"

#define LEVELS 256
#define FLAT_SHARE 0.4      /* of the pixels near the commonest grey: a flat background */
#define FLAT_SPREAD 12      /* grey levels */
#define FLAT_MOST 0.95      /* of the background's pixels: their distance from it is its noise */
#define STROKES_LEAST 0.002 /* of all pixels: as many are strokes */
#define STROKE_LEVELS 48    /* from the background's grey to a stroke's, at most */
#define RIM_LEVELS 16       /* to its rim's, on a background that is not quite flat */
#define BATCH 16
#define MOST_VIEWS 4096

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the strokes of the mask");
}

/* ---- What is a stroke -------------------------------------------------------------------------------------------- */

/* The greys of a canvas: its background, and how far from it strokes and their rims begin. */
struct greys {
    int ground, stroke, rim;
    double flat; /* share of the pixels within FLAT_SPREAD of the background */
};

static struct greys look_at_greys(const struct image *image, size_t n)
{
    size_t count[LEVELS] = {0}, away[LEVELS] = {0}, near = 0, sum = 0;
    struct greys g = {0};
    int noise = 0, contrast = LEVELS - 1;

    for (size_t i = 0; i < n; i++)
        count[pixels_luma(image->pixels + i * (size_t)image->channels)]++;
    for (int v = 1; v < LEVELS; v++)
        g.ground = count[v] > count[g.ground] ? v : g.ground;
    for (int v = 0; v < LEVELS; v++)
        away[abs(v - g.ground)] += count[v];
    for (int d = 0; d <= FLAT_SPREAD; d++)
        near += away[d];
    for (; (double)(sum + away[noise]) < FLAT_MOST * (double)near; noise++)
        sum += away[noise];
    for (sum = 0; contrast > 0 && (double)(sum + away[contrast]) < STROKES_LEAST * (double)n; contrast--)
        sum += away[contrast];
    g.flat = (double)near / (double)n;
    g.rim = noise == 0 ? 1 : noise * 3 > RIM_LEVELS ? noise * 3 : RIM_LEVELS; /* JPEG rings around strokes */
    g.stroke = contrast / 2 < STROKE_LEVELS ? contrast / 2 : STROKE_LEVELS;
    g.stroke = g.stroke > g.rim ? g.stroke : g.rim;
    return g;
}

enum infomask_status strokes_mark(struct infomask_photo *photo, struct pool *pool, uint8_t *marks, bool *flat,
                                   struct infomask_timing *timing, struct infomask_error *err)
{
    const struct image *image;
    struct greys greys;
    size_t n;
    enum infomask_status status = photo_image(photo, 8, pool, &image, timing, err);

    if (status != INFOMASK_OK)
        return status;
    n = (size_t)image->width * (size_t)image->height;
    greys = look_at_greys(image, n);
    *flat = greys.flat >= FLAT_SHARE;
    for (size_t i = 0; i < n && marks != NULL; i++) {
        int away = abs(pixels_luma(image->pixels + i * (size_t)image->channels) - greys.ground);
        marks[i] = away >= greys.stroke ? MASK_STROKE : away >= greys.rim ? MASK_RIM : 0;
    }
    return INFOMASK_OK;
}

/* ---- The network on each stroke ---------------------------------------------------------------------------------- */

/* What the network says of the view that is centred on a stroke. */
struct verdicts {
    const struct mask_plan *plan;
    const struct image *image;
    int view_h, view_w; /* photo pixels */
    int *item;          /* [strokes] its row of pmi and best, or -1: too large for a view */
    int *stroke;        /* [count] */
    int count;
    double *pmi;        /* [count, targets] */
    int *best;          /* [count] the likeliest class */
    struct image crop;  /* [view_h, view_w] */
};

static void verdicts_fini(struct verdicts *v)
{
    free(v->item);
    free(v->stroke);
    free(v->pmi);
    free(v->best);
    image_fini(&v->crop);
}

static enum infomask_status verdicts_init(struct verdicts *v, const struct mask_strokes *strokes,
                                          struct infomask_error *err)
{
    const struct infomask_model_spec *spec = &v->plan->session->model->spec;
    size_t n = (size_t)strokes->count + 1;

    v->view_h = (int)rint((double)spec->height * v->image->height / v->plan->view.out_height);
    v->view_w = (int)rint((double)spec->width * v->image->width / v->plan->view.out_width);
    v->item = malloc(n * sizeof *v->item);
    v->stroke = malloc(n * sizeof *v->stroke);
    v->best = malloc(n * sizeof *v->best);
    v->pmi = malloc(n * (size_t)v->plan->count * sizeof *v->pmi);
    if (v->item == NULL || v->stroke == NULL || v->best == NULL || v->pmi == NULL)
        return no_memory(err);
    for (int i = 0; i < strokes->count; i++) {
        const struct mask_region *r = &strokes->region[i];
        bool fits = r->width <= v->view_w && r->height <= v->view_h && v->count < MOST_VIEWS;
        v->item[i] = fits ? v->count : -1;
        if (fits)
            v->stroke[v->count++] = i;
    }
    return image_init(&v->crop, v->view_w, v->view_h, v->image->channels, err);
}

/* The view centred on the stroke's centre of mass; beyond the photo its nearest pixels go on. */
static void cut_view(struct verdicts *v, const struct mask_region *r)
{
    const struct image *image = v->image;
    size_t c = (size_t)image->channels;
    double n = (double)r->pixels;
    int left = (int)rint(r->sum_x / n - (v->view_w - 1) / 2.0), top = (int)rint(r->sum_y / n - (v->view_h - 1) / 2.0);

    for (int y = 0; y < v->view_h; y++) {
        int from = top + y < 0 ? 0 : top + y < image->height ? top + y : image->height - 1;
        const uint8_t *row = image->pixels + (size_t)from * (size_t)image->width * c;
        for (int x = 0; x < v->view_w; x++) {
            int at = left + x < 0 ? 0 : left + x < image->width ? left + x : image->width - 1;
            memcpy(v->crop.pixels + ((size_t)y * (size_t)v->view_w + (size_t)x) * c, row + (size_t)at * c, c);
        }
    }
}

static enum infomask_status read_answer(struct verdicts *v, int item, const float *output, struct infomask_error *err)
{
    size_t k = v->plan->session->model->info.classes;

    v->best[item] = 0;
    for (size_t i = 1; i < k; i++)
        v->best[item] = output[i] > output[v->best[item]] ? (int)i : v->best[item];
    return plan_pmi(v->plan, output, v->pmi + (size_t)item * (size_t)v->plan->count, err);
}

static enum infomask_status judge_batch(struct verdicts *v, const struct mask_strokes *strokes, int first, int n,
                                        struct infomask_error *err)
{
    const struct infomask_model *model = v->plan->session->model;
    struct engine_session *engine = v->plan->session->engine;
    int h = model->spec.height, w = model->spec.width;
    struct image_view view = image_view_whole(v->view_w, v->view_h, w, h);
    size_t item = (size_t)h * (size_t)w * (size_t)model->info.channels;
    float *input;
    enum infomask_status status = engine_prepare(engine, n, h, w, false, &input, err);

    view.filter = model->filter;
    for (int i = 0; i < n && status == INFOMASK_OK; i++) {
        cut_view(v, &strokes->region[v->stroke[first + i]]);
        status = image_tensor(&v->crop, &view, &model->normalise, NULL, input + (size_t)i * item, err);
    }
    if (status == INFOMASK_OK)
        status = engine_run(engine, err);
    for (int i = 0; i < n && status == INFOMASK_OK; i++)
        status = read_answer(v, first + i, engine_output(engine) + (size_t)i * model->info.classes, err);
    return status;
}

static enum infomask_status judge(struct verdicts *v, const struct mask_strokes *strokes, struct infomask_error *err)
{
    enum infomask_status status = verdicts_init(v, strokes, err);

    for (int first = 0; first < v->count && status == INFOMASK_OK; first += BATCH) {
        int left = v->count - first;
        status = plan_expired(v->plan->photo, err);
        if (status == INFOMASK_OK)
            status = judge_batch(v, strokes, first, left < BATCH ? left : BATCH, err);
    }
    return status;
}

/* ---- Painting ---------------------------------------------------------------------------------------------------- */

/* More likely than without the canvas, and more than any other class. */
static bool is_target(const struct verdicts *v, const struct mask_region *r, int stroke, int target, double level)
{
    int item = v->item[stroke];

    if (item < 0)
        return r->signed_sum > level * (double)r->pixels;
    struct mask_set set = plan_set(v->plan, target);

    return v->pmi[item * v->plan->count + target] > 0 && mask_set_has(&set, v->best[item]);
}

static void enlarged_row(void *context, int y, float *row) { pixels_enlarge_row(context, y, row); }

static enum infomask_status find_strokes(const struct mask_layer *layer, const uint8_t *marks, int h, int w,
                                         struct mask_strokes *strokes, struct infomask_error *err)
{
    struct pixels_enlarge enlarge;
    enum infomask_status status = pixels_enlarge_init(&enlarge, layer->x, layer->h, layer->w, h, w, err);

    if (status != INFOMASK_OK)
        return status;
    status = mask_strokes_find(marks, h, w, enlarged_row, &enlarge, strokes, err);
    pixels_enlarge_fini(&enlarge);
    return status;
}

/* One target's strokes into the mask; the network looks at them for the first one. */
static enum infomask_status paint_target(struct verdicts *v, int target, const uint8_t *marks, uint8_t *scratch,
                                         struct infomask_mask *mask, struct infomask_error *err)
{
    const struct mask_layer *layer = &mask->saliency->layers[target];
    size_t n = (size_t)mask->width * (size_t)mask->height;
    struct mask_strokes strokes = {0};
    bool *taken = NULL;
    enum infomask_status status = find_strokes(layer, marks, mask->height, mask->width, &strokes, err);

    if (status == INFOMASK_OK && v->item == NULL)
        status = judge(v, &strokes, err);
    if (status == INFOMASK_OK) {
        taken = malloc(((size_t)strokes.count + 1) * sizeof *taken);
        status = taken == NULL ? no_memory(err) : INFOMASK_OK;
    }
    for (int i = 0; i < strokes.count && status == INFOMASK_OK; i++)
        taken[i] = is_target(v, &strokes.region[i], i, target, layer->level);
    if (status == INFOMASK_OK)
        status = mask_strokes_paint(&strokes, marks, mask->height, mask->width, taken, scratch, err);
    for (size_t i = 0; i < n && status == INFOMASK_OK; i++)
        mask->pixels[i] |= scratch[i];
    free(taken);
    mask_strokes_fini(&strokes);
    return status;
}

enum infomask_status strokes_paint(const struct mask_plan *plan, struct infomask_mask *mask, struct infomask_error *err)
{
    size_t n = (size_t)mask->width * (size_t)mask->height;
    uint8_t *marks = malloc(n), *scratch = malloc(n);
    struct verdicts verdicts = {.plan = plan};
    bool flat;
    enum infomask_status status = marks == NULL || scratch == NULL ? no_memory(err) : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = strokes_mark(plan->photo, plan->session->pool, marks, &flat, &mask->timing, err);
    if (status == INFOMASK_OK)
        status = photo_image(plan->photo, 8, plan->session->pool, &verdicts.image, &mask->timing, err);
    for (int i = 0; i < plan->count && status == INFOMASK_OK; i++)
        if (!mask->saliency->layers[i].empty)
            status = paint_target(&verdicts, i, marks, scratch, mask, err);
    verdicts_fini(&verdicts);
    free(marks);
    free(scratch);
    return status;
}
