/* Maps, masks, filtered photos, and all of it in one reply. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/view/views_head.h"

/* in the order of enum infomask_method and of enum infomask_threshold_rule */
static const char *const rules[] = {"auto", "otsu", "max", "nats", "share", "window", "given"};

/* infoCAM's cells are nats, and so is what occlusion takes away; the others are activations in a unit of their own */
static double cell_unit(const struct view_head *head, enum infomask_method method)
{
    bool nats = method == INFOMASK_INFOCAM || method == INFOMASK_INFOCAM_PLUS || method == INFOMASK_OCCLUSION;
    return nats ? view_units_factor(head->units) : 1;
}

static void view_target(struct json_writer *writer, const char *key, const struct view_head *head,
                        const struct infomask_map *map)
{
    json_object_open(writer, key);
    view_target_name(writer, head->model, map->target);
    json_put_double(writer, "probability", map->probability);
    if (model_is_group(head->model, map->target))
        json_put_double(writer, "log_probability", view_units_factor(head->units) * log(map->probability));
    json_put_double(writer, "pmi", view_units_factor(head->units) * map->pmi);
    json_object_close(writer);
}

static void view_cells(struct json_writer *writer, const struct infomask_map *map, double unit)
{
    json_array_open(writer, "cells");
    for (int row = 0; row < map->rows; row++) {
        json_array_open(writer, NULL);
        for (int column = 0; column < map->columns; column++)
            json_put_double(writer, NULL, unit * map->cells[(size_t)row * (size_t)map->columns + (size_t)column]);
        json_array_close(writer);
    }
    json_array_close(writer);
}

static void view_map(struct json_writer *writer, const char *key, const struct view_head *head,
                     enum infomask_method method, const struct infomask_map *map)
{
    double unit = cell_unit(head, method), nats = view_units_factor(head->units);

    json_object_open(writer, key);
    json_put_string(writer, "method", infomask_method_name(method));
    json_put_int(writer, "rows", map->rows);
    json_put_int(writer, "columns", map->columns);
    view_cells(writer, map, unit);
    json_put_double(writer, "mean", unit * map->mean);
    json_put_double_or_null(writer, "pmi", nats * map->map_pmi);
    json_put_double_or_null(writer, "largest_window_pmi", nats * map->largest_window_pmi);
    json_object_close(writer);
}

static void view_box(struct json_writer *writer, int x, int y, int width, int height)
{
    json_array_open(writer, "box");
    json_put_int(writer, NULL, x);
    json_put_int(writer, NULL, y);
    json_put_int(writer, NULL, width);
    json_put_int(writer, NULL, height);
    json_array_close(writer);
}

static void view_object(struct json_writer *writer, const struct infomask_object *object)
{
    json_object_open(writer, NULL);
    view_box(writer, object->x, object->y, object->width, object->height);
    json_put_double(writer, "area", object->area);
    json_array_open(writer, "peak");
    json_put_int(writer, NULL, object->peak_x);
    json_put_int(writer, NULL, object->peak_y);
    json_array_close(writer);
    json_put_double(writer, "information_share", object->information_share);
    json_object_close(writer);
}

/* png may be NULL: left out */
static void view_mask_member(struct json_writer *writer, const struct view_head *head, const struct infomask_mask *mask,
                             const struct infomask_encoded *png)
{
    bool nats = mask->rule == INFOMASK_THRESHOLD_NATS, bits = nats && head->units == VIEW_BITS;

    json_object_open(writer, "mask");
    json_put_bool(writer, "empty", mask->empty);
    json_put_string(writer, "rule", bits ? "bits" : rules[mask->rule]);
    json_put_double_or_null(writer, "threshold", (nats ? view_units_factor(head->units) : 1) * mask->threshold);
    json_put_double(writer, "area", mask->area);
    json_put_double_or_null(writer, "information_share", mask->information_share);
    if (png != NULL)
        json_put_base64(writer, "png", png->data, png->size);
    json_array_open(writer, "objects");
    for (int i = 0; i < mask->object_count; i++)
        view_object(writer, &mask->objects[i]);
    json_array_close(writer);
    json_object_close(writer);
}

