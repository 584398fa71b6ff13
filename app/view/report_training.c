#include "app/view/report_training.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/settings/files.h"
#include "app/view/report_svg.h"

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    ".plots{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;flex:1 1 "
    "460px;max-width:512px}svg{width:100%;height:auto}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right;font-variant-numeric:tabular-nums}";
static const char plot_style[] = "text{font-family:system-ui,sans-serif}.grid{stroke:#ddd}.tick{font-size:10px;fill:#"
                                 "666}.axis{font-size:12px;fill:#555}"
                                 ".title{font-size:13px;font-weight:600;fill:#555}.train,.held,.ideal,.truth{fill:none;"
                                 "stroke-width:2}.train{stroke:#e0912f}"
                                 ".held{stroke:#31688e}.ideal{stroke:#999;stroke-dasharray:6 "
                                 "4}.truth{stroke:#b5367a;stroke-dasharray:2 3}.dot{fill:#31688e}";

struct run {
    const char *title;
    const struct infomask_train_epoch *epochs;
    size_t count;
    double truth;  /* nats; NAN: unknown */
    double factor; /* nats to the units */
    const char *units;
    double *x, *y; /* [count] */
};

typedef double value_of(const struct infomask_train_epoch *e);

static double epoch_of(const struct infomask_train_epoch *e) { return e->epoch; }
static double train_information(const struct infomask_train_epoch *e) { return e->train_information; }
static double held_information(const struct infomask_train_epoch *e) { return e->held_out_information; }
static double train_accuracy(const struct infomask_train_epoch *e) { return e->train_accuracy; }
static double held_accuracy(const struct infomask_train_epoch *e) { return e->held_out_accuracy; }
static double log_softmax(const struct infomask_train_epoch *e) { return -e->loss; }

static double least(const struct run *r, value_of *of)
{
    double low = INFINITY;

    for (size_t i = 0; i < r->count; i++)
        low = fmin(low, of(&r->epochs[i]));
    return low;
}

static void line(const struct run *r, const struct plot *plot, value_of *x, double x_factor, value_of *y,
                 double y_factor, const char *class)
{
    for (size_t i = 0; i < r->count; i++) {
        r->x[i] = x(&r->epochs[i]) * x_factor;
        r->y[i] = y(&r->epochs[i]) * y_factor;
    }
    plot_line(plot, r->x, r->y, r->count, class);
}

/* The axis of information: from 0, or what lies below, to a little over H(Y). */
static void span(const struct run *r, double low, struct plot *plot)
{
    double high = 0;

    for (size_t i = 0; i < r->count; i++)
        high = fmax(high, r->epochs[i].label_entropy);
    plot->y0 = fmax(fmin(low, 0), -high) * r->factor;
    plot->y1 = 1.05 * high * r->factor;
}

/* Across the plot. */
static void put_level(const struct plot *plot, double y, const char *class)
{
    const double x[] = {plot->x0, plot->x1}, ys[] = {y, y};

    if (isfinite(y))
        plot_line(plot, x, ys, 2, class);
}

static void plot_information(const struct run *r, FILE *out, const char *own)
{
    struct plot plot = {.out = out, .x0 = 0, .x1 = (double)r->epochs[0].epochs, .style = own};
    char axis[32];

    span(r, fmin(least(r, held_information), least(r, train_information)), &plot);
    (void)snprintf(axis, sizeof axis, "I(X;Y), %s", r->units);
    plot_open(&plot, isfinite(r->truth) ? "Held out (blue), training (orange), truth (dots), H(Y)"
                                        : "Held out (blue), training (orange), H(Y) (dashed)", "epoch", axis);
    put_level(&plot, r->epochs[0].label_entropy * r->factor, "ideal");
    put_level(&plot, r->truth * r->factor, "truth");
    line(r, &plot, epoch_of, 1, train_information, r->factor, "train");
    line(r, &plot, epoch_of, 1, held_information, r->factor, "held");
    plot_close(&plot);
}

static void plot_accuracy(const struct run *r, FILE *out, const char *own)
{
    double low = fmin(least(r, held_accuracy), least(r, train_accuracy));
    struct plot plot = {
        .out = out, .x0 = 0, .x1 = (double)r->epochs[0].epochs, .y0 = low - 0.1 * (1 - low), .y1 = 1, .style = own};

    plot_open(&plot, "Accuracy: held out (blue), training (orange)", "epoch", "");
    line(r, &plot, epoch_of, 1, train_accuracy, 1, "train");
    line(r, &plot, epoch_of, 1, held_accuracy, 1, "held");
    plot_close(&plot);
}

