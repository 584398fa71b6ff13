/* Plots for report.c: an area with two axes, and what is drawn into it.  Private to server/report*.c. */
#ifndef APP_VIEW_REPORT_SVG_H
#define APP_VIEW_REPORT_SVG_H

#include <stddef.h>
#include <stdio.h>

struct plot {
    FILE *out;
    double x0, x1, y0, y1; /* what the axes span */
    const char *style;     /* of a figure that is a file of its own; NULL: it is part of a page */
};

/* Opens the figure: axes with about five ticks each, titles of the figure and of both axes. */
void plot_open(struct plot *plot, const char *title, const char *x, const char *y);
void plot_close(struct plot *plot);
/* A bar from (left, 0) to (right, height); class: the CSS class. */
void plot_bar(const struct plot *plot, double left, double right, double height, const char *class);
/* A line through n points. */
void plot_line(const struct plot *plot, const double *x, const double *y, size_t n, const char *class);
void plot_dot(const struct plot *plot, double x, double y, double radius, const char *class);

/* Text with &, <, > and quotes escaped. */
void html_text(FILE *out, const char *text);

#endif
