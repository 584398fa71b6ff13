/* POST /v2/models/{name}/infer: tensors or encoded photos in, rows, strings or maps out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/text.h"
#include "app/state/traffic.h"
#include "core/infomask_lab.h"
#include "server/handlers/infer.h"
#include "server/handlers/oip.h"
#include "server/handlers/oip_tensors.h"

struct inference {
    struct server_context *server;
    const struct request *request;
    struct reply *reply;
    struct ask ask;
    struct oip_request asked;
    struct infomask_classify_options options;
    int target;
    bool maps;
    struct infomask_classification *results; /* [count] */
    struct infomask_cells *cells;            /* [count] */
};

static int fail(struct inference *inference, enum infomask_status status, const struct infomask_error *err)
{
    if (status == INFOMASK_BAD_DATA)
        return reply_problem(inference->reply, inference->request, VIEW_BAD_REQUEST, "%s", err->text);
    return reply_error(inference->reply, inference->request, err);
}

static bool wants(const struct oip_request *asked, enum oip_output_id id)
{
    for (int i = 0; i < asked->output_count; i++)
        if (asked->outputs[i].id == id)
            return true;
    return false;
}

/* What is asked for by default: all that the model has. */
static void complete_outputs(struct inference *inference)
{
    struct oip_request *asked = &inference->asked;
    bool class_map = model_info(inference->ask.model)->class_map;

    for (int i = 0; asked->output_count == 0 && i < OIP_OUTPUT_COUNT; i++)
        if (i != OIP_MAP || class_map)
            asked->outputs[i] = (struct oip_output){(enum oip_output_id)i, asked->binary_default, 0};
    if (asked->output_count == 0)
        asked->output_count = class_map ? OIP_OUTPUT_COUNT : OIP_MAP;
    inference->maps = wants(asked, OIP_MAP);
}

static int header_length(const struct request *request, int64_t *length)
{
    const char *text = request->inference_header_length;
    unsigned long long value;

    *length = -1;
    if (text == NULL)
        return 0;
    if (!text_digits(text, strlen(text), &value) || value > INT64_MAX)
        return -1;
    *length = (int64_t)value;
    return 0;
}

static int read_request(struct inference *inference)
{
    const struct request *request = inference->request;
    enum view_problem problem;
    struct infomask_error err;
    int64_t length;
    enum infomask_status status;

    if (header_length(request, &length) != 0)
        return reply_problem(inference->reply, request, VIEW_BAD_REQUEST,
                             "Inference-Header-Content-Length must be the number of bytes of the JSON");
    status = oip_request_read(&inference->asked, request->body, request->body_size, length, &err);
    if (status != INFOMASK_OK)
        return fail(inference, status, &err);
    inference->options.prior.kind = inference->asked.uniform ? INFOMASK_PRIOR_UNIFORM : INFOMASK_PRIOR_TRAIN;
    inference->target = -1;
    if (inference->asked.target != NULL &&
        ask_find_target(inference->ask.model, inference->asked.target, &inference->target, &problem, &err) !=
            INFOMASK_OK)
        return reply_problem(inference->reply, request, problem, "%s", err.text);
    complete_outputs(inference);
    return 0;
}

static enum infomask_status run_tensor(struct inference *inference, struct infomask_error *err)
{
    const struct oip_request *asked = &inference->asked;
    bool nhwc = model_spec(inference->ask.model)->nhwc;
    int64_t channels = asked->shape[nhwc ? 3 : 1], h = asked->shape[nhwc ? 1 : 2], w = asked->shape[nhwc ? 2 : 3];

    if (channels != model_info(inference->ask.model)->channels)
        return error_set(err, INFOMASK_BAD_DATA, "this model takes [N, %s], C = %d, but the shape has C = %lld",
                         nhwc ? "H, W, C" : "C, H, W", model_info(inference->ask.model)->channels, (long long)channels);
    const struct infomask_images images = {asked->tensor, asked->count, (int)h, (int)w};
    return infomask_classify_tensor(inference->ask.session, &images, &inference->options, inference->target,
                                    inference->results, inference->maps ? inference->cells : NULL, err);
}

static enum infomask_status run_image(struct inference *inference, int i, struct infomask_error *err)
{
    const struct upload *image = &inference->asked.images[i];
    struct infomask_limits limits = infer_limits(inference->server, inference->request);
    struct infomask_photo *photo;
    enum infomask_status status;

    status = infomask_photo_open(image->data, image->size, &limits, &photo, err);
    if (status != INFOMASK_OK)
        return status;
    status = infomask_classify_cells(inference->ask.session, photo, &inference->options, inference->target,
                                     &inference->results[i], inference->maps ? &inference->cells[i] : NULL, err);
    infomask_photo_close(photo);
    return status;
}

static enum infomask_status run_images(struct inference *inference, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < inference->asked.count && status == INFOMASK_OK; i++) {
        status = run_image(inference, i, err);
        if (status != INFOMASK_OK && inference->asked.count > 1)
            error_prefix(err, "element %d", i);
    }
    return status;
}

/* ---- The reply --------------------------------------------------------------------------------------------------- */

static double value_of(const struct infomask_classification *result, enum oip_output_id id, int class)
{
    return id == OIP_PMI      ? result->pmi[class]
           : id == OIP_LOGITS ? (double)result->logits[class]
                              : exp(result->log_probability[class]);
}

static bool write_rows(struct inference *inference, struct oip_reply *out, const struct oip_output *output)
{
    size_t k = model_info(inference->ask.model)->classes, n = (size_t)inference->asked.count;
    int64_t shape[2] = {(int64_t)n, (int64_t)k};
    float *values = malloc(n * k * sizeof *values);

    if (values == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < k; c++)
            values[i * k + c] = (float)value_of(&inference->results[i], output->id, (int)c);
    oip_reply_numbers(out, oip_output_name(output->id), output->binary, shape, 2, values, n * k);
    free(values);
    return true;
}

