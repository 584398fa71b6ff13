#include "app/view/views_traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SHOWN_MOVED 20
#define SHOWN 10 /* classes whose share differs most */

static void put_model(struct json_writer *writer, const struct model *model)
{
    json_object_open(writer, "model");
    json_put_string(writer, "name", model_name(model));
    json_put_string(writer, "version", model_version(model));
    json_put_string(writer, "sha256", model_info(model)->sha256);
    json_object_close(writer);
}

static void put_baseline(struct json_writer *writer, const struct traffic_baseline *baseline, double factor)
{
    if (baseline->samples == 0) {
        json_put_null(writer, "baseline");
        return;
    }
    json_object_open(writer, "baseline");
    json_put_string(writer, "estimate", baseline->id);
    json_put_uint(writer, "samples", baseline->samples);
    json_put_double_or_null(writer, "plug_in", baseline->plug_in * factor);
    json_put_double_or_null(writer, "deviation", baseline->deviation * factor);
    json_put_double_or_null(writer, "overconfidence", baseline->overconfidence * factor);
    json_object_close(writer);
}

struct shown {
    size_t index;
    double distance;
};

static int by_distance(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance > y->distance ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void put_class(struct json_writer *writer, const struct model *model, size_t y, const struct traffic_class *row)
{
    json_object_open(writer, NULL);
    json_put_uint(writer, "index", y);
    json_put_string(writer, "label", model_label(model, y));
    json_put_double(writer, "prior", row->prior);
    json_put_double(writer, "mean_probability", row->mean_probability);
    json_put_double(writer, "ratio", row->mean_probability / row->prior);
    json_put_double(writer, "fitted", row->fitted);
    json_object_close(writer);
}

static void put_shift(struct json_writer *writer, const struct model *model, const struct traffic_state *s)
{
    struct shown *rows = s->by_class != NULL ? calloc(s->classes, sizeof *rows) : NULL;

    if (rows == NULL) {
        json_put_null(writer, "prior_shift");
        return;
    }
    for (size_t y = 0; y < s->classes; y++)
        rows[y] = (struct shown){y, fabs(s->by_class[y].fitted - s->by_class[y].prior)};
    qsort(rows, s->classes, sizeof *rows, by_distance);
    json_object_open(writer, "prior_shift");
    json_put_uint(writer, "samples", s->rows);
    json_put_double_or_null(writer, "chi2", s->shift.chi2);
    json_put_uint(writer, "degrees_of_freedom", s->classes - 1);
    json_put_double_or_null(writer, "p_value", s->shift.p_value);
    json_put_bool(writer, "alarm", s->shift.p_value < TRAFFIC_ALARM_P);
    json_array_open(writer, "classes");
    for (size_t i = 0; i < s->classes && i < SHOWN; i++)
        put_class(writer, model, rows[i].index, &s->by_class[rows[i].index]);
    json_array_close(writer);
    json_object_close(writer);
    free(rows);
}

static void put_hour(struct json_writer *writer, const char *key, int64_t hour)
{
    time_t at = (time_t)(hour * 3600);
    char text[32] = "";
    struct tm utc;

    if (gmtime_r(&at, &utc) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%MZ", &utc);
    json_put_string(writer, key, text);
}

static void put_moved(struct json_writer *writer, const struct model *model, const struct traffic_moved *row,
                      double factor)
{
    static const char *const words[] = {"information", "entropy", "class"};
    double unit = row->what == TRAFFIC_CLASS ? 1 : factor;

    json_object_open(writer, NULL);
    json_put_string(writer, "what", words[row->what]);
    if (row->what == TRAFFIC_CLASS) {
        json_put_uint(writer, "index", row->index);
        json_put_string(writer, "label", model_label(model, row->index));
    }
    json_put_double_or_null(writer, "before", row->before * unit);
    json_put_double_or_null(writer, "after", row->after * unit);
    put_hour(writer, "since", row->hour);
    json_put_double(writer, "p_value", row->p_value);
    json_object_close(writer);
}

static void put_drift(struct json_writer *writer, const struct model *model, const struct traffic_drift *drift,
                      double factor)
{
    json_object_open(writer, "drift");
    json_put_bool(writer, "alarm", drift->moved_count > 0);
    json_put_double(writer, "level", drift->level);
    json_put_uint(writer, "photos", drift->photos);
    json_put_uint(writer, "moved_in_all", drift->moved_count);
    json_array_open(writer, "moved");
    for (size_t i = 0; i < drift->moved_count && i < SHOWN_MOVED; i++)
        put_moved(writer, model, &drift->moved[i], factor);
    json_array_close(writer);
    json_put_uint(writer, "hours_a_step", drift->hours_a_step);
    json_array_open(writer, "history");
    for (size_t i = 0; i < drift->hour_count; i++) {
        const struct traffic_hour *hour = &drift->hours[i];
        json_object_open(writer, NULL);
        put_hour(writer, "from", hour->hour);
        json_put_uint(writer, "photos", hour->photos);
        json_put_double(writer, "information", hour->information * factor);
        json_put_double(writer, "entropy", hour->entropy * factor);
        json_object_close(writer);
    }
    json_array_close(writer);
    json_object_close(writer);
}

static void put_warnings(struct json_writer *writer, const struct traffic_state *s)
{
    char text[160];

    json_array_open(writer, "warnings");
    if (s->window < TRAFFIC_LEAST) {
        (void)snprintf(text, sizeof text, "%zu photos are too few to say anything; %d are needed", s->window,
                       TRAFFIC_LEAST);
        json_put_string(writer, NULL, text);
    }
    if (s->baseline.samples == 0)
        json_put_string(writer, NULL,
                        "there is no labelled estimate of this model with at least 30 samples to compare with");
    if (s->rows >= TRAFFIC_LEAST && s->rows < 5 * s->classes)
        json_put_string(writer, NULL,
                        "the photos are few for so many classes: the fitted prior is rough, and chi2 errs "
                        "towards no alarm");
    if (!(fabs(s->z) > TRAFFIC_ALARM) && s->window >= TRAFFIC_LEAST)
        json_put_string(writer, NULL, "information alone cannot see photos on which the model is confidently wrong");
    json_array_close(writer);
}

void view_traffic(struct json_writer *writer, const struct model *model, const struct traffic_state *s,
                  enum view_units units, const char *request_id)
{
    double factor = view_units_factor(units);

    json_object_open(writer, NULL);
    json_put_string(writer, "request_id", request_id);
    put_model(writer, model);
    json_put_string(writer, "units", view_units_name(units));
    json_put_string(writer, "prior", "train");
    json_put_uint(writer, "total", s->total);
    json_put_uint(writer, "window", s->window);
    json_put_double_or_null(writer, "information", s->information * factor);
    json_put_double_or_null(writer, "deviation", s->deviation * factor);
    json_put_double_or_null(writer, "standard_error",
                            s->window > 0 ? s->deviation * factor / sqrt((double)s->window) : NAN);
    json_put_double_or_null(writer, "entropy", s->entropy * factor);
    put_baseline(writer, &s->baseline, factor);
    json_put_double_or_null(writer, "z", s->z);
    if (isfinite(s->z))
        json_put_bool(writer, "alarm", fabs(s->z) > TRAFFIC_ALARM);
    else
        json_put_null(writer, "alarm");
    put_shift(writer, model, s);
    put_drift(writer, model, &s->drift, factor);
    put_warnings(writer, s);
    json_object_close(writer);
}
