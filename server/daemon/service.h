/* The service from its settings: log, sockets, confinement, models, state, and the daemon that is made of them. */
#ifndef SERVER_DAEMON_SERVICE_H
#define SERVER_DAEMON_SERVICE_H

#include <stdio.h>

#include "app/settings/config.h"
#include "core/base/status.h"

enum service_end {
    SERVICE_FAILED,  /* it did not start: err says why */
    SERVICE_DRAINED, /* every accepted request was answered */
    SERVICE_CUT      /* requests still run: the process has to end at once, nothing may be freed under them */
};

/* Runs until a signal ends it (server.h).  On the main thread, before any other is made.  The log goes to standard
 * error; announce as of server_run. */
enum service_end service_run(const struct config *config, FILE *announce, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
