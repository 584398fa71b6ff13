/* The head of every reply, classifications, and problems. */
#include "app/view/views.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "app/view/views_head.h"
#include "core/base/clock.h"

const char *view_units_name(enum view_units units)
{
    return units == VIEW_BITS ? "bits" : "nats";
}

double view_units_factor(enum view_units units)
{
    return units == VIEW_BITS ? 1 / log(2) : 1;
}

void view_model_reference(struct json_writer *writer, const struct model *model)
{
    json_object_open(writer, "model");
    json_put_string(writer, "name", model_name(model));
    json_put_string(writer, "version", model_version(model));
    json_put_string(writer, "sha256", model_info(model)->sha256);
    json_object_close(writer);
}

static void view_image(struct json_writer *writer, const struct infomask_photo_info *image)
{
    json_object_open(writer, "image");
    json_put_string(writer, "format", image->format);
    json_put_int(writer, "width", image->width);
    json_put_int(writer, "height", image->height);
    json_put_int(writer, "orientation", image->orientation);
    json_object_close(writer);
}

void view_head(struct json_writer *writer, const struct view_head *head, bool image)
{
    if (head->request_id != NULL)
        json_put_string(writer, "request_id", head->request_id);
    if (head->file != NULL)
        json_put_string(writer, "file", head->file);
    view_model_reference(writer, head->model);
    if (image)
        view_image(writer, head->image);
    json_put_string(writer, "units", view_units_name(head->units));
    json_put_string(writer, "prior", head->prior);
    json_put_uint(writer, "classes", model_classes(head->model));
}

/* ---- Timing ------------------------------------------------------------------------------------------------------ */

/* to the microsecond: more digits would be noise */
static void put_ms(struct json_writer *writer, const char *key, double ms)
{
    json_put_double(writer, key, round(ms * 1e3) / 1e3);
}

void view_timing_add(struct infomask_timing *sum, const struct infomask_timing *timing)
{
    if (timing == NULL)
        return;
    sum->decode += timing->decode;
    sum->preprocess += timing->preprocess;
    sum->network += timing->network;
    sum->information += timing->information;
    sum->map += timing->map;
    sum->mask += timing->mask;
    sum->fill += timing->fill;
    sum->encode += timing->encode;
}

void view_timing(struct json_writer *writer, const struct view_head *head, enum view_phases phases,
                 const struct infomask_timing *first, const struct infomask_timing *second,
                 const struct infomask_timing *third)
{
    struct infomask_timing sum = {0};

    view_timing_add(&sum, first);
    view_timing_add(&sum, second);
    view_timing_add(&sum, third);
    json_object_open(writer, "timing_ms");
    put_ms(writer, "queue", head->queue_ms);
    put_ms(writer, "decode", sum.decode);
    put_ms(writer, "preprocess", sum.preprocess);
    put_ms(writer, "network", sum.network);
    if (phases >= VIEW_MASK_PHASES) {
        put_ms(writer, "map", sum.map);
        put_ms(writer, "mask", sum.mask);
    }
    if (phases >= VIEW_FILTER_PHASES)
        put_ms(writer, "fill", sum.fill);
    put_ms(writer, "encode", sum.encode);
    put_ms(writer, "total", clock_ms() - head->started_ms);
    json_object_close(writer);
}

/* ---- Classification ---------------------------------------------------------------------------------------------- */

static void put_class_name(struct json_writer *writer, const struct model *model, int index)
{
    json_put_int(writer, "index", index);
    json_put_string(writer, "label", model_label(model, (size_t)index));
}

void view_target_name(struct json_writer *writer, const struct model *model, int target)
{
    if (!model_is_group(model, target)) {
        put_class_name(writer, model, target);
        return;
    }
    json_put_string(writer, "group", model_label(model, (size_t)target));
    json_put_string(writer, "label", model_label(model, (size_t)target));
    json_put_int(writer, "size", model_groups(model)->sets[(size_t)target - model_classes(model)].count);
}

void view_target_row(struct json_writer *writer, const char *key, const struct view_head *head,
                     const struct infomask_classification *classification, int target)
{
    struct infomask_score score = infomask_score(model_core(head->model), classification, target);
    double unit = view_units_factor(head->units);

    json_object_open(writer, key);
    view_target_name(writer, head->model, target);
    json_put_double(writer, "probability", exp(score.log_probability));
    json_put_double(writer, "log_probability", unit * score.log_probability);
    json_put_double(writer, "pmi", unit * score.pmi);
    json_object_close(writer);
}

