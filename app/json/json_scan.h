/* JSON's grammar, and the limits: one pass over the bytes, before anything is built of them.  Private to app/json. */
#ifndef APP_JSON_JSON_SCAN_H
#define APP_JSON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

#define JSON_LONGEST_NUMBER 63 /* cJSON reads a number through a buffer of 64: longer ones are written anew for it */

struct json_scan {
    const unsigned char *text; /* this to err: the caller's to set */
    size_t size;
    int max_depth;
    size_t max_values;
    const char *apart; /* json_parse_apart's key; NULL: none, or its array was found */
    struct infomask_error *err;
    size_t from, to;   /* found: that array's text */
    bool long_number;  /* found: one of more than JSON_LONGEST_NUMBER characters */
    size_t at, values; /* so far */
    int depth;
    bool counted, numeric; /* every value counts; no value but numbers and arrays came */
};

/* One value with nothing but space around it.  False: BAD_DATA, with a sentence in err. */
bool json_scan(struct json_scan *scan);

#endif
