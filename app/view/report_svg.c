#include "app/view/report_svg.h"

#include <math.h>

#define WIDTH 480
#define HEIGHT 300
#define LEFT 58
#define RIGHT 14
#define TOP 30
#define BOTTOM 46

void html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
        }
    }
}

static double across(const struct plot *p, double x)
{
    return LEFT + (x - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

static double down(const struct plot *p, double y)
{
    return HEIGHT - BOTTOM - (y - p->y0) / (p->y1 - p->y0) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten that cuts the span into about five. */
static double step_of(double span)
{
    double power = pow(10, floor(log10(span / 5))), share = span / 5 / power;

    return power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
}

static void put_ticks(const struct plot *p)
{
    double x = step_of(p->x1 - p->x0), y = step_of(p->y1 - p->y0);

    for (double at = ceil(p->x0 / x - 1e-9) * x; at <= p->x1 + 1e-9 * x; at += x)
        (void)fprintf(p->out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text class=\"tick\" "
                      "x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n", across(p, at), TOP, across(p, at),
                      HEIGHT - BOTTOM, across(p, at), HEIGHT - BOTTOM + 15, fabs(at) < 1e-9 * x ? 0 : at);
    for (double at = ceil(p->y0 / y - 1e-9) * y; at <= p->y1 + 1e-9 * y; at += y)
        (void)fprintf(p->out,
                      "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/><text class=\"tick\" "
                      "x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                      LEFT, down(p, at), WIDTH - RIGHT, down(p, at), LEFT - 5, down(p, at) + 4,
                      fabs(at) < 1e-9 * y ? 0 : at);
}

void plot_open(struct plot *p, const char *title, const char *x, const char *y)
{
    if (!(p->x1 > p->x0))
        p->x1 = p->x0 + 1;
    if (!(p->y1 > p->y0))
        p->y1 = p->y0 + 1;
    (void)fprintf(p->out, "%s viewBox=\"0 0 %d %d\" role=\"img\">\n",
                  p->style == NULL ? "<figure><svg" : "<svg xmlns=\"http://www.w3.org/2000/svg\"", WIDTH, HEIGHT);
    if (p->style != NULL)
        (void)fprintf(p->out, "<style>%s</style>\n", p->style);
    (void)fputs("<title>", p->out);
    html_text(p->out, title);
    (void)fprintf(p->out, "</title><text class=\"title\" x=\"%d\" y=\"18\">", LEFT);
    html_text(p->out, title);
    (void)fputs("</text>\n", p->out);
    put_ticks(p);
    (void)fprintf(p->out, "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2,
                  HEIGHT - 10);
    html_text(p->out, x);
    (void)fprintf(p->out,
                  "</text><text class=\"axis\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">",
                  (TOP + HEIGHT - BOTTOM) / 2);
    html_text(p->out, y);
    (void)fputs("</text>\n", p->out);
}

void plot_close(struct plot *p)
{
    (void)fputs(p->style == NULL ? "</svg></figure>\n" : "</svg>\n", p->out);
}

void plot_bar(const struct plot *p, double left, double right, double height, const char *class)
{
    double from = down(p, fmax(height, 0)), to = down(p, fmin(height, 0));

    (void)fprintf(p->out, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>\n", class,
                  across(p, left), from, fmax(across(p, right) - across(p, left) - 0.5, 0.5), to - from);
}

void plot_line(const struct plot *p, const double *x, const double *y, size_t n, const char *class)
{
    (void)fprintf(p->out, "<polyline class=\"%s\" points=\"", class);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(p->out, "%.2f,%.2f ", across(p, x[i]), down(p, y[i]));
    (void)fputs("\"/>\n", p->out);
}

void plot_dot(const struct plot *p, double x, double y, double radius, const char *class)
{
    (void)fprintf(p->out, "<circle class=\"%s\" cx=\"%.2f\" cy=\"%.2f\" r=\"%.1f\"/>\n", class, across(p, x),
                  down(p, y), radius);
}
