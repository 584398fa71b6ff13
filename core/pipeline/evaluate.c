/* How good a mask is: against a truth, and by what the model says when its pixels go or come (docs/masks.md has the
 * definitions).  Everything at working size, so that photos of any size count alike. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/image/fill.h"
#include "core/infomask_lab.h"
#include "core/pipeline/mask.h"

#define STEPS 20
#define ROAD_SHARE 0.2
#define ROAD_NOISE 2.0      /* grey levels */
#define GROUND_SIDE 10.0    /* pixels of the blurred photo that insertion starts from */

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory to score the mask");
}

static void working_size(const struct infomask_photo *photo, int *h, int *w)
{
    int longest = photo->info.width > photo->info.height ? photo->info.width : photo->info.height;
    double scale = (double)WORKING_SIDE / longest;

    *h = (int)fmax(1, rint(photo->info.height * scale));
    *w = (int)fmax(1, rint(photo->info.width * scale));
}

/* ---- Against a truth --------------------------------------------------------------------------------------------- */

/* Bytes, not 0 where set, as the share of each working pixel that is set. */
static enum infomask_status share_map(const uint8_t *bytes, int in_h, int in_w, float *out, int h, int w,
                                      struct infomask_error *err)
{
    size_t n = (size_t)in_h * (size_t)in_w;
    float *set = malloc(n * sizeof *set);
    enum infomask_status status;

    if (set == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        set[i] = bytes[i] != 0 ? 1.0F : 0.0F;
    status = pixels_resize(&(struct pixels_map){set, in_h, in_w, 1}, out, h, w, err);
    free(set);
    return status;
}

struct ranked {
    float value;
    int index;
};

static int more_salient(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return x->index - y->index;
}

static struct ranked *rank_pixels(const float *saliency, size_t n)
{
    struct ranked *ranked = malloc(n * sizeof *ranked);

    for (size_t i = 0; ranked != NULL && i < n; i++)
        ranked[i] = (struct ranked){saliency[i], (int)i};
    if (ranked != NULL)
        qsort(ranked, n, sizeof *ranked, more_salient);
    return ranked;
}

/* sum over distinct values of (recall gained) x precision; equal values are taken together. */
static double average_precision(const struct ranked *ranked, const float *truth, size_t n)
{
    double positives = 0, hits = 0, old_hits = 0, sum = 0;

    for (size_t i = 0; i < n; i++)
        positives += truth[i] >= 0.5F;
    for (size_t i = 0; i < n; i++) {
        hits += truth[ranked[i].index] >= 0.5F;
        if (i + 1 < n && ranked[i + 1].value == ranked[i].value)
            continue;
        sum += (hits - old_hits) * hits / (double)(i + 1);
        old_hits = hits;
    }
    return positives > 0 ? sum / positives : 0;
}

static double overlap(const float *a, const float *b, size_t n)
{
    size_t both = 0, any = 0;

    for (size_t i = 0; i < n; i++) {
        both += a[i] >= 0.5F && b[i] >= 0.5F;
        any += a[i] >= 0.5F || b[i] >= 0.5F;
    }
    return any > 0 ? (double)both / (double)any : 0;
}

struct box {
    int x0, y0, x1, y1; /* up to, not including */
};

static double box_overlap(struct box a, struct box b)
{
    double w = fmin(a.x1, b.x1) - fmax(a.x0, b.x0), h = fmin(a.y1, b.y1) - fmax(a.y0, b.y0);
    double both = w > 0 && h > 0 ? w * h : 0;
    double any = (double)(a.x1 - a.x0) * (a.y1 - a.y0) + (double)(b.x1 - b.x0) * (b.y1 - b.y0) - both;

    return any > 0 ? both / any : 0;
}

static struct box truth_box(const float *truth, int h, int w)
{
    struct box box = {w, h, 0, 0};

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            if (truth[y * w + x] >= 0.5F) {
                box.x0 = x < box.x0 ? x : box.x0;
                box.x1 = x + 1 > box.x1 ? x + 1 : box.x1;
                box.y0 = y < box.y0 ? y : box.y0;
                box.y1 = y + 1;
            }
    return box;
}

static enum infomask_status score_boxes(const float *saliency, const float *truth, int h, int w,
                                        struct infomask_mask_score *score, struct infomask_error *err)
{
    size_t n = (size_t)h * (size_t)w;
    struct box want = truth_box(truth, h, w);
    uint8_t *over = malloc(n);
    enum infomask_status status = over == NULL ? no_memory(err) : INFOMASK_OK;

