/* What a model has done since it was loaded, in the terms of the statistics extension of Open Inference Protocol v2
 * (KServe's and Triton's /v2/models/{name}/stats).  Counting is lock-free.  Thread rule: any thread.
 */
#ifndef APP_MODEL_STATISTICS_H
#define APP_MODEL_STATISTICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One answered request, whatever its route. */
struct statistics_request {
    bool success;
    int images;
    double total_ms, queue_ms, input_ms, infer_ms, output_ms;
};

enum statistics_span {
    STATISTICS_TOTAL,
    STATISTICS_QUEUE,
    STATISTICS_INPUT,
    STATISTICS_INFER,
    STATISTICS_OUTPUT,
    STATISTICS_SPANS
};

struct statistics {
    _Atomic uint64_t successes, failures, images, failed_ns;
    _Atomic uint64_t last_ms; /* since 1970, of the last success; 0: none */
    _Atomic uint64_t ns[STATISTICS_SPANS]; /* of the successes */
};

void statistics_count(struct statistics *statistics, const struct statistics_request *request);

#endif