/* `targets` and `maps` are there when there is more than one */
static void view_maps(struct json_writer *writer, const struct view_head *head, const struct infomask_mask *mask)
{
    if (mask->map_count > 1) {
        json_array_open(writer, "targets");
        for (int i = 0; i < mask->map_count; i++)
            view_target(writer, NULL, head, &mask->maps[i]);
        json_array_close(writer);
    }
    if (mask->map_count > 0)
        view_map(writer, "map", head, mask->method, &mask->maps[0]);
    if (mask->map_count > 1) {
        json_array_open(writer, "maps");
        for (int i = 0; i < mask->map_count; i++)
            view_map(writer, NULL, head, mask->method, &mask->maps[i]);
        json_array_close(writer);
    }
}

static void view_pictures(struct json_writer *writer, const struct view_picture *pictures, size_t count)
{
    bool open = false;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(pictures[i].name, "mask") == 0) /* mask.png */
            continue;
        if (!open)
            json_object_open(writer, "pictures");
        open = true;
        json_put_base64(writer, pictures[i].name, pictures[i].encoded->data, pictures[i].encoded->size);
    }
    if (open)
        json_object_close(writer);
}

static const struct infomask_encoded *find_picture(const struct view_picture *pictures, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pictures[i].name, name) == 0)
            return pictures[i].encoded;
    return NULL;
}

void view_mask(struct json_writer *writer, const char *key, const struct view_head *head,
               const struct infomask_classification *classification, const struct infomask_mask *mask,
               const struct view_picture *pictures, size_t picture_count)
{
    json_object_open(writer, key);
    view_head(writer, head, true);
    if (mask->map_count > 0)
        view_target(writer, "target", head, &mask->maps[0]);
    view_maps(writer, head, mask);
    view_mask_member(writer, head, mask, find_picture(pictures, picture_count, "mask"));
    view_pictures(writer, pictures, picture_count);
    view_timing(writer, head, VIEW_MASK_PHASES, &classification->timing, &mask->timing, NULL);
    json_object_close(writer);
}

/* ---- Filtering --------------------------------------------------------------------------------------------------- */

/* What a reason's sentence speaks of. */
struct told {
    const char *label, *units;
    double unit;
};

/* For %.1f: never -0.0. */
static double tenths(double value) { return fabs(value) < 0.05 ? 0 : value; }

/* The place takes all of the photo, or nearly so. */
static void tell_place_alone(const struct told *told, const struct infomask_round *round, char *text, size_t size)
{
    double region = tenths(told->unit * round->region_pmi_after);

    if (round->reason == INFOMASK_GONE)
        (void)snprintf(text, size,
                       "the place says no more of \"%s\" than a guess: %.1f %s; too little is beside it to ask",
                       told->label, region, told->units);
    else
        (void)snprintf(text, size, "the place itself still says \"%s\": %.1f %s; too little is beside it to ask",
                       told->label, region, told->units);
}

static void tell_place(const struct told *told, const struct infomask_round *round, char *text, size_t size)
{
    double region = tenths(told->unit * round->region_pmi_after);
    double context = isnan(round->context_pmi_after) ? 0 : tenths(told->unit * round->context_pmi_after);

    if (isnan(round->context_pmi_after) && (round->reason == INFOMASK_GONE || round->reason == INFOMASK_PLACE))
        tell_place_alone(told, round, text, size);
    else if (round->reason == INFOMASK_GONE) /* negative surroundings count as 0 */
        (void)snprintf(text, size, "the place says no more of \"%s\" than %s: %.1f beside %.1f %s", told->label,
                       context < 0 && region > context ? "a guess" : "its surroundings", region, context, told->units);
    else if (round->reason == INFOMASK_PLACE)
        (void)snprintf(text, size, "the place itself still says \"%s\": %.1f %s, its surroundings %.1f", told->label,
                       region, told->units, context);
    else if (round->reason == INFOMASK_WINDOW)
        (void)snprintf(text, size, "a part of the photo still says \"%s\": %.1f %s in a window, the surroundings %.1f",
                       told->label, told->unit * round->largest_window_pmi_after, told->units, context);
    else
        (void)snprintf(text, size, "the rest of the photo still says \"%s\": %.1f %s", told->label, context,
                       told->units);
}

