/* Filtering: mask, grow, fill, encode; then the very bytes that will be returned are decoded and classified again, and
 * so is a control with a random region of the same area filled alike.  With a limit (`until`) further rounds map what is
 * left in the filtered picture and add to the mask.  The result is composed row by row while it is encoded: beside the
 * photo only masks of bytes and one decoded copy exist. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/image/fill.h"
#include "core/pipeline/mask.h"

#define JPEG_QUALITY 90

struct infomask_filter_options infomask_default_filter_options(void)
{
    return (struct infomask_filter_options){.mask = infomask_default_mask_options(),
                                            .fill = INFOMASK_INPAINT,
                                            .dilate = 3,
                                            .until = NAN,
                                            .max_passes = 3,
                                            .max_area = 0.6};
}

void infomask_filtered_fini(struct infomask_filtered *filtered)
{
    infomask_mask_fini(&filtered->mask);
    infomask_encoded_fini(&filtered->image);
    free(filtered->rows);
    *filtered = (struct infomask_filtered){0};
}

struct filter {
    struct infomask_session *session;
    struct infomask_photo *photo;
    const struct infomask_classification *before;
    const struct infomask_filter_options *options;
    struct infomask_filtered *out;
    const struct image *image;
    size_t pixels;
    int *targets; /* [count] */
    int count;
    double *prior;          /* [classes] */
    uint8_t *hole;          /* [pixels] how much of the fill a pixel is, of 255 */
    struct infomask_photo *returned; /* what was encoded, read again */
    struct infomask_classification after;
    double *map_after; /* [count] */
};

static void forget_returned(struct filter *f)
{
    infomask_photo_close(f->returned);
    f->returned = NULL;
    infomask_classification_fini(&f->after);
    f->after = (struct infomask_classification){0};
}

static void filter_fini(struct filter *f)
{
    forget_returned(f);
    free(f->targets);
    free(f->prior);
    free(f->hole);
    free(f->map_after);
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory to filter the photo");
}

/* ---- Masks -------------------------------------------------------------------------------------------------------- */

static void *copy_of(const void *from, size_t size)
{
    void *to = malloc(size > 0 ? size : 1);

    if (to != NULL && size > 0)
        memcpy(to, from, size);
    return to;
}

static bool copy_maps(const struct infomask_mask *from, struct infomask_mask *to)
{
    to->maps = calloc((size_t)from->map_count, sizeof *to->maps);
    to->map_count = to->maps != NULL ? from->map_count : 0;
    for (int i = 0; i < to->map_count; i++) {
        const struct infomask_map *map = &from->maps[i];
        to->maps[i] = *map;
        to->maps[i].cells = copy_of(map->cells, (size_t)map->rows * (size_t)map->columns * sizeof *map->cells);
        if (to->maps[i].cells == NULL)
            return false;
    }
    return to->maps != NULL;
}

static enum infomask_status mask_copy(const struct infomask_mask *from, struct infomask_mask *to,
                                      struct infomask_error *err)
{
    size_t pixels = (size_t)from->width * (size_t)from->height;
    const struct infomask_saliency *saliency = from->saliency;
    bool copied;

    *to = *from;
    to->maps = NULL;
    to->pixels = copy_of(from->pixels, pixels);
    to->objects = copy_of(from->objects, (size_t)from->object_count * sizeof *from->objects);
    to->saliency = calloc(1, sizeof *to->saliency);
    copied = copy_maps(from, to) && to->pixels != NULL && to->objects != NULL && to->saliency != NULL;
    if (copied) {
        to->saliency->h = saliency->h;
        to->saliency->w = saliency->w;
        to->saliency->values = copy_of(saliency->values, (size_t)saliency->h * (size_t)saliency->w * sizeof(float));
        copied = to->saliency->values != NULL;
    }
    if (copied)
        return INFOMASK_OK;
    infomask_mask_fini(to);
    return no_memory(err);
}

static double set_share(const uint8_t *hole, size_t pixels)
{
    size_t set = 0;

    for (size_t i = 0; i < pixels; i++)
        set += hole[i] >= 128;
    return (double)set / (double)pixels;
}

/* The mask's pixels, grown and (to keep the target) turned round: what is to be filled. */
static enum infomask_status make_hole(const struct filter *f, const uint8_t *mask, uint8_t *hole,
                                      struct infomask_error *err)
{
    int longest = f->image->width > f->image->height ? f->image->width : f->image->height;
    double radius = f->options->dilate * longest / WORKING_SIDE;
    enum infomask_status status;

