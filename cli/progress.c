#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "app/view/views.h"
#include "core/base/clock.h"

#define BAR 24
#define EVERY_MS 200

void progress_start(struct progress *progress, size_t total, bool quiet)
{
    *progress = (struct progress){.total = total, .unit = "photos", .started_ms = clock_ms()};
    progress->shown = !quiet && isatty(STDERR_FILENO);
    (void)pthread_mutex_init(&progress->lock, NULL);
}

static void draw(struct progress *p)
{
    double seconds = (clock_ms() - p->started_ms) / 1e3, rate = seconds > 0 ? (double)p->done / seconds : 0;
    size_t total = p->total > p->done ? p->total : p->done;
    long left = rate > 0 ? (long)((double)(total - p->done) / rate) : 0;
    int full = total > 0 ? (int)((double)p->done / (double)total * BAR) : BAR;

    if (p->total == 0)
        (void)fprintf(stderr, "\r\033[K%zu %s  %.1f/s", p->done, p->unit, rate);
    else
        (void)fprintf(stderr, "\r\033[K%.*s%.*s %zu/%zu  %.1f %s/s  %ld:%02ld:%02ld left", full,
                      "########################", BAR - full, "------------------------", p->done, total, rate, p->unit,
                      left / 3600, left / 60 % 60, left % 60);
    if (p->bad > 0)
        (void)fprintf(stderr, "  %zu bad", p->bad);
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
    (void)vfprintf(stderr, format, args);
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
