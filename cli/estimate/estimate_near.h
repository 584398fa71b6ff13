/* Groups of near copies among photos. */
#ifndef CLI_ESTIMATE_ESTIMATE_NEAR_H
#define CLI_ESTIMATE_ESTIMATE_NEAR_H

#include "cli/read/photo_list.h"
#include "core/base/pool.h"
#include "core/infomask.h"

/* Fills `near` of every photo (0 where it is): the same number for photos of one group, that does not depend on names
 * and order; 0 for one that cannot be read.  list->count <= INT_MAX. */
enum infomask_status estimate_group_near(struct photo_list *list, const struct infomask_limits *limits,
                                         size_t max_bytes, struct pool *pool, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
