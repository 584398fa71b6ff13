/* What is left of the targets in the picture that will be returned: the very bytes are decoded and asked again, as a
 * classification and as a pass of the whole photo; a control with a random region of the same area filled alike says
 * what any removal would have taken. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/pipeline/filter/fill.h"
#include "core/pipeline/filter/filter.h"

/* Nobody sees these but the network.  What is copied are the photo's own pixels, whatever size they are found at. */
#define PREVIEW_PIXELS 65536 /* that a preview is filled on */
#define CONTROL_PIXELS 16384 /* that the control is: where its rectangle falls matters more */

void verify_forget(struct filter *f)
{
    infomask_photo_close(f->returned);
    f->returned = NULL;
    place_map_fini(&f->place_after);
    infomask_classification_fini(&f->after);
    f->after = (struct infomask_classification){0};
}

static struct infomask_classify_options same_prior(const struct filter *f)
{
    return (struct infomask_classify_options){.prior = {.kind = INFOMASK_PRIOR_GIVEN, .p = f->prior}};
}

/* The pass of the whole photo that a mask of it is made from. */
static enum infomask_status whole_pass(struct filter *f, struct infomask_photo *photo, struct place_map *place,
                                       struct infomask_error *err)
{
    struct mask_plan plan = {.session = f->session, .photo = photo, .classification = f->before,
                             .options = &f->options->mask, .targets = f->targets, .count = f->count};
    bool head = f->session->model->info.windows;
    enum infomask_status status = plan_view(&plan, err);

    if (status == INFOMASK_OK)
        status = pipeline_pass(f->session, photo, &plan.view, true, &f->out->timing, err);
    if (status == INFOMASK_OK)
        status = plan_posterior(&plan, engine_output(f->session->engine), f->map_log_p, err);
    if (status == INFOMASK_OK)
        plan_pmi_of_posterior(&plan, f->map_log_p, f->map_after);
    if (status == INFOMASK_OK && head)
        *place = place_map_lying(f->session);
    return status;
}

/* What the returned picture's windows say, and how much would be evidence enough to mask them. */
static enum infomask_status ask_windows(struct filter *f, struct infomask_error *err)
{
    struct infomask_mask_options options = f->options->mask;
    struct mask_plan plan = {.session = f->session, .photo = f->returned, .classification = f->before,
                             .options = &options, .targets = f->targets, .count = f->count};
    enum infomask_status status;

    options.min_evidence = NAN;
    status = plan_rules(&plan, err);
    if (status == INFOMASK_OK)
        status = plan_largest_windows(&plan, f->window_after, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        f->evidence[i] = plan_evidence(&plan, i);
    return status;
}

enum infomask_status verify_before(struct filter *f, struct infomask_error *err)
{
    struct place_map *kept = &f->out->mask.saliency->place, lying = {0};
    enum infomask_status status = INFOMASK_OK;

    if (kept->f != NULL) {
        f->place_before = *kept;
        *kept = (struct place_map){0};
    } else if (f->session->model->info.windows) {
        status = whole_pass(f, f->photo, &lying, err);
        if (status == INFOMASK_OK)
            status = place_map_copy(&lying, &f->place_before, err);
    }
    if (status != INFOMASK_OK || f->place_before.f == NULL)
        return status;
    f->share = malloc((size_t)f->place_before.rows * (size_t)f->place_before.columns * sizeof *f->share);
    return f->share != NULL ? INFOMASK_OK : filter_no_memory(err);
}

/* f->returned as a classification and as a pass of the whole. */
static enum infomask_status ask_returned(struct filter *f, struct infomask_error *err)
{
    struct infomask_classify_options options = same_prior(f);
    enum infomask_status status = infomask_classify(f->session, f->returned, &options, &f->after, err);

    if (status == INFOMASK_OK)
        status = whole_pass(f, f->returned, &f->place_after, err);
    return status == INFOMASK_OK && f->place_after.f != NULL ? ask_windows(f, err) : status;
}

enum infomask_status verify_returned(struct filter *f, struct infomask_error *err)
{
    struct infomask_limits limits = infomask_default_limits();
    enum infomask_status status;

    limits.expired = f->photo->limits.expired;
    limits.deadline_context = f->photo->limits.deadline_context;
    limits.max_pixels = f->photo->limits.max_pixels;
    limits.max_side = f->photo->limits.max_side;
    limits.min_side = f->photo->limits.min_side;
    status = infomask_photo_open(f->out->image.data, f->out->image.size, &limits, &f->returned, err);
    if (status != INFOMASK_OK)
        return status;
    infomask_photo_whole(f->returned);
    return ask_returned(f, err);
}

/* The photo's limits and size, but no pixels yet. */
static struct infomask_photo blank_photo(const struct filter *f)
{
    struct infomask_photo blank = *f->photo;

    memset(blank.scaled, 0, sizeof blank.scaled);
    blank.image_info.format = IMAGE_PNG; /* no scaled decoding: the picture is at hand */
    return blank;
}

bool verify_can_preview(const struct filter *f)
{
    return pipeline_fill_of(f->session->model, f->options) == INFOMASK_MATCH && f->pixels > 2 * PREVIEW_PIXELS;
}

enum infomask_status verify_preview(struct filter *f, struct infomask_error *err)
{
    enum infomask_status status;

    f->returned = malloc(sizeof *f->returned);
    if (f->returned == NULL)
        return filter_no_memory(err);
    *f->returned = blank_photo(f);
    status = filter_compose(f, f->hole, PREVIEW_PIXELS, &f->returned->scaled[8].image, err);
    return status == INFOMASK_OK ? ask_returned(f, err) : status;
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

enum infomask_status verify_control(const struct filter *f, double area, double *pmi, struct infomask_error *err)
{
    struct infomask_classify_options options = same_prior(f);
    struct infomask_classification result = {0};
    struct infomask_photo control = blank_photo(f);
    uint8_t *hole = malloc(f->pixels);
    enum infomask_status status = INFOMASK_OK;

    if (hole == NULL)
        return filter_no_memory(err);
    control.limits.expired = NULL;         /* the answer is made, this completes it */
    random_hole(f, area, hole);
    status = filter_compose(f, hole, CONTROL_PIXELS, &control.scaled[8].image, err);
    free(hole);
    if (status == INFOMASK_OK)
        status = infomask_classify(f->session, &control, &options, &result, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        pmi[i] = infomask_score(f->session->model, &result, f->targets[i]).pmi;
    infomask_classification_fini(&result);
    photo_forget(&control);
    return status;
}