/* The groups that a class is of, most specific first. */
static void put_groups_of(struct json_writer *writer, const struct model *model, int index)
{
    const struct groups *groups = model_groups(model);

    json_array_open(writer, "groups");
    for (size_t i = 0; groups->count > 0 && i < groups->first_of_class[index + 1] - groups->first_of_class[index]; i++)
        json_put_string(writer, NULL, groups->names[groups->of_class[groups->first_of_class[index] + i]]);
    json_array_close(writer);
}

static void view_prediction(struct json_writer *writer, const struct view_head *head,
                            const struct infomask_classification *classification, int index, bool groups)
{
    double unit = view_units_factor(head->units);

    json_object_open(writer, NULL);
    put_class_name(writer, head->model, index);
    json_put_double(writer, "probability", exp(classification->log_probability[index]));
    json_put_double(writer, "log_probability", unit * classification->log_probability[index]);
    json_put_double(writer, "pmi", unit * classification->pmi[index]);
    if (groups)
        put_groups_of(writer, head->model, index);
    json_object_close(writer);
}

static void view_surely(struct json_writer *writer, const struct view_head *head,
                        const struct infomask_classification *classification)
{
    double p;
    int group = class_groups_surely(model_groups(head->model), classification, &p);

    if (group < 0) {
        json_put_null(writer, "surely");
        return;
    }
    json_object_open(writer, "surely");
    json_put_string(writer, "group", model_groups(head->model)->names[group]);
    json_put_double(writer, "probability", p);
    json_put_double(writer, "pmi", view_units_factor(head->units) *
                                       infomask_score(model_core(head->model), classification,
                                                      (int)model_classes(head->model) + group).pmi);
    json_object_close(writer);
}

static void put_interval(struct json_writer *writer, const char *key, double lower, double upper)
{
    json_array_open(writer, key);
    json_put_double(writer, NULL, lower);
    json_put_double(writer, NULL, upper);
    json_array_close(writer);
}

static int rows_shown(const struct infomask_classification *classification, const struct view_classify_options *options)
{
    return (size_t)options->top_k < classification->classes ? options->top_k : (int)classification->classes;
}

static void view_noise(struct json_writer *writer, const struct view_head *head,
                       const struct infomask_classification *c, const struct view_classify_options *options)
{
    double unit = view_units_factor(head->units);

    json_object_open(writer, "noise");
    json_put_int(writer, "samples", c->samples);
    json_put_uint(writer, "seed", c->seed);
    put_interval(writer, "information", unit * c->noise_information[0], unit * c->noise_information[1]);
    json_put_double(writer, "model_information", unit * c->model_information);
    json_array_open(writer, "predictions");
    for (int i = 0; i < rows_shown(c, options); i++) {
        int y = c->order[i];
        json_object_open(writer, NULL);
        put_class_name(writer, head->model, y);
        put_interval(writer, "log_probability", unit * c->noise_l1[y], unit * c->noise_ls[y]);
        put_interval(writer, "pmi", unit * (c->noise_l1[y] - c->log_prior[y]),
                     unit * (c->noise_ls[y] - c->log_prior[y]));
        json_object_close(writer);
    }
    json_array_close(writer);
    json_object_close(writer);
}

void view_class_members(struct json_writer *writer, const struct view_head *head,
                        const struct infomask_classification *classification,
                        const struct view_classify_options *options)
{
    double unit = view_units_factor(head->units);

    json_array_open(writer, "predictions");
    for (int i = 0; i < rows_shown(classification, options); i++)
        view_prediction(writer, head, classification, classification->order[i], options->groups);
    json_array_close(writer);
    if (options->groups)
        view_surely(writer, head, classification);
    json_put_double(writer, "information", unit * classification->information);
    json_put_double(writer, "entropy", unit * classification->entropy);
    json_put_double(writer, "prior_entropy", unit * classification->prior_entropy);
    json_put_bool(writer, "abstain", classification->information < options->abstain_below); /* never with NAN */
    if (classification->samples > 0)
        view_noise(writer, head, classification, options);
    else
        json_put_null(writer, "noise");
}

void view_classify(struct json_writer *writer, const char *key, const struct view_head *head,
                   const struct infomask_classification *classification, const struct view_classify_options *options)
{
    json_object_open(writer, key);
    view_head(writer, head, true);
    view_class_members(writer, head, classification, options);
    if (options->target >= 0)
        view_target_row(writer, "target", head, classification, options->target);
    view_timing(writer, head, VIEW_CLASSIFY_PHASES, &classification->timing, NULL, NULL);
    json_object_close(writer);
}
