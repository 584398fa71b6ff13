#include "app/view/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/settings/files.h"
#include "app/view/report_svg.h"
#include "app/view/views_estimates.h"

#define BINS 40
#define POINTS 200       /* of the risk-coverage curve */
#define CLASSES_SHOWN 100
#define PICTURES 50
#define PICTURE_SIDE 128
#define MAX_PHOTO ((size_t)64 << 20)

struct report {
    FILE *out;
    const struct estimate_state *state;
    struct report_samples *samples;
    const char *photos, *units;
    double factor;
};

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

bool report_row(void *context, const struct estimate_row *row)
{
    struct report_samples *s = context;

    if (s->count == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 1024;
        struct report_sample *samples = reallocarray(s->samples, capacity, sizeof *samples);
        if (samples == NULL)
            return !(s->full = true);
        s->samples = samples;
        s->capacity = capacity;
    }
    s->samples[s->count++] = (struct report_sample){row->pmi, row->information, row->label == row->predicted};
    return true;
}

void report_samples_fini(struct report_samples *samples)
{
    free(samples->samples);
    *samples = (struct report_samples){0};
}

/* ---- Head -------------------------------------------------------------------------------------------------------- */

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse}"
    "td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}td.n{text-align:right;"
    "font-variant-numeric:tabular-nums}.plots{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;flex:1 1 460px}"
    "svg{width:100%;height:auto}.grid{stroke:#ddd}.tick{font-size:10px;fill:#555}.axis{font-size:12px;fill:#333}"
    ".title{font-size:13px;font-weight:600}.bar{fill:#31688e}.low{fill:#b5367a}.line{fill:none;stroke:#31688e;"
    "stroke-width:2}.ideal{fill:none;stroke:#999;stroke-dasharray:4 3}.dot{fill:#31688e}li{margin:.2em 0}"
    ".suspects{display:flex;flex-wrap:wrap;gap:1em}.suspect{width:170px;font-size:13px;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}.grid{stroke:#444}.tick,.axis,.title{fill:#"
    "bbb}"
    ".bar,.dot{fill:#5ea3cc}.line{stroke:#5ea3cc}}";

static void put_row(const struct report *r, const char *name, double value, const char *unit)
{
    if (isfinite(value))
        (void)fprintf(r->out, "<tr><th>%s</th><td class=\"n\">%.4f</td><td>%s</td></tr>\n", name, value, unit);
}

static void put_head(const struct report *r)
{
    const struct infomask_report *report = &r->state->report;
    const char *name = r->state->info.name[0] != '\0' ? r->state->info.name : r->state->info.id;

    (void)fprintf(
        r->out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv="
        "\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Information: ");
    html_text(r->out, name);
    (void)fprintf(r->out,
                  "</title>\n<style>%s</style></head><body>\n<h1>How much the samples say about their class</h1>\n<p>",
                  style);
    html_text(r->out, name);
    (void)fprintf(r->out, "<br>%llu samples, model ", (unsigned long long)report->samples);
    html_text(r->out, r->state->info.model);
    (void)fprintf(r->out, ", prior %s, in %s</p>\n<table>\n", r->state->info.prior, r->units);
    put_row(r, "mutual information", report->estimate * r->factor, "estimate: at most I(X;Y) on average");
    put_row(r, "standard error", report->standard_error * r->factor, "");
    put_row(r, "lower limit", r->state->limits.betting * r->factor,
            "valid at 97.5 %, if neither the head nor its backbone was trained on these samples");
    put_row(r, "label entropy", report->label_entropy * r->factor, "upper limit");
    put_row(r, "plug-in", report->plug_in * r->factor, "what the model believes");
    put_row(r, "over-confidence", report->overconfidence * r->factor, "plug-in less estimate");
    put_row(r, "temperature", report->temperature, "above 1: over-confident");
    put_row(r, "estimate with it", report->calibrated_estimate * r->factor, "");
    put_row(r, "accuracy", report->accuracy, "");
    put_row(r, "calibration error", report->ece, "15 bins");
    (void)fputs("</table>\n", r->out);
}

static void put_warning(void *context, const char *sentence)
{
    FILE *out = context;

    (void)fputs("<li>", out);
    html_text(out, sentence);
    (void)fputs("</li>\n", out);
}

/* ---- Plots ------------------------------------------------------------------------------------------------------- */

static void plot_histogram(const struct report *r)
{
    const struct report_samples *s = r->samples;
    struct plot plot = {.out = r->out, .x0 = INFINITY, .x1 = -INFINITY};
    double counts[BINS] = {0}, width;
    char axis[40];

    for (size_t i = 0; i < s->count; i++) {
        plot.x0 = fmin(plot.x0, s->samples[i].pmi * r->factor);
        plot.x1 = fmax(plot.x1, s->samples[i].pmi * r->factor);
    }
    if (s->count == 0)
        return;
    width = (plot.x1 - plot.x0) / BINS;
    for (size_t i = 0; i < s->count; i++) {
        double at = width > 0 ? (s->samples[i].pmi * r->factor - plot.x0) / width : 0;
        counts[at < BINS ? (size_t)at : BINS - 1]++;
    }
    for (int i = 0; i < BINS; i++)
        plot.y1 = fmax(plot.y1, counts[i]);
    (void)snprintf(axis, sizeof axis, "PMI of the label, %s", r->units);
    plot_open(&plot, "What each sample says about its label", axis, "samples");
    for (int i = 0; i < BINS; i++)
        if (counts[i] > 0)
            plot_bar(&plot, plot.x0 + i * width, plot.x0 + (i + 1) * width, counts[i],
                     plot.x0 + (i + 0.5) * width < r->state->suspect_threshold * r->factor ? "low" : "bar");
    plot_close(&plot);
}