static void tell_whole(const struct told *told, const struct infomask_round *round, double before, char *text,
                       size_t size)
{
    double after = tenths(told->unit * round->pmi_after);

    switch (round->reason) {
    case INFOMASK_ROSE:
        (void)snprintf(text, size, "the photo says \"%s\" no less than before: %.1f %s, before %.1f", told->label,
                       after, told->units, told->unit * before);
        break;
    case INFOMASK_FIRST:
        (void)snprintf(text, size, "\"%s\" is still the best class: %.1f %s", told->label, after, told->units);
        break;
    case INFOMASK_UNDER_LIMIT:
    case INFOMASK_OVER_LIMIT:
        (void)snprintf(text, size, "%s than the limit is left of \"%s\": %.1f %s, in the pass of the whole photo %.1f",
                       round->reason == INFOMASK_OVER_LIMIT ? "more" : "no more", told->label, after, told->units,
                       tenths(told->unit * round->map_pmi_after));
        break;
    case INFOMASK_NO_PMI:
        (void)snprintf(text, size, "the photo says no more of \"%s\" than the prior: %.1f %s", told->label, after,
                       told->units);
        break;
    default:
        (void)snprintf(text, size, "the photo as a whole still says \"%s\": %.1f %s, before %.1f", told->label, after,
                       told->units, told->unit * before);
    }
}

/* No window of the map speaks enough for the target, or a mask of one's own is empty. */
static void tell_nothing_kept(const struct told *told, const struct infomask_round *round, char *text, size_t size)
{
    int used = snprintf(text, size, "nothing of \"%s\" is masked: the photo is as it was", told->label);

    if (round->largest_window_pmi_after < round->evidence)
        (void)snprintf(text + used, size - (size_t)used, " (no place says more than %.1f %s of it, a mask needs %.1f)",
                       tenths(told->unit * round->largest_window_pmi_after), told->units,
                       told->unit * round->evidence);
}

void view_reason(const struct view_head *head, const struct infomask_verification *row,
                 const struct infomask_round *round, char *text, size_t size)
{
    struct told told = {model_label(head->model, (size_t)row->target), view_units_name(head->units),
                        view_units_factor(head->units)};

    switch (round->reason) {
    case INFOMASK_NOTHING: (void)snprintf(text, size, "nothing to remove"); break;
    case INFOMASK_NOTHING_KEPT: tell_nothing_kept(&told, round, text, size); break;
    case INFOMASK_NO_ROOM:
        (void)snprintf(text, size,
                       VIEW_NO_ROOM ": the smallest part of the mask takes %.3g %% of the photo once it is grown by "
                       "dilate", 100 * round->least_area);
        break;
    case INFOMASK_KEPT: (void)snprintf(text, size, "the target was to be kept: nothing to judge"); break;
    case INFOMASK_NO_PLACE:
        (void)snprintf(text, size, "the mask covers less than half a cell of the map: there is no place to ask");
        break;
    case INFOMASK_SCATTERED:
        (void)snprintf(text, size,
                       "the mask is scattered over the photo: its place cannot be asked apart from the rest");
        break;
    case INFOMASK_GONE:
    case INFOMASK_PLACE:
    case INFOMASK_WINDOW:
    case INFOMASK_REST: tell_place(&told, round, text, size); break;
    default: tell_whole(&told, round, row->pmi_before, text, size);
    }
}

static void put_verdict(struct json_writer *writer, enum infomask_verdict verdict)
{
    if (verdict == INFOMASK_NO_VERDICT)
        json_put_null(writer, "verdict");
    else
        json_put_string(writer, "verdict", infomask_verdict_name(verdict));
}

