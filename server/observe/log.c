#include "server/observe/log.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/json/json_utf8.h"
#include "core/base/clock.h"

struct log {
    int fd;
    bool json;
    enum log_level least;
    double rate;
    pthread_mutex_t lock; /* guards the bucket, and writing */
    double tokens, filled; /* lines that may go now; when it was last filled, seconds */
    uint64_t dropped;
};

/* A line in the making: full means that the rest is left out, never that a line is broken. */
struct line {
    char text[LOG_LINE];
    size_t size, limit;
};

static const char *const level_name[] = {"debug", "info", "warning", "error"};

enum infomask_status log_create(struct log **out, int fd, bool json, enum log_level least, int rate,
                                struct infomask_error *err)
{
    struct log *log = malloc(sizeof *log);

    if (log == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the log");
    *log = (struct log){.fd = fd, .json = json, .least = least, .rate = rate, .tokens = 2.0 * rate};
    (void)pthread_mutex_init(&log->lock, NULL);
    *out = log;
    return INFOMASK_OK;
}

void log_free(struct log *log)
{
    if (log == NULL)
        return;
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

enum log_level log_level_of(const char *word)
{
    for (size_t i = 0; i < sizeof level_name / sizeof level_name[0]; i++)
        if (strcmp(word, level_name[i]) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static bool put(struct line *line, const char *text, size_t size)
{
    if (size > line->limit - line->size)
        return false;
    memcpy(line->text + line->size, text, size);
    line->size += size;
    return true;
}

/* A quoted string with everything escaped that could end it, break the line, or is not UTF-8. */
static bool put_quoted(struct line *line, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    char escape[8];
    size_t left = strlen(text);
    bool fits = put(line, "\"", 1);

    while (fits && left > 0) {
        size_t size = json_utf8_length(p, left);
        if (size == 0) {
            fits = put(line, "\\ufffd", 6);
            size = 1;
        } else if (*p < ' ' || *p == '"' || *p == '\\' || *p == 0x7f) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", *p);
            fits = put(line, escape, 6);
        } else {
            fits = put(line, (const char *)p, size);
        }
        p += size;
        left -= size;
    }
    return fits && put(line, "\"", 1);
}

static bool put_value(struct line *line, const struct log_field *field)
{
    char text[32];

    if (field->type == LOG_TEXT)
        return put_quoted(line, field->text);
    if (field->type == LOG_INTEGER)
        return put(line, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)field->integer));
    return put(line, text, (size_t)snprintf(text, sizeof text, "%.6g", field->number));
}

/* A field that does not fit is left out whole. */
static void put_field(struct line *line, bool json, const struct log_field *field)
{
    size_t start = line->size;

    if ((field->type == LOG_TEXT && field->text == NULL) || (field->type == LOG_NUMBER && !isfinite(field->number)))
        return;
    bool fits = json ? put(line, ",", 1) && put_quoted(line, field->name) && put(line, ":", 1)
                     : put(line, " ", 1) && put(line, field->name, strlen(field->name)) && put(line, "=", 1);
    if (!fits || !put_value(line, field))
        line->size = start;
}

static void put_start(struct line *line, bool json, enum log_level level, const char *event)
{
    struct timespec now;
    struct tm utc;
    char stamp[40], text[160];
    int size;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    size = snprintf(text, sizeof text,
                    json ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"" : "%s.%03ldZ %s %s", stamp,
                    now.tv_nsec / 1000000, level_name[level], event);
    (void)put(line, text, (size_t)size);
}

/* A full disk, a closed pipe or one that nobody reads must not stop the service: the line is lost.  A line is less than
 * PIPE_BUF, so that a pipe that can be written to takes it whole. */
static void send_line(struct log *log, const struct line *line)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};

    (void)pthread_mutex_lock(&log->lock);
    if (poll(&ready, 1, 0) == 0 || write(log->fd, line->text, line->size) < 0)
        log->dropped++;
    (void)pthread_mutex_unlock(&log->lock);
}

static void write_line(struct log *log, enum log_level level, const char *event, const struct log_field *fields,
                       int count)
{
    struct line line = {.size = 0, .limit = LOG_LINE - 2};

    put_start(&line, log->json, level, event);
    for (int i = 0; i < count; i++)
        put_field(&line, log->json, &fields[i]);
    line.limit = LOG_LINE;
    (void)put(&line, log->json ? "}\n" : "\n", log->json ? 2 : 1);
    send_line(log, &line);
}

/* ---- Rate -------------------------------------------------------------------------------------------------------- */

/* Whether a line may go; else it is counted as dropped. */
static bool take_token(struct log *log)
{
    double seconds = clock_ms() / 1000;
    bool go;

    (void)pthread_mutex_lock(&log->lock);
    log->tokens = fmin(2 * log->rate, log->tokens + (seconds - log->filled) * log->rate);
    log->filled = seconds;
    go = log->tokens >= 1;
    if (go)
        log->tokens -= 1;
    else
        log->dropped++;
    (void)pthread_mutex_unlock(&log->lock);
    return go;
}

/* How many were dropped since it was last asked. */
static uint64_t take_dropped(struct log *log)
{
    (void)pthread_mutex_lock(&log->lock);
    uint64_t dropped = log->dropped;
    log->dropped = 0;
    (void)pthread_mutex_unlock(&log->lock);
    return dropped;
}

void log_event(struct log *log, enum log_level level, bool limited, const char *event, const struct log_field *fields,
               int count)
{
    if (log == NULL || level < log->least || (limited && log->rate > 0 && !take_token(log)))
        return;
    uint64_t dropped = take_dropped(log);
    if (dropped > 0)
        write_line(log, LOG_WARNING, "lines_dropped", &LOG_FIELD_INTEGER("lines", dropped), 1);
    write_line(log, level, event, fields, count);
}

void log_message(struct log *log, enum log_level level, const char *format, ...)
{
    char text[LOG_LINE / 2];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_event(log, level, false, "message", &LOG_FIELD_TEXT("message", text), 1);
}