    memcpy(hole, mask, f->pixels);
    status = pixels_dilate(hole, f->image->height, f->image->width, radius, f->options->feather, err);
    for (size_t i = 0; status == INFOMASK_OK && f->options->keep && i < f->pixels; i++)
        hole[i] = (uint8_t)(255 - hole[i]);
    return status;
}

/* The saliency above which no more than `most` of the masked pixels would be kept. */
static enum infomask_status salient_limit(const struct filter *f, double most, float *limit, struct infomask_error *err)
{
    const struct infomask_mask *mask = &f->out->mask;
    size_t count[256] = {0}, sum = 0;
    struct pixels_enlarge enlarge;
    float *row = malloc((size_t)mask->width * sizeof *row);
    enum infomask_status status = pixels_enlarge_init(&enlarge, mask->saliency->values, mask->saliency->h,
                                                      mask->saliency->w, mask->height, mask->width, err);
    int level = 255;

    for (int y = 0; status == INFOMASK_OK && row != NULL && y < mask->height; y++) {
        pixels_enlarge_row(&enlarge, y, row);
        for (int x = 0; x < mask->width; x++)
            if (mask->pixels[(size_t)y * (size_t)mask->width + (size_t)x] != 0)
                count[(int)(255 * fminf(fmaxf(row[x], 0), 1))]++;
    }
    for (; level > 0 && (double)(sum + count[level]) <= most * (double)f->pixels; level--)
        sum += count[level];
    *limit = (float)(level + 1) / 255;
    if (status == INFOMASK_OK) {
        pixels_enlarge_fini(&enlarge);
        status = row != NULL ? INFOMASK_OK : no_memory(err);
    }
    free(row);
    return status;
}

/* A first mask over max_area keeps its most salient part only. */
static enum infomask_status trim_mask(struct filter *f, double most, struct infomask_error *err)
{
    struct infomask_mask *mask = &f->out->mask;
    struct pixels_enlarge enlarge;
    float limit, *row;
    enum infomask_status status = salient_limit(f, most, &limit, err);

    if (status != INFOMASK_OK)
        return status;
    row = malloc((size_t)mask->width * sizeof *row);
    status = pixels_enlarge_init(&enlarge, mask->saliency->values, mask->saliency->h, mask->saliency->w, mask->height,
                                 mask->width, err);
    for (int y = 0; status == INFOMASK_OK && row != NULL && y < mask->height; y++) {
        uint8_t *out = mask->pixels + (size_t)y * (size_t)mask->width;
        pixels_enlarge_row(&enlarge, y, row);
        for (int x = 0; x < mask->width; x++)
            out[x] = row[x] >= limit ? out[x] : 0;
    }
    if (status == INFOMASK_OK) {
        pixels_enlarge_fini(&enlarge);
        status = row != NULL ? paint_measure(mask, err) : no_memory(err);
    }
    free(row);
    return status;
}

/* The hole of the first round, within max_area: the grown mask may take the rim beyond, so the mask gets what is left. */
static enum infomask_status first_hole(struct filter *f, struct infomask_error *err)
{
    double most = f->options->max_area, area;
    enum infomask_status status = make_hole(f, f->out->mask.pixels, f->hole, err);

    if (status != INFOMASK_OK || f->options->keep)
        return status;
    area = set_share(f->hole, f->pixels);
    for (int tries = 0; status == INFOMASK_OK && area > f->options->max_area && tries < 8; tries++) {
        most = tries == 7 ? 0 : most * f->options->max_area / area * 0.97;
        status = trim_mask(f, most, err);
        if (status == INFOMASK_OK)
            status = make_hole(f, f->out->mask.pixels, f->hole, err);
        area = set_share(f->hole, f->pixels);
    }
    return status;
}

/* ---- Composing and encoding ---------------------------------------------------------------------------------------- */

struct composer {
    const struct image *photo;
    const uint8_t *hole;
    struct fill *fill; /* NULL: transparent */
    uint8_t *row;      /* [width, 3] */
    int channels;      /* of the result */
};

static void compose_row(void *context, int y, uint8_t *out)
{
    struct composer *c = context;
    size_t w = (size_t)c->photo->width, in = (size_t)c->photo->channels, on = (size_t)c->channels;
    const uint8_t *p = c->photo->pixels + (size_t)y * w * in, *hole = c->hole + (size_t)y * w;
    bool any = c->fill != NULL && (hole[0] != 0 || memcmp(hole, hole + 1, w - 1) != 0);

    if (any)
        fill_row(c->fill, y, c->row);
    for (size_t x = 0; x < w; x++, p += in, out += on) {
        unsigned a = hole[x], alpha = in == 4 ? p[3] : 255, white = in == 4 && on == 3 ? alpha : 255;
        for (size_t k = 0; k < 3; k++) {
            unsigned v = (p[k] * white + 255 * (255 - white) + 127) / 255;
            out[k] = (uint8_t)(c->fill == NULL ? (a == 255 ? 0 : v)
                               : a == 0        ? v
                                               : (v * (255 - a) + c->row[3 * x + k] * a + 127) / 255);
        }
        if (on == 4)
            out[3] = (uint8_t)(c->fill == NULL ? alpha * (255 - a) / 255 : alpha > a ? alpha : a);
    }
}