struct ranked {
    double value;
    int class;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = (x->value < y->value) - (x->value > y->value);

    return order != 0 ? order : (x->class > y->class) - (x->class < y->class);
}

/* "value:index:label", best first by the value asked for: PMI orders as the probabilities only under a uniform prior.
 */
static bool classify_row(struct inference *inference, const struct oip_output *output, int i, int count, char **strings)
{
    const struct infomask_classification *result = &inference->results[i];
    struct ranked *ranked = calloc(result->classes, sizeof *ranked);
    bool ok = ranked != NULL;

    for (int c = 0; ok && c < (int)result->classes; c++)
        ranked[c] = (struct ranked){value_of(result, output->id, c), c};
    if (ok)
        qsort(ranked, result->classes, sizeof *ranked, compare_ranked);
    for (int j = 0; ok && j < count; j++)
        if (asprintf(&strings[j], "%f:%d:%s", ranked[j].value, ranked[j].class,
                     model_label(inference->ask.model, (size_t)ranked[j].class)) < 0) {
            strings[j] = NULL;
            ok = false;
        }
    free(ranked);
    return ok;
}

static bool write_classification(struct inference *inference, struct oip_reply *out, const struct oip_output *output)
{
    size_t k = model_info(inference->ask.model)->classes, n = (size_t)inference->asked.count;
    size_t each = (size_t)output->classification < k ? (size_t)output->classification : k;
    int64_t shape[2] = {(int64_t)n, (int64_t)each};
    char **strings = calloc(n * each, sizeof *strings);
    bool ok = strings != NULL;

    for (size_t i = 0; i < n && ok; i++)
        ok = classify_row(inference, output, (int)i, (int)each, strings + i * each);
    if (ok)
        oip_reply_strings(out, oip_output_name(output->id), output->binary, shape, strings, n * each);
    for (size_t i = 0; strings != NULL && i < n * each; i++)
        free(strings[i]);
    free(strings);
    return ok;
}

static bool write_map(struct inference *inference, struct oip_reply *out, const struct oip_output *output)
{
    size_t n = (size_t)inference->asked.count;
    int64_t shape[3] = {(int64_t)n, inference->cells[0].rows, inference->cells[0].columns};
    size_t each = (size_t)(shape[1] * shape[2]);
    float *values = malloc(n * each * sizeof *values);

    if (values == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < each; c++)
            values[i * each + c] = (float)inference->cells[i].values[c];
    oip_reply_numbers(out, oip_output_name(OIP_MAP), output->binary, shape, 3, values, n * each);
    free(values);
    return true;
}

static int write_reply(struct inference *inference)
{
    struct oip_reply out;
    struct infomask_error err;
    char *body;
    size_t size, json_size;
    bool ok = true;
    int status;

    oip_reply_init(&out, model_name(inference->ask.model), model_version(inference->ask.model), inference->asked.id);
    for (int i = 0; i < inference->asked.output_count && ok; i++) {
        const struct oip_output *output = &inference->asked.outputs[i];
        ok = output->id == OIP_MAP               ? write_map(inference, &out, output)
             : output->classification > 0 ? write_classification(inference, &out, output)
                                          : write_rows(inference, &out, output);
    }
    if (!ok)
        status = reply_no_memory(inference->reply, inference->request);
    else if (oip_reply_take(&out, &body, &size, &json_size, &err) != INFOMASK_OK)
        status = reply_error(inference->reply, inference->request, &err);
    else
        status = reply_take(inference->reply, 200, size > json_size ? "application/octet-stream" : "application/json",
                            body, size);
    if (status == 200 && size > json_size)
        reply_header(inference->reply, "Inference-Header-Content-Length", "%zu", json_size);
    oip_reply_fini(&out);
    return status;
}

static void note(struct inference *inference)
{
    inference->reply->images = inference->asked.count;
    for (int i = 0; i < inference->asked.count; i++) {
        const struct infomask_classification *result = &inference->results[i];
        view_timing_add(&inference->reply->timing, &result->timing);
        if (!inference->asked.uniform)
            traffic_add(inference->server->traffic, inference->ask.model, result);
    }
}

static int infer(struct inference *inference)
{
    struct infomask_error err;
    enum infomask_status done;
    int status = read_request(inference);

    if (status != 0)
        return status;
    inference->results = calloc((size_t)inference->asked.count, sizeof *inference->results);
    inference->cells = calloc((size_t)inference->asked.count, sizeof *inference->cells);
    if (inference->results == NULL || inference->cells == NULL)
        return reply_no_memory(inference->reply, inference->request);
    done = ask_session(&inference->ask, &err);
    if (done == INFOMASK_OK)
        done = inference->asked.tensor != NULL ? run_tensor(inference, &err) : run_images(inference, &err);
    if (done != INFOMASK_OK)
        return fail(inference, done, &err);
    note(inference);
    return write_reply(inference);
}

int handle_v2_infer(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct inference inference = {.server = server, .request = request, .reply = reply};
    int status;

    inference.ask.model = oip_find_model(server, request, reply);
    if (inference.ask.model == NULL)
        return reply->status;
    status = infer(&inference);
    for (int i = 0; inference.results != NULL && inference.cells != NULL && i < inference.asked.count; i++) {
        infomask_classification_fini(&inference.results[i]);
        infomask_cells_fini(&inference.cells[i]);
    }
    free(inference.results);
    free(inference.cells);
    oip_request_fini(&inference.asked);
    ask_close(&inference.ask);
    return status;
}