    for (int level = 0; level < INFOMASK_BOX_LEVELS && status == INFOMASK_OK; level++) {
        struct mask_regions found;
        for (size_t i = 0; i < n; i++)
            over[i] = saliency[i] > 0 && saliency[i] * INFOMASK_BOX_LEVELS >= (float)level ? 255 : 0;
        status = mask_regions_find(over, h, w, NULL, NULL, 1, &found, err);
        score->box_iou[level] = 0;
        if (status == INFOMASK_OK && found.count > 0) {
            const struct mask_region *r = &found.region[0];
            struct box box = {r->x, r->y, r->x + r->width, r->y + r->height};
            score->box_iou[level] = (float)box_overlap(box, want);
        }
        mask_regions_fini(&found);
    }
    free(over);
    return status;
}

/* The saliency at working size, from 0 to 1. */
static enum infomask_status working_saliency(const float *saliency, int in_h, int in_w, float *out, int h, int w,
                                             struct infomask_error *err)
{
    enum infomask_status status = pixels_resize(&(struct pixels_map){saliency, in_h, in_w, 1}, out, h, w, err);

    if (status == INFOMASK_OK)
        mask_normalise(out, (size_t)h * (size_t)w);
    return status;
}

struct scoring {
    int h, w;
    float *saliency, *mask, *truth; /* [h, w] */
};

static void scoring_fini(struct scoring *s)
{
    free(s->saliency);
    free(s->mask);
    free(s->truth);
}

static enum infomask_status score_all(const struct scoring *s, struct infomask_mask_score *score,
                                      struct infomask_error *err)
{
    size_t n = (size_t)s->h * (size_t)s->w;
    struct ranked *ranked = rank_pixels(s->saliency, n);

    if (ranked == NULL)
        return no_memory(err);
    score->pixel_ap = average_precision(ranked, s->truth, n);
    score->pointing = ranked[0].value > 0 && s->truth[ranked[0].index] >= 0.5F;
    score->iou = overlap(s->mask, s->truth, n);
    free(ranked);
    return score_boxes(s->saliency, s->truth, s->h, s->w, score, err);
}

enum infomask_status infomask_score_mask(const struct infomask_photo *photo, const struct infomask_ranking *saliency,
                                         const uint8_t *mask, const struct infomask_truth *truth,
                                         struct infomask_mask_score *score, struct infomask_error *err)
{
    struct scoring s = {0};
    size_t n;
    enum infomask_status status = INFOMASK_OK;