static enum infomask_status composer_init(struct composer *c, const struct filter *f, const uint8_t *hole,
                                          struct infomask_error *err)
{
    static const enum fill_kind kinds[] = {
        [INFOMASK_INPAINT] = FILL_INPAINT, [INFOMASK_DIFFUSE] = FILL_DIFFUSE,   [INFOMASK_BLUR] = FILL_BLUR,
        [INFOMASK_MEAN] = FILL_MEAN,       [INFOMASK_PIXELATE] = FILL_PIXELATE, [INFOMASK_COLOR] = FILL_COLOR};
    const struct infomask_filter_options *options = f->options;
    bool transparent = options->fill == INFOMASK_TRANSPARENT;

    *c = (struct composer){.photo = f->image, .hole = hole};
    c->channels = (f->image->channels == 4 || transparent) && !options->jpeg ? 4 : 3;
    c->row = malloc((size_t)f->image->width * 3);
    if (c->row == NULL)
        return no_memory(err);
    return transparent ? INFOMASK_OK
                       : fill_create(&c->fill, f->image, hole, kinds[options->fill], options->color, err);
}

static void composer_fini(struct composer *c)
{
    fill_free(c->fill);
    free(c->row);
}

static enum infomask_status encode(struct filter *f, struct infomask_error *err)
{
    struct composer c = {0};
    struct infomask_encoded *out = &f->out->image;
    double start = pipeline_now();
    enum infomask_status status = composer_init(&c, f, f->hole, err);
    const struct image *image = f->image;
    struct image_png png = {.width = image->width, .height = image->height, .channels = c.channels, .bits = 8,
                            .icc = image->icc, .icc_size = image->icc_size};

    f->out->timing.fill += pipeline_now() - start;
    start = pipeline_now();
    infomask_encoded_fini(out);
    out->content_type = f->options->jpeg ? "image/jpeg" : "image/png";
    if (status == INFOMASK_OK && f->options->jpeg)
        status = image_encode_jpeg(image->width, image->height, JPEG_QUALITY, image->icc, image->icc_size, compose_row,
                                   &c, &out->data, &out->size, err);
    else if (status == INFOMASK_OK)
        status = image_encode_png(&png, compose_row, &c, &out->data, &out->size, err);
    composer_fini(&c);
    f->out->timing.encode += pipeline_now() - start;
    return status;
}

/* ---- Verification ------------------------------------------------------------------------------------------------- */

static struct infomask_classify_options same_prior(const struct filter *f)
{
    return (struct infomask_classify_options){.prior = {.kind = INFOMASK_PRIOR_GIVEN, .p = f->prior}};
}

static enum infomask_status map_pmi_of(struct filter *f, struct infomask_photo *photo, struct infomask_error *err)
{
    struct mask_plan plan = {.session = f->session, .photo = photo, .classification = f->before,
                             .options = &f->options->mask, .targets = f->targets, .count = f->count};
    enum infomask_status status = plan_view(&plan, err);

    if (status == INFOMASK_OK)
        status = pipeline_pass(f->session, photo, &plan.view, false, &f->out->timing, err);
    return status == INFOMASK_OK ? plan_pmi(&plan, engine_output(f->session->engine), f->map_after, err) : status;
}

/* The returned bytes as anyone would read them. */
static enum infomask_status verify(struct filter *f, struct infomask_error *err)
{
    struct infomask_limits limits = infomask_default_limits();
    struct infomask_classify_options options = same_prior(f);
    enum infomask_status status;

    limits.expired = f->photo->limits.expired;
    limits.deadline_context = f->photo->limits.deadline_context;
    limits.max_pixels = f->photo->limits.max_pixels;
    limits.max_side = f->photo->limits.max_side;
    limits.min_side = f->photo->limits.min_side;
    forget_returned(f);
    status = infomask_photo_open(f->out->image.data, f->out->image.size, &limits, &f->returned, err);
    if (status == INFOMASK_OK) {
        infomask_photo_whole(f->returned);
        status = infomask_classify(f->session, f->returned, &options, &f->after, err);
    }
    return status == INFOMASK_OK ? map_pmi_of(f, f->returned, err) : status;
}