static void plot_reliability(const struct report *r)
{
    const struct infomask_report *report = &r->state->report;
    const double ends[] = {0, 1};
    struct plot plot = {.out = r->out, .x1 = 1, .y1 = 1};

    plot_open(&plot, "Reliability", "confidence", "accuracy");
    plot_line(&plot, ends, ends, 2, "ideal");
    for (size_t i = 0; i < sizeof report->bin_samples / sizeof *report->bin_samples; i++)
        if (report->bin_samples[i] > 0)
            plot_dot(&plot, report->bin_confidence[i], report->bin_accuracy[i],
                     2 + 8 * sqrt((double)report->bin_samples[i] / (double)report->samples), "dot");
    plot_close(&plot);
}

static int by_information(const void *a, const void *b)
{
    const struct report_sample *x = a, *y = b;

    if (x->information != y->information)
        return x->information > y->information ? -1 : 1;
    return x->correct - y->correct; /* of equals the wrong ones first: never flattering */
}

/* Answering only the most informative share of the samples: how many of those answers are wrong? */
static void plot_risk(const struct report *r)
{
    struct report_samples *s = r->samples;
    struct plot plot = {.out = r->out, .x1 = 1};
    double x[POINTS], y[POINTS];
    size_t wrong = 0, used = 0, points = s->count < POINTS ? s->count : POINTS;

    if (s->count == 0)
        return;
    qsort(s->samples, s->count, sizeof *s->samples, by_information);
    for (size_t p = 0; p < points; p++) {
        size_t until = (p + 1) * s->count / points;
        for (; used < until; used++)
            wrong += !s->samples[used].correct;
        x[p] = (double)used / (double)s->count;
        y[p] = (double)wrong / (double)used;
        plot.y1 = fmax(plot.y1, y[p]);
    }
    plot_open(&plot, "Risk and coverage of abstaining", "share answered, most informative first", "errors among them");
    plot_line(&plot, x, y, points, "line");
    plot_close(&plot);
}

struct class_bar {
    size_t index;
    double information;
};

static int by_value(const void *a, const void *b)
{
    const struct class_bar *x = a, *y = b;

    if (x->information != y->information)
        return x->information < y->information ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void put_class_table(const struct report *r, const struct class_bar *bars, size_t n)
{
    char number[24];

    (void)fprintf(r->out,
                  "<h2>Classes, least informed first</h2>\n<table><tr><th>class</th><th>samples</th><th>information"
                  "</th><th>mean PMI</th><th>accuracy</th></tr>\n");
    for (size_t i = 0; i < n && i < CLASSES_SHOWN; i++) {
        const struct infomask_class_report *row = &r->state->report.by_class[bars[i].index];
        (void)fputs("<tr><td>", r->out);
        html_text(r->out, estimate_label(&r->state->info, bars[i].index, number));
        (void)fprintf(r->out,
                      "</td><td class=\"n\">%llu</td><td class=\"n\">%.3f</td><td class=\"n\">%.3f</td>"
                      "<td class=\"n\">%.3f</td></tr>\n",
                      (unsigned long long)row->samples, row->information * r->factor, row->mean_pmi * r->factor,
                      row->accuracy);
    }
    (void)fputs("</table>\n", r->out);
    if (n > CLASSES_SHOWN)
        (void)fprintf(r->out, "<p>and %zu more</p>\n", n - CLASSES_SHOWN);
}

/* bars [classes]; returns how many classes have samples, sorted. */
static size_t collect_classes(const struct report *r, struct class_bar *bars)
{
    size_t n = 0;

    for (size_t y = 0; y < r->state->report.classes; y++)
        if (r->state->report.by_class[y].samples > 0)
            bars[n++] = (struct class_bar){y, r->state->report.by_class[y].information};
    qsort(bars, n, sizeof *bars, by_value);
    return n;
}

static void plot_classes(const struct report *r, const struct class_bar *bars, size_t n)
{
    struct plot plot = {.out = r->out, .x1 = (double)n};
    char axis[40];

    for (size_t i = 0; i < n; i++) {
        plot.y0 = fmin(plot.y0, bars[i].information * r->factor);
        plot.y1 = fmax(plot.y1, bars[i].information * r->factor);
    }
    (void)snprintf(axis, sizeof axis, "information, %s", r->units);
    plot_open(&plot, "Information by class", "classes, least first", axis);
    for (size_t i = 0; i < n; i++)
        plot_bar(&plot, (double)i, (double)(i + 1), bars[i].information * r->factor,
                 bars[i].information < 0 ? "low" : "bar");
    plot_close(&plot);
}

/* ---- Suspects ---------------------------------------------------------------------------------------------------- */

static void put_base64(FILE *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)data[i] << 16 | (i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0) |
                         (i + 2 < size ? data[i + 2] : 0);
        (void)fputc(digits[three >> 18], out);
        (void)fputc(digits[three >> 12 & 63], out);
        (void)fputc(i + 1 < size ? digits[three >> 6 & 63] : '=', out);
        (void)fputc(i + 2 < size ? digits[three & 63] : '=', out);
    }
}