    *score = (struct infomask_mask_score){.deletion = NAN, .insertion = NAN, .road = NAN, .drop = NAN};
    working_size(photo, &s.h, &s.w);
    n = (size_t)s.h * (size_t)s.w;
    s.saliency = malloc(n * sizeof(float));
    s.mask = malloc(n * sizeof(float));
    s.truth = malloc(n * sizeof(float));
    if (s.saliency == NULL || s.mask == NULL || s.truth == NULL)
        status = no_memory(err);
    if (status == INFOMASK_OK)
        status = working_saliency(saliency->values, saliency->h, saliency->w, s.saliency, s.h, s.w, err);
    if (status == INFOMASK_OK)
        status = share_map(truth->pixels, truth->h, truth->w, s.truth, s.h, s.w, err);
    if (status == INFOMASK_OK && mask != NULL) {
        status = share_map(mask, photo->info.height, photo->info.width, s.mask, s.h, s.w, err);
    } else if (status == INFOMASK_OK) {
        float level = (float)mask_otsu(s.saliency, n);
        for (size_t i = 0; i < n; i++)
            s.mask[i] = s.saliency[i] >= level ? 1.0F : 0.0F;
    }
    if (status == INFOMASK_OK)
        status = score_all(&s, score, err);
    scoring_fini(&s);
    return status;
}

/* ---- Against the model ------------------------------------------------------------------------------------------- */

struct trial {
    struct infomask_session *session;
    struct infomask_photo *photo;
    const struct image *image;
    const struct infomask_classification *before;
    int target, h, w;
    size_t n;                /* working pixels */
    struct ranked *ranked;   /* by falling saliency */
    int *rank;               /* [n] */
    double *prior;
    int *column, *row;       /* photo pixel -> working pixel */
    uint8_t *hole;           /* [photo] */
    struct image ground;     /* what insertion starts from */
    struct infomask_photo probe;
};

static void trial_fini(struct trial *t)
{
    free(t->ranked);
    free(t->rank);
    free(t->prior);
    free(t->column);
    free(t->row);
    free(t->hole);
    image_fini(&t->ground);
    photo_forget(&t->probe);
}

/* PMI and probability of the target for the picture in the probe. */
static enum infomask_status ask(struct trial *t, double *pmi, double *probability, struct infomask_error *err)
{
    struct infomask_classify_options options = {.prior = {.kind = INFOMASK_PRIOR_GIVEN, .p = t->prior}};
    struct infomask_classification answer;
    enum infomask_status status = infomask_classify(t->session, &t->probe, &options, &answer, err);

    if (status != INFOMASK_OK)
        return status;
    *pmi = answer.pmi[t->target];
    *probability = exp(answer.log_probability[t->target]);
    infomask_classification_fini(&answer);
    return INFOMASK_OK;
}

static size_t working_pixel(const struct trial *t, size_t i)
{
    size_t w = (size_t)t->image->width;
    return (size_t)t->row[i / w] * (size_t)t->w + (size_t)t->column[i % w];
}

/* hole: the working pixels with ranks [from, to). */
static void cut_ranks(struct trial *t, size_t from, size_t to)
{
    size_t n = (size_t)t->image->width * (size_t)t->image->height;

    for (size_t i = 0; i < n; i++) {
        size_t rank = (size_t)t->rank[working_pixel(t, i)];
        t->hole[i] = rank >= from && rank < to ? 255 : 0;
    }
}

static uint8_t *probe_pixel(struct trial *t, size_t i) { return t->probe.scaled[8].image.pixels + 3 * i; }

/* The photo with the hole from a fill, with `noise`. */
static enum infomask_status probe_filled(struct trial *t, enum fill_kind kind, double noise, struct infomask_error *err)
{
    size_t w = (size_t)t->image->width, c = (size_t)t->image->channels;
    struct random_stream random = random_stream(1, 0);
    uint8_t *line = malloc(3 * w);
    struct fill *fill = NULL;
    enum infomask_status status = line == NULL ? no_memory(err)
                                               : fill_create(&fill, t->image, t->hole,
                                                             &(struct fill_options){.kind = kind}, err);

