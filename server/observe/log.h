/* One line an event on standard error, as JSON or as text: {"time", "level", "event", ...}.
 *
 * A line is one write(2) of at most LOG_LINE bytes, so that lines of several threads never mix.  Lines of one kind that
 * come in floods are dropped beyond a rate, and how many is told with the next line that goes through.  A descriptor
 * that fails or is full (a full disk, a closed pipe, one that nobody reads) loses lines and nothing else.  Thread rule:
 * any thread.
 */
#ifndef SERVER_OBSERVE_LOG_H
#define SERVER_OBSERVE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

#define LOG_LINE 2048

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log;

/* fd: not closed.  rate: lines per second of refused and failed requests and of library messages (bursts of twice as
 * many); 0: no limit. */
enum infomask_status log_create(struct log **log, int fd, bool json, enum log_level least, int rate,
                                struct infomask_error *err) __attribute__((warn_unused_result));
void log_free(struct log *log);
/* The level of a word of the setting log_level; LOG_INFO for another word. */
enum log_level log_level_of(const char *word);

/* One member of a line. */
struct log_field {
    const char *name;
    enum { LOG_TEXT, LOG_INTEGER, LOG_NUMBER } type;
    const char *text; /* NULL: the field is left out */
    int64_t integer;
    double number; /* not finite: left out */
};
#define LOG_FIELD_TEXT(name, value) ((struct log_field){(name), LOG_TEXT, (value), 0, 0})
#define LOG_FIELD_INTEGER(name, value) ((struct log_field){(name), LOG_INTEGER, 0, (int64_t)(value), 0})
#define LOG_FIELD_NUMBER(name, value) ((struct log_field){(name), LOG_NUMBER, 0, 0, (value)})

/* log NULL: nothing happens.  limited: subject to the rate. */
void log_event(struct log *log, enum log_level level, bool limited, const char *event, const struct log_field *fields,
               int count);
/* An event "message" with one sentence. */
void log_message(struct log *log, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
