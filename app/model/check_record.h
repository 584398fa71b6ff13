/* What `models add` and `models check` have found out about a network: does it compute, as it is served, what its
 * layers give one by one?  Kept for this very program, its kernels and precision, and the digest of the network's
 * bytes: of anything else it tells nothing.  Beside the model as check.json, or, where that folder cannot be written,
 * in the state's folder as checks/NAME.json. */
#ifndef APP_MODEL_CHECK_RECORD_H
#define APP_MODEL_CHECK_RECORD_H

#include <stdbool.h>

#include "core/infomask.h"

/* Whose record, and for which kernels ("avx2") and precision ("f32"). */
struct check_record {
    const char *folder, *name;
    const char *state_dir; /* the setting; NULL: there is no state */
    const char *isa, *precision;
};

/* False: nothing is known, or what there is cannot be read. */
bool check_record_find(const struct check_record *record, struct infomask_known *known);
/* IO where neither place can be written. */
enum infomask_status check_record_keep(const struct check_record *record, const struct infomask_known *known,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

#endif
