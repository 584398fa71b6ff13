/* An estimate that no store keeps: its samples in memory, for as long as the process asks of them, and the answers that
 * a store would give, bit for bit. */
#ifndef APP_STATE_ESTIMATES_HELD_H
#define APP_STATE_ESTIMATES_HELD_H

#include "app/state/estimates.h"

/* Row i is the sample "i".  Borrowed. */
struct estimates_held_of {
    size_t count;
    const float *logits;    /* [count][classes] */
    const uint32_t *labels; /* [count] */
    const uint32_t *units;  /* [count] what has the same one was drawn together; NULL: each row by itself */
    uint64_t logit_bytes;   /* those that a store would keep, in half precision, are audited; 0: none */
};

struct estimates_held;
/* Computes the state with everything in it.  info: as of estimates_create; it moves into the state, and the logits are
 * not looked at again.  ARGUMENT for a bad prior or label. */
enum infomask_status estimates_held_create(struct estimate_info *info, const struct estimates_held_of *rows,
                                           size_t max_suspects, struct estimates_held **held,
                                           struct estimate_state *state, struct infomask_error *err)
    __attribute__((warn_unused_result));
void estimates_held_free(struct estimates_held *held); /* NULL does nothing */

/* [count] by row. */
const struct infomask_sample *estimates_held_samples(const struct estimates_held *held);
/* As estimates_rows, but that no logits are kept. */
void estimates_held_rows(const struct estimates_held *held, estimate_row_visit *visit, void *context);

#endif
