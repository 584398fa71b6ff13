#include "core/base/status.h"

#include <stdio.h>
#include <string.h>

const char *status_word(enum infomask_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, word) \
    case INFOMASK_##name:               \
        return word;
        INFOMASK_STATUSES(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown";
}

enum infomask_status error_set(struct infomask_error *err, enum infomask_status status, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->status = status;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

void error_prefix(struct infomask_error *err, const char *format, ...)
{
    char old[INFOMASK_ERROR_TEXT];
    va_list args;
    int used;

    if (err == NULL)
        return;
    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        (void)snprintf(err->text + used, sizeof err->text - (size_t)used, ": %.400s", old);
}
