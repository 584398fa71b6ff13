#include "app/model/statistics.h"

#include <time.h>

static void add(_Atomic uint64_t *sum, uint64_t value)
{
    (void)atomic_fetch_add_explicit(sum, value, memory_order_relaxed);
}

static uint64_t nanoseconds(double ms)
{
    return ms > 0 ? (uint64_t)(ms * 1e6) : 0; /* NAN too */
}

void statistics_count(struct statistics *statistics, const struct statistics_request *request)
{
    const double ms[STATISTICS_SPANS] = {[STATISTICS_TOTAL] = request->total_ms,
                                         [STATISTICS_QUEUE] = request->queue_ms,
                                         [STATISTICS_INPUT] = request->input_ms,
                                         [STATISTICS_INFER] = request->infer_ms,
                                         [STATISTICS_OUTPUT] = request->output_ms};
    struct timespec now;

    if (!request->success) {
        add(&statistics->failures, 1);
        add(&statistics->failed_ns, nanoseconds(request->total_ms));
        return;
    }
    for (int i = 0; i < STATISTICS_SPANS; i++)
        add(&statistics->ns[i], nanoseconds(ms[i]));
    add(&statistics->images, (uint64_t)(request->images > 0 ? request->images : 0));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    atomic_store_explicit(&statistics->last_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                          memory_order_relaxed);
    add(&statistics->successes, 1);
}