    for (size_t y = 0; status == INFOMASK_OK && y < (size_t)t->image->height; y++) {
        fill_row(fill, (int)y, line);
        for (size_t x = 0; x < w; x++) {
            size_t i = y * w + x;
            bool cut = t->hole[i] != 0;
            const uint8_t *from = cut ? line + 3 * x : t->image->pixels + i * c;
            for (size_t k = 0; k < 3; k++) {
                double v = from[k] + (cut && noise > 0 ? noise * random_normal(&random) : 0);
                probe_pixel(t, i)[k] = (uint8_t)lrint(fmin(fmax(v, 0), 255));
            }
        }
    }
    fill_free(fill);
    free(line);
    return status;
}

/* The ground with the hole's pixels from the photo. */
static void probe_inserted(struct trial *t)
{
    size_t n = (size_t)t->image->width * (size_t)t->image->height, c = (size_t)t->image->channels;

    for (size_t i = 0; i < n; i++)
        memcpy(probe_pixel(t, i), t->hole[i] != 0 ? t->image->pixels + i * c : t->ground.pixels + 3 * i, 3);
}

/* The photo times its saliency. */
static void probe_weighted(struct trial *t)
{
    size_t n = (size_t)t->image->width * (size_t)t->image->height, c = (size_t)t->image->channels;

    for (size_t i = 0; i < n; i++) {
        float saliency = t->ranked[t->rank[working_pixel(t, i)]].value;
        for (size_t k = 0; k < 3; k++)
            probe_pixel(t, i)[k] = (uint8_t)lrintf(saliency * (float)t->image->pixels[i * c + k]);
    }
}

/* A strong blur of the photo: reduced to 10 pixels along its longest side and enlarged again. */
static enum infomask_status make_ground(struct trial *t, struct infomask_error *err)
{
    int w = t->image->width, h = t->image->height;
    double longest = w > h ? w : h, scale = GROUND_SIDE / longest;
    struct image_view down = image_view_whole(w, h, (int)fmax(1, w * scale), (int)fmax(1, h * scale)), up;
    struct image small = {0};
    enum infomask_status status = image_init(&small, down.out_width, down.out_height, 3, err);

    down.filter = IMAGE_BILINEAR;
    if (status == INFOMASK_OK)
        status = image_resample(t->image, &down, small.pixels, err);
    if (status == INFOMASK_OK)
        status = image_init(&t->ground, w, h, 3, err);
    if (status == INFOMASK_OK) {
        up = image_view_whole(small.width, small.height, w, h);
        up.filter = IMAGE_BICUBIC;
        status = image_resample(&small, &up, t->ground.pixels, err);
    }
    image_fini(&small);
    return status;
}

static void map_pixels(int *map, int size, int working)
{
    for (int i = 0; i < size; i++)
        map[i] = (int)((int64_t)i * working / size);
}

static enum infomask_status trial_init(struct trial *t, const float *saliency, int h, int w,
                                       struct infomask_error *err)
{
    size_t pixels = (size_t)t->image->width * (size_t)t->image->height, k = t->before->classes;
    float *working;
    enum infomask_status status = INFOMASK_OK;

    working_size(t->photo, &t->h, &t->w);
    t->n = (size_t)t->h * (size_t)t->w;
    working = malloc(t->n * sizeof *working);
    t->rank = malloc(t->n * sizeof *t->rank);
    t->prior = malloc(k * sizeof *t->prior);
    t->column = malloc((size_t)t->image->width * sizeof *t->column);
    t->row = malloc((size_t)t->image->height * sizeof *t->row);
    t->hole = malloc(pixels);
    if (working == NULL || t->rank == NULL || t->prior == NULL || t->column == NULL || t->row == NULL ||
        t->hole == NULL)
        status = no_memory(err);
    if (status == INFOMASK_OK)
        status = working_saliency(saliency, h, w, working, t->h, t->w, err);
    if (status == INFOMASK_OK) {
        t->ranked = rank_pixels(working, t->n);
        status = t->ranked == NULL ? no_memory(err) : make_ground(t, err);
    }
    for (size_t i = 0; status == INFOMASK_OK && i < t->n; i++)
        t->rank[t->ranked[i].index] = (int)i;
    free(working);
    if (status != INFOMASK_OK)
        return status;
    for (size_t i = 0; i < k; i++)
        t->prior[i] = exp(t->before->log_prior[i]);
    map_pixels(t->column, t->image->width, t->w);
    map_pixels(t->row, t->image->height, t->h);
    t->probe.image_info.format = IMAGE_PNG;
    return image_init(&t->probe.scaled[8].image, t->image->width, t->image->height, 3, err);
}

/* Mean PMI over the curve's steps (trapezoids). */
static enum infomask_status curve(struct trial *t, bool insert, double *area, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    *area = 0;
    for (int step = 0; step <= STEPS && status == INFOMASK_OK; step++) {
        double pmi = 0, p;
        cut_ranks(t, 0, t->n * (size_t)step / STEPS);
        if (insert)
            probe_inserted(t);
        else
            status = probe_filled(t, FILL_MEAN, 0, err);
        if (status == INFOMASK_OK)
            status = ask(t, &pmi, &p, err);
        *area += pmi * (step == 0 || step == STEPS ? 0.5 : 1) / STEPS;
    }
    return status;
}

static enum infomask_status road(struct trial *t, double *difference, struct infomask_error *err)
{
    size_t part = (size_t)((double)t->n * ROAD_SHARE);
    double most = 0, least = 0, p;
    enum infomask_status status;

