#include "server/observe/account.h"

#include <math.h>

#include "app/model/statistics.h"
#include "core/base/clock.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"

/* For the model that looked at an image, or failed to. */
static void count_model(const struct call *call, double total_ms)
{
    const struct reply *reply = &call->reply;
    const struct infomask_timing *t = &reply->timing;
    struct model *model = NULL;

    if (reply->model[0] != '\0' && (reply->images > 0 || reply->status >= 400))
        model = models_get(call->server->models, reply->model, NULL);
    if (model == NULL)
        return;
    statistics_count(model_statistics(model),
                     &(struct statistics_request){.success = reply->status < 400,
                                                  .images = reply->images,
                                                  .total_ms = total_ms,
                                                  .queue_ms = reply->queue_ms,
                                                  .input_ms = t->decode + t->preprocess,
                                                  .infer_ms = t->network + t->information + t->map + t->mask,
                                                  .output_ms = t->fill + t->encode});
    model_release(model);
}

void account_request(const struct call *call, uint64_t bytes_out, bool sent)
{
    const struct reply *reply = &call->reply;
    const struct infomask_timing *t = &reply->timing;
    bool refused = reply->status >= 400,
         probe = call->match.route != NULL && (call->match.route->flags & ROUTE_PRIORITY);
    double total = clock_ms() - call->request.started_ms;
    double slow_ms = call->server->config->slow_ms;
    bool slow = slow_ms > 0 && total > slow_ms,
         cheap = call->match.route == NULL || !(call->match.route->flags & ROUTE_JOB);
    enum log_level level = reply->status >= 500 || slow ? LOG_WARNING : probe ? LOG_DEBUG : LOG_INFO;
    const struct log_field fields[] = {
        LOG_FIELD_TEXT("request_id", call->request.id),
        LOG_FIELD_TEXT("client", call->peer[0] != '\0' ? call->peer : NULL),
        LOG_FIELD_TEXT("key", call->request.client),
        LOG_FIELD_TEXT("method", call->method),
        LOG_FIELD_TEXT("path", call->request.path),
        LOG_FIELD_INTEGER("status", reply->status),
        LOG_FIELD_TEXT("code", reply->code),
        LOG_FIELD_TEXT("cache", reply->cached ? "hit" : NULL),
        LOG_FIELD_TEXT("model", reply->model[0] != '\0' ? reply->model : NULL),
        LOG_FIELD_INTEGER("bytes_in", call->received),
        LOG_FIELD_INTEGER("bytes_out", bytes_out),
        LOG_FIELD_NUMBER("total_ms", total),
        LOG_FIELD_NUMBER("queue_ms", reply->queue_ms > 0 ? reply->queue_ms : NAN),
        LOG_FIELD_NUMBER("decode_ms", t->decode > 0 ? t->decode : NAN),
        LOG_FIELD_NUMBER("network_ms", t->network > 0 ? t->network : NAN),
        LOG_FIELD_NUMBER("mask_ms", t->mask > 0 ? t->mask : NAN),
        LOG_FIELD_NUMBER("fill_ms", t->fill > 0 ? t->fill : NAN),
        LOG_FIELD_NUMBER("encode_ms", t->encode > 0 ? t->encode : NAN),
        LOG_FIELD_NUMBER("pmi", reply->pmi),
        LOG_FIELD_TEXT("traceparent", call->request.traceparent),
        LOG_FIELD_TEXT("sent", sent ? NULL : "cut"),
    };

    log_event(call->server->log, level, refused || !sent || cheap,
              slow ? "slow_request" : "request", fields,
              (int)(sizeof fields / sizeof fields[0]));
    metrics_request(call->server->metrics, &call->request, reply, call->received,
                    sent ? bytes_out : 0, total);
    count_model(call, total);
}
