/* Where a verdict sits on an edge, changes that nobody sees would move it: how the grid of cells falls on the picture
 * alone moves the largest window by some .35 nats.  There the picture is looked at twice more, in passes of nearby
 * sizes, and what the places and the largest window say is the mean of the three looks. */
#include <math.h>
#include <stdlib.h>

#include "core/pipeline/filter/filter.h"

#define LOOKS 2 /* beside the pass that is made anyway */

static const double scales[LOOKS] = {7.0 / 8.0, 8.0 / 7.0}; /* of its side */

/* Of one look, a target each. */
struct look {
    double *window, *region, *context; /* [count] */
    double *share;                     /* [rows, columns] of its own grid */
};

static bool in_doubt(const struct filter *f, const struct infomask_verification *rows)
{
    for (int i = 0; i < f->count; i++)
        if (verdict_is_in_doubt(f, i, &rows[i].after))
            return true;
    return false;
}

static struct mask_plan plan_of(const struct filter *f, const struct infomask_mask_options *options)
{
    return (struct mask_plan){.session = f->session, .photo = f->returned, .classification = f->before,
                              .options = options, .targets = f->targets, .count = f->count};
}

/* The pass of the returned picture at `scale` of its usual side; *fits: there is memory for such a pass. */
static enum infomask_status other_pass(struct filter *f, double scale, bool *fits, struct infomask_error *err)
{
    struct infomask_mask_options options = f->options->mask;
    struct mask_plan plan = plan_of(f, &options);
    enum infomask_status status = plan_view(&plan, err);

    if (status != INFOMASK_OK)
        return status;
    options.resolution = (int)lrint(scale * sqrt((double)plan.view.out_width * plan.view.out_height));
    status = plan_view(&plan, err);
    *fits = status != INFOMASK_ARGUMENT;
    if (status != INFOMASK_OK)
        return *fits ? status : INFOMASK_OK;
    return pipeline_pass(f->session, f->returned, &plan.view, true, &f->out->timing, err);
}

/* What the places and the windows of the session's last pass say. */
static enum infomask_status ask_look(struct filter *f, struct look *look, struct infomask_error *err)
{
    struct infomask_mask_options options = f->options->mask;
    struct mask_plan plan = plan_of(f, &options);
    struct place_map map = place_map_lying(f->session);
    enum infomask_status status;

    options.min_evidence = NAN;
    status = plan_rules(&plan, err);
    if (status == INFOMASK_OK)
        status = plan_largest_windows(&plan, look->window, err);
    look->share = malloc((size_t)map.rows * (size_t)map.columns * sizeof *look->share);
    if (look->share == NULL)
        return filter_no_memory(err);
    if (status == INFOMASK_OK)
        status = mask_cover(f->hole, f->image->height, f->image->width, map.rows, map.columns, look->share, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++) {
        status = verdict_place(f, i, MASK_REGION, &map, look->share, &look->region[i], err);
        if (status == INFOMASK_OK)
            status = verdict_place(f, i, MASK_CONTEXT, &map, look->share, &look->context[i], err);
    }
    return status;
}

/* A running mean; a place that one look does not see is as the others see it. */
static void take_in(double *mean, double value, int looks)
{
    if (!isnan(*mean) && !isnan(value))
        *mean += (value - *mean) / looks;
}

static void take_look(const struct filter *f, const struct look *look, struct infomask_verification *rows)
{
    for (int i = 0; i < f->count; i++) {
        struct infomask_round *round = &rows[i].after;
        round->looks++;
        take_in(&round->largest_window_pmi_after, look->window[i], round->looks);
        take_in(&round->region_pmi_after, look->region[i], round->looks);
        take_in(&round->context_pmi_after, look->context[i], round->looks);
    }
}

static enum infomask_status look_once(struct filter *f, double scale, struct infomask_verification *rows,
                                      struct infomask_error *err)
{
    struct look look = {0};
    bool fits = true;
    enum infomask_status status = other_pass(f, scale, &fits, err);

    if (status != INFOMASK_OK || !fits)
        return status;
    look.window = malloc(3 * (size_t)f->count * sizeof *look.window);
    if (look.window == NULL)
        return filter_no_memory(err);
    look.region = look.window + f->count;
    look.context = look.region + f->count;
    status = ask_look(f, &look, err);
    if (status == INFOMASK_OK)
        take_look(f, &look, rows);
    free(look.share);
    free(look.window);
    return status;
}

enum infomask_status looks_settle(struct filter *f, struct infomask_verification *rows, bool *looked,
                                  struct infomask_error *err)
{
    struct place_map lying = f->place_after;
    enum infomask_status status;

    *looked = !f->session->model->info.fixed_size && in_doubt(f, rows);
    if (!*looked)
        return INFOMASK_OK;
    status = place_map_copy(&lying, &f->place_after, err); /* other passes would overwrite it */
    for (int k = 0; k < LOOKS && status == INFOMASK_OK; k++)
        status = look_once(f, scales[k], rows, err);
    for (int i = 0; i < f->count && status == INFOMASK_OK; i++)
        verdict_judge(f, i, &rows[i].after);
    return status;
}
