#include "app/view/problem.h"

#include <stdio.h>

static const struct problem {
    int status;
    const char *code, *title;
} problems[VIEW_PROBLEM_COUNT] = {
#define PROBLEM(name, status, code, title) {status, code, title},
    VIEW_PROBLEMS(PROBLEM)
#undef PROBLEM
};

int view_problem_status(enum view_problem problem)
{
    return problems[problem].status;
}

const char *view_problem_code(enum view_problem problem)
{
    return problems[problem].code;
}

enum view_problem view_problem_of(enum infomask_status status)
{
    switch (status) {
    case INFOMASK_ARGUMENT:
    case INFOMASK_LIMIT: /* a resolution that needs more memory than a worker has */
        return VIEW_BAD_PARAMETER;
    case INFOMASK_BAD_DATA:
        return VIEW_BAD_REQUEST;
    case INFOMASK_UNSUPPORTED_FORMAT:
        return VIEW_UNSUPPORTED_FORMAT;
    case INFOMASK_BAD_IMAGE:
        return VIEW_BAD_IMAGE;
    case INFOMASK_TOO_MANY_PIXELS:
        return VIEW_TOO_MANY_PIXELS;
    case INFOMASK_NO_CLASS_MAP:
        return VIEW_NO_CLASS_MAP;
    case INFOMASK_NO_NOISE:
        return VIEW_NO_NOISE;
    case INFOMASK_DEADLINE:
        return VIEW_DEADLINE_EXCEEDED;
    case INFOMASK_CANCELLED:
        return VIEW_NOT_READY;
    case INFOMASK_STATE_FULL:
        return VIEW_STATE_FULL;
    case INFOMASK_NO_SUCH_ESTIMATE:
        return VIEW_NO_SUCH_ESTIMATE;
    case INFOMASK_IO: /* of a request's work only the state reads and writes files */
        return VIEW_NO_STATE;
    case INFOMASK_MEMORY:
        return VIEW_OVERLOADED;
    case INFOMASK_OK:
    case INFOMASK_INTERNAL:
    case INFOMASK_BAD_MODEL:
    case INFOMASK_UNSUPPORTED_MODEL:
    case INFOMASK_DIFFERS:
        break;
    }
    return VIEW_INTERNAL;
}

void view_problem_members(struct json_writer *writer, enum view_problem problem, const char *detail)
{
    char type[64];

    (void)snprintf(type, sizeof type, "urn:infomask:problem:%s", problems[problem].code);
    json_put_string(writer, "type", type);
    json_put_string(writer, "title", problems[problem].title);
    json_put_int(writer, "status", problems[problem].status);
    json_put_string(writer, "detail", detail);
    json_put_string(writer, "code", problems[problem].code);
}

void view_problem(struct json_writer *writer, const char *key, enum view_problem problem, const char *detail,
                  const char *request_id)
{
    json_object_open(writer, key);
    view_problem_members(writer, problem, detail);
    if (request_id != NULL)
        json_put_string(writer, "request_id", request_id);
    json_object_close(writer);
}

void view_problem_of_file(struct json_writer *writer, const char *key, enum view_problem problem, const char *detail,
                          const char *file)
{
    json_object_open(writer, key);
    json_put_string(writer, "file", file);
    view_problem_members(writer, problem, detail);
    json_object_close(writer);
}

static size_t plain(enum view_problem problem, const char *detail, char *text, size_t size)
{
    const struct problem *p = &problems[problem];
    int length = snprintf(text, size,
                          "{\"type\":\"urn:infomask:problem:%s\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\","
                          "\"code\":\"%s\"}\n",
                          p->code, p->title, p->status, detail, p->code);

    return (size_t)length < size ? (size_t)length : size - 1;
}

size_t view_problem_answer(enum view_problem problem, const char *reason, const char *detail, int retry_after,
                           char text[VIEW_PROBLEM_ANSWER])
{
    char body[VIEW_PROBLEM_ANSWER / 2], retry[32] = "";
    size_t size = plain(problem, detail, body, sizeof body);
    int length;

    if (retry_after > 0)
        (void)snprintf(retry, sizeof retry, "Retry-After: %d\r\n", retry_after);
    length = snprintf(text, VIEW_PROBLEM_ANSWER,
                      "HTTP/1.1 %d %s\r\nConnection: close\r\n%sContent-Type: application/problem+json\r\n"
                      "Content-Length: %zu\r\n\r\n%s",
                      problems[problem].status, reason, retry, size, body);
    return (size_t)length < VIEW_PROBLEM_ANSWER ? (size_t)length : VIEW_PROBLEM_ANSWER - 1;
}
