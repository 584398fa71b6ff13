#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/view/views.h"
#include "cli/batch/plain.h"
#include "cli/terminal.h"
#include "core/base/clock.h"

#define BAR 24
#define EVERY_MS 200

void progress_start(struct progress *progress, size_t total, bool quiet)
{
    *progress = (struct progress){.total = total, .unit = "photos", .started_ms = clock_ms()};
    progress->shown = !quiet && isatty(STDERR_FILENO);
    (void)pthread_mutex_init(&progress->lock, NULL);
}

/* A line that is wider than the terminal would go on below, and stay there when it is drawn again: the bar gives way
 * first, then the end of the text.  The last column is left free: some terminals go on below once it is written. */
static void put_line(const char *text, int full, int bar)
{
    static const char done[] = "########################", left[] = "------------------------";
    int room = terminal_columns(STDERR_FILENO, 1000) - 1, wide = bar < room - (int)strlen(text) ? bar : 0;

    full = full < wide ? full : wide;
    (void)fprintf(stderr, "\r\033[K%.*s%.*s%.*s", full, done, wide - full, left, room,
                  wide > 0 ? text : text + (bar > 0));
}

static void draw(struct progress *p)
{
    double seconds = (clock_ms() - p->started_ms) / 1e3, rate = seconds > 0 ? (double)p->done / seconds : 0;
    size_t total = p->total > p->done ? p->total : p->done;
    long left = rate > 0 ? (long)((double)(total - p->done) / rate) : 0;
    char text[200], bad[40] = "";

    if (p->bad > 0)
        (void)snprintf(bad, sizeof bad, "  %zu bad", p->bad);
    if (p->total == 0)
        (void)snprintf(text, sizeof text, "%zu %s  %.1f/s%s", p->done, p->unit, rate, bad);
    else
        (void)snprintf(text, sizeof text, " %zu/%zu%s  %.1f %s/s  %ld:%02ld:%02ld left", p->done, total, bad, rate,
                       p->unit, left / 3600, left / 60 % 60, left % 60);
    put_line(text, (int)((double)p->done / (double)(total > 0 ? total : 1) * BAR), p->total > 0 ? BAR : 0);
    p->drawn_ms = clock_ms();
}

void progress_add(struct progress *progress, size_t done, size_t bad)
{
    (void)pthread_mutex_lock(&progress->lock);
    progress->done += done;
    progress->bad += bad;
    if (progress->shown && clock_ms() - progress->drawn_ms >= EVERY_MS)
        draw(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_set(struct progress *progress, size_t done, size_t total)
{
    (void)pthread_mutex_lock(&progress->lock);
    progress->total = total;
    progress->done = done > progress->done ? done : progress->done;
    if (progress->shown && clock_ms() - progress->drawn_ms >= EVERY_MS)
        draw(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_say(struct progress *progress, const char *format, ...)
{
    va_list args;

    (void)pthread_mutex_lock(&progress->lock);
    if (progress->shown)
        (void)fputs("\r\033[K", stderr);
    va_start(args, format);
    plain_say(stderr, format, args);
    va_end(args);
    if (progress->shown)
        draw(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_hide(struct progress *progress)
{
    (void)pthread_mutex_lock(&progress->lock);
    if (progress->shown && progress->drawn_ms > 0) {
        (void)fputs("\r\033[K", stderr);
        progress->drawn_ms = 0;
    }
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress)
{
    if (progress->shown) {
        draw(progress);
        (void)fputc('\n', stderr);
    }
    (void)pthread_mutex_destroy(&progress->lock);
}