/* Where the file is no longer there, or no photo any more, the entry stays without a picture. */
static void put_picture(const struct report *r, const char *sample)
{
    char *path = sample[0] == '/' ? strdup(sample) : file_join(r->photos, sample), *bytes = NULL;
    struct infomask_encoded encoded = {0};
    struct infomask_photo *photo = NULL;
    struct infomask_error ignored;
    size_t size;

    if (path != NULL && file_read(path, MAX_PHOTO, &bytes, &size, &ignored) == INFOMASK_OK &&
        infomask_photo_open(bytes, size, NULL, &photo, &ignored) == INFOMASK_OK &&
        infomask_thumbnail(photo, PICTURE_SIDE, &encoded, &ignored) == INFOMASK_OK) {
        (void)fprintf(r->out, "<img alt=\"\" src=\"data:%s;base64,", encoded.content_type);
        put_base64(r->out, encoded.data, encoded.size);
        (void)fputs("\"><br>", r->out);
    }
    infomask_encoded_fini(&encoded);
    infomask_photo_close(photo);
    free(bytes);
    free(path);
}

static void put_suspects(const struct report *r)
{
    const struct estimate_state *state = r->state;
    char number[24];

    (void)fprintf(r->out,
                  "<h2>Suspects</h2>\n<p>%llu samples have a PMI of their own label of %.2f %s or less, where right "
                  "labels leave about %.2g.  These are the lowest.</p>\n<div class=\"suspects\">\n",
                  (unsigned long long)state->suspects_in_all, state->suspect_threshold * r->factor, r->units,
                  state->audit.expected);
    for (size_t i = 0; i < state->suspect_count; i++) {
        const struct estimate_suspect *suspect = &state->suspects[i];
        (void)fputs("<div class=\"suspect\">", r->out);
        if (r->photos != NULL && i < PICTURES)
            put_picture(r, suspect->sample);
        (void)fprintf(r->out, "%.2f: labelled ", suspect->pmi * r->factor);
        html_text(r->out, estimate_label(&state->info, suspect->label, number));
        (void)fputs(", taken for ", r->out);
        html_text(r->out, estimate_label(&state->info, suspect->predicted, number));
        (void)fputs("<br><small>", r->out);
        html_text(r->out, suspect->sample);
        (void)fputs("</small></div>\n", r->out);
    }
    (void)fputs("</div>\n", r->out);
}

/* ---- The page ---------------------------------------------------------------------------------------------------- */

static enum infomask_status put_page(const struct report *r, enum view_units units, struct infomask_error *err)
{
    struct class_bar *bars = calloc(r->state->report.classes + 1, sizeof *bars);
    size_t n;

    if (bars == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the report");
    n = collect_classes(r, bars);
    put_head(r);
    (void)fputs("<ul>\n", r->out);
    view_estimate_warnings(r->state, units, put_warning, r->out);
    (void)fputs("</ul>\n<div class=\"plots\">\n", r->out);
    plot_histogram(r);
    plot_reliability(r);
    plot_classes(r, bars, n);
    plot_risk(r);
    (void)fputs("</div>\n", r->out);
    put_suspects(r);
    put_class_table(r, bars, n);
    (void)fputs("</body></html>\n", r->out);
    free(bars);
    return INFOMASK_OK;
}

static enum infomask_status save(const char *folder, const char *text, size_t size, struct infomask_error *err)
{
    char *path = file_join(folder, "index.html");
    enum infomask_status status;

    if (path == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the report");
    status = mkdir(folder, 0777) == 0 || errno == EEXIST ? file_write(path, text, size, err)
                                                         : error_set(err, INFOMASK_IO, "%s", strerror(errno));
    if (status != INFOMASK_OK)
        error_prefix(err, "%.150s", folder);
    free(path);
    return status;
}

enum infomask_status report_write(const char *folder, const struct estimate_state *state,
                                  struct report_samples *samples, const char *photos, enum view_units units,
                                  struct infomask_error *err)
{
    struct report report = {NULL, state, samples, photos, view_units_name(units), view_units_factor(units)};
    char *text = NULL;
    size_t size = 0;
    enum infomask_status status;

    report.out = open_memstream(&text, &size);
    if (report.out == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the report");
    status = put_page(&report, units, err);
    if (fclose(report.out) != 0 && status == INFOMASK_OK)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the report");
    if (status == INFOMASK_OK)
        status = save(folder, text, size, err);
    free(text);
    return status;
}