static void plot_softmax(const struct run *r, FILE *out, const char *own)
{
    struct plot plot = {.out = out, .x0 = INFINITY, .x1 = -INFINITY, .style = own};
    char axis[80];

    for (size_t i = 0; i < r->count; i++) {
        plot.x0 = fmin(plot.x0, log_softmax(&r->epochs[i]) * r->factor);
        plot.x1 = fmax(plot.x1, log_softmax(&r->epochs[i]) * r->factor);
    }
    span(r, least(r, held_information), &plot);
    (void)snprintf(axis, sizeof axis, "held-out I(X;Y), %s", r->units);
    plot_open(&plot, "As log-softmax rises, so does the information held out", "mean log-softmax in training", axis);
    put_level(&plot, r->epochs[0].label_entropy * r->factor, "ideal");
    put_level(&plot, r->truth * r->factor, "truth");
    line(r, &plot, log_softmax, r->factor, held_information, r->factor, "held");
    for (size_t i = 0; i < r->count; i++)
        plot_dot(&plot, log_softmax(&r->epochs[i]) * r->factor, held_information(&r->epochs[i]) * r->factor, 3, "dot");
    plot_close(&plot);
}

static void put_table(const struct run *r, FILE *out)
{
    (void)fprintf(out,
                  "<table><tr><th>epoch</th><th>loss</th><th>I train</th><th>I held out</th><th>&plusmn;</th><th>H(Y)"
                  "</th><th>accuracy</th><th>seconds</th></tr>\n");
    for (size_t i = 0; i < r->count; i++) {
        const struct infomask_train_epoch *e = &r->epochs[i];
        (void)fprintf(out,
                      "<tr><td>%d</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%.2f %%</td>"
                      "<td>%.1f</td></tr>\n",
                      e->epoch, e->loss * r->factor, e->train_information * r->factor,
                      e->held_out_information * r->factor, e->standard_error * r->factor, e->label_entropy * r->factor,
                      100 * e->held_out_accuracy, e->seconds);
    }
    (void)fputs("</table>\n", out);
}

static void put_page(const struct run *r, FILE *out)
{
    (void)fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
                "http-equiv=\"Content-Security-Policy\" "
                "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Training: ",
                out);
    html_text(out, r->title);
    (void)fprintf(out, "</title>\n<style>%s%s</style></head><body>\n<h1>Training: ", style, plot_style);
    html_text(out, r->title);
    (void)fputs("</h1>\n<div class=\"plots\">\n", out);
    plot_information(r, out, NULL);
    plot_softmax(r, out, NULL);
    plot_accuracy(r, out, NULL);
    (void)fprintf(out, "</div>\n<p>Loss and information in %s.</p>\n", r->units);
    put_table(r, out);
    (void)fputs("</body></html>\n", out);
}

typedef void put_plot(const struct run *r, FILE *out, const char *own);

/* The page, or one plot as a file. */
static enum infomask_status put_file(const struct run *r, const char *folder, const char *name, put_plot *plot,
                                     struct infomask_error *err)
{
    char *text = NULL, *path = file_join(folder, name);
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum infomask_status status;

    if (out != NULL && plot != NULL)
        plot(r, out, plot_style);
    else if (out != NULL)
        put_page(r, out);
    if (path == NULL || out == NULL || fclose(out) != 0)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the report");
    else
        status = file_write(path, text, size, err);
    free(path);
    free(text);
    return status;
}

enum infomask_status report_training(const char *folder, const char *title, const struct infomask_train_epoch *epochs,
                                     size_t count, double truth, enum view_units units,
                                     struct infomask_error *err)
{
    struct run run = {.title = title,
                      .epochs = epochs,
                      .count = count,
                      .truth = truth,
                      .factor = view_units_factor(units),
                      .units = view_units_name(units),
                      .x = malloc((count + 2) * sizeof(double)),
                      .y = malloc((count + 2) * sizeof(double))};
    enum infomask_status status = INFOMASK_OK;

    if (run.x == NULL || run.y == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the report");
    else if (count == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "there is no epoch to report on");
    else if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        status = error_set(err, INFOMASK_IO, "%.150s cannot be made: %s", folder, strerror(errno));
    if (status == INFOMASK_OK)
        status = put_file(&run, folder, "information.svg", plot_information, err);
    if (status == INFOMASK_OK)
        status = put_file(&run, folder, "accuracy.svg", plot_accuracy, err);
    if (status == INFOMASK_OK)
        status = put_file(&run, folder, "softmax.svg", plot_softmax, err);
    if (status == INFOMASK_OK)
        status = put_file(&run, folder, "index.html", NULL, err);
    free(run.x);
    free(run.y);
    return status;
}