static void view_round(struct json_writer *writer, const struct view_head *head,
                       const struct infomask_verification *row, const struct infomask_round *round, int number)
{
    double unit = view_units_factor(head->units);
    char reason[VIEW_REASON];

    view_reason(head, row, round, reason, sizeof reason);
    json_object_open(writer, NULL);
    json_put_int(writer, "round", number);
    json_put_double(writer, "area", round->area);
    json_put_double(writer, "pmi_after", unit * round->pmi_after);
    json_put_double_or_null(writer, "map_pmi_after", unit * round->map_pmi_after);
    json_put_double_or_null(writer, "region_pmi_after", unit * round->region_pmi_after);
    json_put_double_or_null(writer, "context_pmi_after", unit * round->context_pmi_after);
    json_put_double_or_null(writer, "largest_window_pmi_after", unit * round->largest_window_pmi_after);
    json_put_double(writer, "probability_after", round->probability_after);
    json_put_int(writer, "rank_after", round->rank_after);
    put_verdict(writer, round->verdict);
    json_put_string(writer, "reason", reason);
    json_put_bool(writer, "returned", round->returned);
    json_put_bool(writer, "preview", round->preview);
    json_put_int(writer, "looks", round->looks);
    json_object_close(writer);
}

static void view_telling(struct json_writer *writer, const char *key, double unit, const struct infomask_telling *cells,
                         int count)
{
    json_array_open(writer, key);
    for (int i = 0; i < count; i++) {
        json_object_open(writer, NULL);
        json_put_int(writer, "row", cells[i].row);
        json_put_int(writer, "column", cells[i].column);
        view_box(writer, cells[i].x, cells[i].y, cells[i].width, cells[i].height);
        json_put_double(writer, "information", unit * cells[i].information);
        json_object_close(writer);
    }
    json_array_close(writer);
}

/* Of a removal that did not succeed, else null. */
static void view_still_tells(struct json_writer *writer, double unit, const struct infomask_verification *row)
{
    bool short_of_it = row->after.verdict == INFOMASK_FAILED || row->after.verdict == INFOMASK_WEAKENED;

    if (!short_of_it) {
        json_put_null(writer, "still_tells");
        return;
    }
    json_object_open(writer, "still_tells");
    view_telling(writer, "inside", unit, row->inside, row->inside_count);
    view_telling(writer, "outside", unit, row->outside, row->outside_count);
    json_object_close(writer);
}

static void view_verification_row(struct json_writer *writer, const char *key, const struct view_head *head,
                                  const struct infomask_verification *row, bool with_target)
{
    const struct infomask_round *after = &row->after;
    double unit = view_units_factor(head->units);
    char reason[VIEW_REASON];

    view_reason(head, row, after, reason, sizeof reason);
    json_object_open(writer, key);
    if (with_target) {
        view_target_name(writer, head->model, row->target);
    }
    put_verdict(writer, after->verdict);
    json_put_string(writer, "reason", reason);
    json_put_bool(writer, "complete", row->complete);
    json_put_double(writer, "pmi_before", unit * row->pmi_before);
    json_put_double(writer, "pmi_after", unit * after->pmi_after);
    json_put_double_or_null(writer, "map_pmi_before", unit * row->map_pmi_before);
    json_put_double_or_null(writer, "map_pmi_after", unit * after->map_pmi_after);
    json_put_double_or_null(writer, "region_pmi_before", unit * after->region_pmi_before);
    json_put_double_or_null(writer, "region_pmi_after", unit * after->region_pmi_after);
    json_put_double_or_null(writer, "context_pmi_before", unit * after->context_pmi_before);
    json_put_double_or_null(writer, "context_pmi_after", unit * after->context_pmi_after);
    json_put_double_or_null(writer, "largest_window_pmi_after", unit * after->largest_window_pmi_after);
    json_put_int(writer, "looks", after->looks);
    json_put_double(writer, "probability_before", row->probability_before);
    json_put_double(writer, "probability_after", after->probability_after);
    json_put_int(writer, "rank_after", after->rank_after);
    json_put_double(writer, "area", after->area);
    json_put_double_or_null(writer, "random_area_pmi_after", unit * after->random_area_pmi_after);
    json_put_int(writer, "passes", row->passes);
    json_array_open(writer, "rounds");
    for (int i = 0; i < row->passes; i++)
        view_round(writer, head, row, &row->rounds[i], i + 1);
    json_array_close(writer);
    view_still_tells(writer, unit, row);
    json_object_close(writer);
}

