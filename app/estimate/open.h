/* The estimate that labelled photos go into: the one of a name, or a new one. */
#ifndef APP_ESTIMATE_OPEN_H
#define APP_ESTIMATE_OPEN_H

#include "app/ask/ask.h"
#include "app/state/estimates.h"

/* The estimate called `name` under the question's model and prior, made if there is none; fresh: one that is there is
 * deleted before.  ARGUMENT: it is of another model, or under another prior. */
enum infomask_status estimate_open(struct estimates *estimates, const struct ask *ask, const char *name, bool fresh,
                                   char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
