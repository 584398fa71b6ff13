/* Status codes and the sentence that goes with a failure.
 *
 * Every call that can fail returns an enum infomask_status and takes a struct infomask_error *err, which may be
 * NULL.  On failure err holds the same status and one sentence for the user: what was wrong, and the limit.  The
 * sentence never holds a path of the machine or a library's own text.  On success err is left as it was.
 * Thread rule: an error belongs to one thread at a time.
 */
#ifndef INFOMASK_BASE_STATUS_H
#define INFOMASK_BASE_STATUS_H

#include <stdarg.h>

/* X(NAME, NUMBER, WORD): the numbers are stable, the words are the service's error codes (api.md section 1). */
#define INFOMASK_STATUSES(X)                         \
    X(OK, 0, "ok")                                   \
    X(INTERNAL, 1, "internal")                       \
    X(MEMORY, 2, "out_of_memory")                    \
    X(ARGUMENT, 3, "bad_parameter")                  \
    X(IO, 4, "io")                                   \
    X(UNSUPPORTED_FORMAT, 5, "unsupported_format")   \
    X(BAD_IMAGE, 6, "bad_image")                     \
    X(TOO_MANY_PIXELS, 7, "too_many_pixels")         \
    X(BAD_MODEL, 8, "bad_model")                     \
    X(UNSUPPORTED_MODEL, 9, "unsupported_model")     \
    X(NO_CLASS_MAP, 10, "no_class_map")              \
    X(NO_NOISE, 11, "no_noise")                      \
    X(LIMIT, 12, "limit")                            \
    X(DEADLINE, 13, "deadline_exceeded")             \
    X(CANCELLED, 14, "cancelled")                    \
    X(BAD_DATA, 15, "bad_data")                      \
    X(STATE_FULL, 16, "state_full")                  \
    X(NO_SUCH_ESTIMATE, 17, "no_such_estimate")   \
    X(DIFFERS, 18, "differs")

enum infomask_status {
#define INFOMASK_STATUS_ENUM(name, number, word) INFOMASK_##name = number,
    INFOMASK_STATUSES(INFOMASK_STATUS_ENUM)
#undef INFOMASK_STATUS_ENUM
};

#define INFOMASK_ERROR_TEXT 512

struct infomask_error {
    enum infomask_status status;
    char text[INFOMASK_ERROR_TEXT]; /* UTF-8, NUL-terminated, one sentence, no newline */
};

/* The stable word of a status ("bad_image"); "unknown" for a number that is none. */
const char *status_word(enum infomask_status status);

/* Fills err (if not NULL) and returns status, so that a failure is one line: return error_set(err, INFOMASK_IO, ...);
 */
enum infomask_status error_set(struct infomask_error *err, enum infomask_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "what: " before the sentence that err already holds (a layer saying which of its parts failed). */
void error_prefix(struct infomask_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