/* A rectangle of the photo's shape and the hole's area at a random place. */
static void random_hole(const struct filter *f, double area, uint8_t *hole)
{
    struct random_stream random = random_stream(f->options->seed, 0);
    int w = f->image->width, h = f->image->height, height = (int)lrint(h * sqrt(area)), width, left, top;

    height = height < 1 ? 1 : height;
    width = (int)lrint(area * (double)w * h / height);
    width = width < 1 ? 1 : width > w ? w : width;
    left = (int)random_below(&random, (uint32_t)(w - width + 1));
    top = (int)random_below(&random, (uint32_t)(h - height + 1));
    memset(hole, 0, f->pixels);
    for (int y = top; y < top + height; y++)
        memset(hole + (size_t)y * (size_t)w + (size_t)left, 255, (size_t)width);
}

/* Classifies the photo with `hole` filled, without encoding it. */
static enum infomask_status classify_control(struct filter *f, const uint8_t *hole,
                                             struct infomask_classification *result, struct infomask_error *err)
{
    struct infomask_classify_options options = same_prior(f);
    struct infomask_photo control = *f->photo;
    struct composer c = {0};
    enum infomask_status status = composer_init(&c, f, hole, err);

    memset(control.scaled, 0, sizeof control.scaled);
    control.image_info.format = IMAGE_PNG; /* no scaled decoding: the picture is at hand */
    if (status == INFOMASK_OK)
        status = image_init(&control.scaled[8].image, f->image->width, f->image->height, c.channels, err);
    for (int y = 0; y < f->image->height && status == INFOMASK_OK; y++)
        compose_row(&c, y, control.scaled[8].image.pixels + (size_t)y * (size_t)f->image->width * (size_t)c.channels);
    composer_fini(&c);
    if (status == INFOMASK_OK)
        status = infomask_classify(f->session, &control, &options, result, err);
    photo_forget(&control);
    return status;
}

static int rank_of(const struct infomask_classification *c, int target)
{
    int rank = 1;

    while ((size_t)rank < c->classes && c->order[rank - 1] != target)
        rank++;
    return rank;
}

static void store_row(const struct filter *f, int i, const struct infomask_classification *after, double map_after,
                      double random_after)
{
    int t = f->targets[i];

    f->out->rows[i] = (struct infomask_verification){.target = t,
                                                     .pmi_before = f->before->pmi[t],
                                                     .pmi_after = after->pmi[t],
                                                     .map_pmi_before = f->out->mask.maps[i].map_pmi,
                                                     .map_pmi_after = map_after,
                                                     .probability_before = exp(f->before->log_probability[t]),
                                                     .probability_after = exp(after->log_probability[t]),
                                                     .rank_after = rank_of(after, t),
                                                     .area = f->out->area,
                                                     .random_area_pmi_after = random_after,
                                                     .passes = f->out->passes,
                                                     .complete = isnan(f->options->until) ||
                                                                 after->pmi[t] <= f->options->until};
}

static void all_complete(struct infomask_filtered *out)
{
    out->complete = true;
    for (int i = 0; i < out->row_count; i++)
        out->complete = out->complete && out->rows[i].complete;
}

static enum infomask_status store_rows(struct filter *f, struct infomask_error *err)
{
    struct infomask_classification control = {0};
    enum infomask_status status;