    cut_ranks(t, 0, part);
    status = probe_filled(t, FILL_DIFFUSE, ROAD_NOISE, err);
    if (status == INFOMASK_OK)
        status = ask(t, &most, &p, err);
    cut_ranks(t, t->n - part, t->n);
    if (status == INFOMASK_OK)
        status = probe_filled(t, FILL_DIFFUSE, ROAD_NOISE, err);
    if (status == INFOMASK_OK)
        status = ask(t, &least, &p, err);
    *difference = least - most;
    return status;
}

enum infomask_status infomask_score_faithfulness(struct infomask_session *session, struct infomask_photo *photo,
                                                 const struct infomask_classification *classification, int target,
                                                 const struct infomask_ranking *saliency,
                                                 struct infomask_mask_score *score, struct infomask_error *err)
{
    struct trial t = {.session = session, .photo = photo, .before = classification, .target = target, .probe = *photo};
    double pmi, p = 0, before = exp(classification->log_probability[target]);
    enum infomask_status status = photo_image(photo, 8, session->pool, &t.image, NULL, err);

    memset(t.probe.scaled, 0, sizeof t.probe.scaled);
    if (status == INFOMASK_OK)
        status = trial_init(&t, saliency->values, saliency->h, saliency->w, err);
    if (status == INFOMASK_OK)
        status = curve(&t, false, &score->deletion, err);
    if (status == INFOMASK_OK)
        status = curve(&t, true, &score->insertion, err);
    if (status == INFOMASK_OK)
        status = road(&t, &score->road, err);
    if (status == INFOMASK_OK) {
        probe_weighted(&t);
        status = ask(&t, &pmi, &p, err);
    }
    score->drop = fmax(0, before - p) / before;
    score->increase = p > before;
    trial_fini(&t);
    return status;
}

/* ---- Maps of others ---------------------------------------------------------------------------------------------- */

const float *infomask_mask_saliency(const struct infomask_mask *mask, int *h, int *w)
{
    *h = mask->saliency->h;
    *w = mask->saliency->w;
    return mask->saliency->values;
}

enum infomask_status infomask_read_map(const void *bytes, size_t size, float **map, int *h, int *w,
                                       struct infomask_error *err)
{
    struct image image = {0};
    struct image_limits limits = image_default_limits;
    enum infomask_status status;

    limits.min_side = 1;
    status = image_decode(bytes, size, &limits, &image, err);
    if (status != INFOMASK_OK)
        return status;
    *h = image.height;
    *w = image.width;
    *map = malloc((size_t)image.width * (size_t)image.height * sizeof **map);
    for (size_t i = 0; *map != NULL && i < (size_t)image.width * (size_t)image.height; i++)
        (*map)[i] = (float)pixels_luma(image.pixels + i * (size_t)image.channels) / 255;
    image_fini(&image);
    return *map != NULL ? INFOMASK_OK : no_memory(err);
}
