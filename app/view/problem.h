/* Problems (RFC 9457): one table of names, HTTP statuses, stable codes and titles, and the document of each. */
#ifndef APP_VIEW_PROBLEM_H
#define APP_VIEW_PROBLEM_H

#include <stddef.h>

#include "app/json/json.h"
#include "core/base/status.h"

/* X(NAME, HTTP STATUS, CODE, TITLE); the codes are stable. */
#define VIEW_PROBLEMS(X)                                                            \
    X(BAD_PARAMETER, 400, "bad_parameter", "Bad parameter")                         \
    X(BAD_REQUEST, 400, "bad_request", "Bad request")                               \
    X(BAD_JSON, 400, "bad_json", "Bad JSON")                                        \
    X(REMOTE_URL, 400, "remote_url", "Remote URL")                                  \
    X(AMBIGUOUS_CLASS, 400, "ambiguous_class", "Ambiguous class")                   \
    X(UNAUTHORIZED, 401, "unauthorized", "Unauthorized")                            \
    X(FORBIDDEN, 403, "forbidden", "Forbidden")                                     \
    X(CROSS_SITE, 403, "cross_site", "Cross-site request")                          \
    X(NO_SUCH_ROUTE, 404, "no_such_route", "No such route")                         \
    X(NO_SUCH_MODEL, 404, "no_such_model", "No such model")                         \
    X(NO_SUCH_CLASS, 404, "no_such_class", "No such class")                         \
    X(NO_SUCH_GROUP, 404, "no_such_group", "No such group")                         \
    X(NO_SUCH_ESTIMATE, 404, "no_such_estimate", "No such estimate")                \
    X(NO_SUCH_JOB, 404, "no_such_job", "No such job")                               \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "Method not allowed")          \
    X(NOT_ACCEPTABLE, 406, "not_acceptable", "Not acceptable")                      \
    X(TOO_SLOW, 408, "too_slow", "Too slow")                                        \
    X(CONFLICT, 409, "conflict", "Conflict")                                        \
    X(LENGTH_REQUIRED, 411, "length_required", "Length required")                   \
    X(BODY_TOO_LARGE, 413, "body_too_large", "Body too large")                      \
    X(TOO_MANY_PIXELS, 413, "too_many_pixels", "Too many pixels")                   \
    X(UNSUPPORTED_FORMAT, 415, "unsupported_format", "Unsupported format")          \
    X(WRONG_HOST, 421, "wrong_host", "Wrong host")                                  \
    X(BAD_IMAGE, 422, "bad_image", "Bad image")                                     \
    X(BAD_MASK, 422, "bad_mask", "Bad mask")                                        \
    X(NO_CLASS_MAP, 422, "no_class_map", "No class map")                            \
    X(NO_NOISE, 422, "no_noise", "No noise")                                        \
    X(RATE_LIMITED, 429, "rate_limited", "Rate limited")                            \
    X(INTERNAL, 500, "internal", "Internal error")                                  \
    X(NOT_IMPLEMENTED, 501, "not_implemented", "Not implemented")                   \
    X(OVERLOADED, 503, "overloaded", "Overloaded")                                  \
    X(NOT_READY, 503, "not_ready", "Not ready")                                     \
    X(MODEL_FAILED, 503, "model_failed", "Model failed")                            \
    X(MODEL_LOADING, 503, "model_loading", "Model loading")                         \
    X(NO_STATE, 503, "no_state", "No state")                                        \
    X(DEADLINE_EXCEEDED, 504, "deadline_exceeded", "Deadline exceeded")             \
    X(STATE_FULL, 507, "state_full", "State full")

enum view_problem {
#define VIEW_PROBLEM_ENUM(name, status, code, title) VIEW_##name,
    VIEW_PROBLEMS(VIEW_PROBLEM_ENUM)
#undef VIEW_PROBLEM_ENUM
    VIEW_PROBLEM_COUNT
};
int view_problem_status(enum view_problem problem);        /* the HTTP status */
const char *view_problem_code(enum view_problem problem);  /* the stable word */
/* What a failure of core is to a client: a photo's and a parameter's faults are theirs, the rest is ours. */
enum view_problem view_problem_of(enum infomask_status status);

/* That of VIEW_OVERLOADED where there is no memory to make one. */
#define VIEW_PROBLEM_NO_MEMORY                                                                       \
    "{\"type\":\"urn:infomask:problem:overloaded\",\"title\":\"Overloaded\",\"status\":503,"           \
    "\"detail\":\"out of memory\",\"code\":\"overloaded\"}\n"
/* A whole HTTP/1.1 answer to a client of which there is no request, which ends its connection.  reason: of the status
 * line; detail: plain ASCII; retry_after: seconds, 0: none.  Returns its length. */
#define VIEW_PROBLEM_ANSWER 512
size_t view_problem_answer(enum view_problem problem, const char *reason, const char *detail, int retry_after,
                           char text[VIEW_PROBLEM_ANSWER]);

/* The members of its document, into an object that is open. */
void view_problem_members(struct json_writer *writer, enum view_problem problem, const char *detail);
/* request_id may be NULL (left out). */
void view_problem(struct json_writer *writer, const char *key, enum view_problem problem, const char *detail,
                  const char *request_id);
/* As one of several results: with `file` before it, as an answer has. */
void view_problem_of_file(struct json_writer *writer, const char *key, enum view_problem problem, const char *detail,
                          const char *file);

#endif