void view_fill_name(const struct infomask_filtered *filtered, char name[VIEW_FILL_NAME])
{
    const uint8_t *c = filtered->fill_color;

    if (filtered->fill == INFOMASK_COLOR)
        (void)snprintf(name, VIEW_FILL_NAME, "#%02x%02x%02x", c[0], c[1], c[2]);
    else
        (void)snprintf(name, VIEW_FILL_NAME, "%s", infomask_fill_name(filtered->fill));
}

static void view_fill(struct json_writer *writer, const struct infomask_filtered *filtered)
{
    char name[VIEW_FILL_NAME];

    view_fill_name(filtered, name);
    json_put_string(writer, "fill", name);
    if (filtered->fill_reason != NULL)
        json_put_string(writer, "fill_reason", filtered->fill_reason);
    else
        json_put_null(writer, "fill_reason");
    json_put_int(writer, "fill_seed", (int64_t)filtered->fill_seed);
    if (filtered->trimmed)
        view_box(writer, filtered->box.x, filtered->box.y, filtered->box.width, filtered->box.height);
}

/* one object for one target, an array of rows for several */
static void view_verification(struct json_writer *writer, const struct view_head *head,
                              const struct infomask_filtered *filtered)
{
    if (filtered->row_count == 1) {
        view_verification_row(writer, "verification", head, &filtered->rows[0], false);
        return;
    }
    json_array_open(writer, "verification");
    for (int i = 0; i < filtered->row_count; i++)
        view_verification_row(writer, NULL, head, &filtered->rows[i], true);
    json_array_close(writer);
}

void view_filter(struct json_writer *writer, const char *key, const struct view_head *head,
                 const struct infomask_classification *classification, const struct infomask_filtered *filtered,
                 const struct infomask_encoded *mask_png)
{
    const struct infomask_mask *mask = &filtered->mask;

    json_object_open(writer, key);
    view_head(writer, head, false); /* `image` is the picture here */
    if (mask->map_count > 0)
        view_target(writer, "target", head, &mask->maps[0]);
    view_maps(writer, head, mask);
    view_mask_member(writer, head, mask, mask_png);
    json_put_string(writer, "image_type", filtered->image.content_type);
    json_put_base64(writer, "image", filtered->image.data, filtered->image.size);
    view_fill(writer, filtered);
    view_verification(writer, head, filtered);
    view_timing(writer, head, VIEW_FILTER_PHASES, &classification->timing, &mask->timing, &filtered->timing);
    json_object_close(writer);
}

void view_analyze(struct json_writer *writer, const char *key, const struct view_head *head,
                  const struct view_analysis *a)
{
    json_object_open(writer, key);
    view_head(writer, head, true);
    view_class_members(writer, head, a->classification, a->options);
    if (a->mask->map_count > 0)
        view_target_row(writer, "target", head, a->classification, a->mask->maps[0].target);
    view_maps(writer, head, a->mask);
    view_mask_member(writer, head, a->mask, find_picture(a->pictures, a->picture_count, "mask"));
    view_pictures(writer, a->pictures, a->picture_count);
    if (a->filtered != NULL) {
        view_fill(writer, a->filtered);
        view_verification(writer, head, a->filtered);
    }
    view_timing(writer, head, a->filtered != NULL ? VIEW_FILTER_PHASES : VIEW_MASK_PHASES,
                &a->classification->timing, &a->mask->timing, a->filtered != NULL ? &a->filtered->timing : NULL);
    json_object_close(writer);
}
