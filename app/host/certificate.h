/* What a certificate and its key are good for, before anybody is served with them. */
#ifndef APP_HOST_CERTIFICATE_H
#define APP_HOST_CERTIFICATE_H

#include <stdbool.h>
#include <time.h>

#include "core/base/status.h"

#define CERTIFICATE_NAMES 200

struct certificate {
    time_t starts, ends; /* when the whole chain is valid */
    bool pair;           /* the key is that of the first certificate */
    char names[CERTIFICATE_NAMES]; /* of the first certificate, with commas; cut where there are many */
    char missing[256];   /* the first of the hosts that it does not cover; "": none */
};

/* certificate: PEM files' texts, the first certificate being the server's own.  hosts: names that clients use, with
 * commas or spaces between them, "*" stands for none.  BAD_DATA with a sentence that says which of the two is wrong and
 * how. */
enum infomask_status certificate_look(const char *certificate, const char *key, const char *hosts,
                                      struct certificate *found, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
