/* A line on the terminal that says how far a long work is, at what rate, and when it will end. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct progress {
    pthread_mutex_t lock;
    size_t total, done, bad; /* total 0: it is not known */
    const char *unit; /* "photos" unless it is set after the start */
    double started_ms, drawn_ms;
    bool shown; /* false: standard error is no terminal, nothing is drawn */
};

void progress_start(struct progress *progress, size_t total, bool quiet);
/* From any thread; the second for work whose size is not known at the start. */
void progress_add(struct progress *progress, size_t done, size_t bad);
void progress_set(struct progress *progress, size_t done, size_t total);
/* Makes room for a sentence on standard error, under the same lock. */
void progress_say(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Clears the line, for what is written to the terminal by other ways; it is drawn again at the next step. */
void progress_hide(struct progress *progress);
void progress_end(struct progress *progress);

#endif