    photo_forget(f->returned); /* its pixels make room for the control's */
    random_hole(f, f->out->area, f->hole);
    status = classify_control(f, f->hole, &control, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        store_row(f, i, &f->after, f->map_after[i], control.pmi[f->targets[i]]);
    infomask_classification_fini(&control);
    all_complete(f->out);
    return status;
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------- */

/* Nothing is there: the picture as it was, through the encoder. */
static enum infomask_status unchanged(struct filter *f, struct infomask_error *err)
{
    enum infomask_status status;

    memset(f->hole, 0, f->pixels);
    f->out->passes = 0;
    f->out->area = 0;
    status = encode(f, err);
    if (status == INFOMASK_OK)
        status = verify(f, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        store_row(f, i, &f->after, f->map_after[i], f->after.pmi[f->targets[i]]);
    all_complete(f->out);
    return status;
}

static bool reached(const struct filter *f)
{
    for (int i = 0; i < f->count; i++)
        if (f->after.pmi[f->targets[i]] > f->options->until)
            return false;
    return true;
}

/* Maps what is left and adds it to the mask; *grown false: there is no more to remove within the limits. */
static enum infomask_status grow_mask(struct filter *f, bool *grown, struct infomask_error *err)
{
    struct infomask_mask_options options = f->options->mask;
    struct infomask_mask left = {0}, *mask = &f->out->mask;
    uint8_t *both = malloc(f->pixels);
    enum infomask_status status;

    *grown = false;
    options.targets = f->targets;
    options.target_count = f->count;
    status = both == NULL ? no_memory(err) : infomask_mask(f->session, f->returned, &f->after, &options, &left, err);
    if (status == INFOMASK_OK && !left.empty) {
        for (size_t i = 0; i < f->pixels; i++)
            both[i] = mask->pixels[i] | left.pixels[i];
        *grown = memcmp(both, mask->pixels, f->pixels) != 0;
        status = make_hole(f, both, f->hole, err);
        *grown = *grown && set_share(f->hole, f->pixels) <= f->options->max_area;
    }
    if (status == INFOMASK_OK && *grown) {
        memcpy(mask->pixels, both, f->pixels);
        status = paint_measure(mask, err);
    }
    infomask_mask_fini(&left);
    free(both);
    return status;
}

static enum infomask_status rounds(struct filter *f, struct infomask_error *err)
{
    bool limit = !isnan(f->options->until) && !f->options->keep, go_on = true;
    enum infomask_status status = first_hole(f, err);

    while (go_on && status == INFOMASK_OK) {
        f->out->area = set_share(f->hole, f->pixels);
        f->out->passes++;
        status = plan_expired(f->photo, err);
        if (status == INFOMASK_OK)
            status = encode(f, err);
        if (status == INFOMASK_OK)
            status = verify(f, err);
        go_on = limit && status == INFOMASK_OK && f->out->passes < f->options->max_passes && !reached(f);
        if (go_on)
            status = grow_mask(f, &go_on, err);
    }
    return status == INFOMASK_OK ? store_rows(f, err) : status;
}

static enum infomask_status filter_init(struct filter *f, struct infomask_error *err)
{
    const struct infomask_mask_options *options = &f->options->mask;
    size_t k = f->before->classes;
    enum infomask_status status = photo_image(f->photo, 8, f->session->pool, &f->image, &f->out->timing, err);

    if (status != INFOMASK_OK)
        return status;
    f->pixels = (size_t)f->image->width * (size_t)f->image->height;
    f->count = options->target_count > 0 ? options->target_count : 1;
    f->targets = malloc((size_t)f->count * sizeof *f->targets);
    f->prior = malloc(k * sizeof *f->prior);
    f->hole = malloc(f->pixels);
    f->map_after = malloc((size_t)f->count * sizeof *f->map_after);
    f->out->rows = calloc((size_t)f->count, sizeof *f->out->rows);
    if (f->targets == NULL || f->prior == NULL || f->hole == NULL || f->map_after == NULL || f->out->rows == NULL)
        return no_memory(err);
    f->out->row_count = f->count;
    for (int i = 0; i < f->count; i++)
        f->targets[i] = options->target_count > 0 ? options->targets[i] : f->before->order[0];
    for (size_t i = 0; i < k; i++)
        f->prior[i] = exp(f->before->log_prior[i]);
    return INFOMASK_OK;
}

enum infomask_status infomask_filter(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct infomask_classification *classification,
                                     const struct infomask_filter_options *options,
                                     const struct infomask_mask *mask_in, struct infomask_filtered *filtered,
                                     struct infomask_error *err)
{
    struct filter f = {
        .session = session, .photo = photo, .before = classification, .options = options, .out = filtered};
    enum infomask_status status = INFOMASK_OK;

    *filtered = (struct infomask_filtered){0};
    if (options->jpeg && options->fill == INFOMASK_TRANSPARENT)
        return error_set(err, INFOMASK_ARGUMENT, "fill=transparent needs format=png: JPEG has no transparency");
    if (mask_in != NULL)
        status = mask_copy(mask_in, &filtered->mask, err);
    else
        status = infomask_mask(session, photo, classification, &options->mask, &filtered->mask, err);
    if (status == INFOMASK_OK)
        status = filter_init(&f, err);
    filtered->timing.mask = filtered->mask.timing.mask;
    filtered->timing.map = filtered->mask.timing.map;
    filtered->timing.network += filtered->mask.timing.network;
    if (status == INFOMASK_OK)
        status = filtered->mask.empty ? unchanged(&f, err) : rounds(&f, err);
    filter_fini(&f);
    if (status != INFOMASK_OK)
        infomask_filtered_fini(filtered);
    return status;
}
