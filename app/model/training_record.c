#include "app/model/training_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"

void model_record_put_int8(struct json_writer *writer, const char *file, const struct infomask_quantized *q)
{
    json_put_string(writer, "file", file);
    json_put_double(writer, "agreement", q->agreement);
    json_put_double(writer, "log_probability_error", q->log_probability_error);
    json_put_uint(writer, "photos", q->held_out_photos);
    json_put_int(writer, "crops", q->held_out);
    json_put_bool(writer, "held_out", q->apart);
    json_put_double(writer, "clear", q->clear);
    json_put_double_or_null(writer, "clear_agreement", q->clear_agreement);
    json_put_double(writer, "sure", q->sure);
    json_put_double_or_null(writer, "sure_agreement", q->sure_agreement);
    json_object_open(writer, "calibration");
    json_put_uint(writer, "photos", q->photos);
    json_put_int(writer, "crops", q->crops);
    json_put_int(writer, "layers", q->layers);
    json_put_int(writer, "kept_bf16", q->kept);
    json_put_string(writer, "method", "GPTQ rounding, masked bias correction");
    json_object_close(writer);
}

static void put_precisions(struct json_writer *writer, const struct json *old, const char *file,
                           const struct infomask_quantized *q)
{
    json_object_open(writer, "precisions");
    for (const struct json *m = json_first(old); m != NULL; m = json_next(m))
        if (strcmp(json_key(m), "int8") != 0)
            json_put_node(writer, json_key(m), m);
    json_object_open(writer, "int8");
    model_record_put_int8(writer, file, q);
    json_object_close(writer);
    json_object_close(writer);
}

static enum infomask_status write_document(const char *folder, struct json_writer *writer, struct infomask_error *err)
{
    char *path = file_join(folder, "model.json"), *text = NULL;
    size_t size = 0;
    enum infomask_status status = json_writer_take(writer, &text, &size, err);

    if (status == INFOMASK_OK)
        status = path != NULL ? file_write(path, text, size, err) : error_set(err, INFOMASK_MEMORY, "out of memory");
    json_writer_fini(writer);
    free(text);
    free(path);
    return status;
}

enum infomask_status model_record_int8(const char *folder, const struct json *document, const char *file,
                                       const struct infomask_quantized *q, struct infomask_error *err)
{
    bool there = false;
    struct json_writer writer;

    json_writer_init(&writer, 2);
    json_object_open(&writer, NULL);
    for (const struct json *m = json_first(document); m != NULL; m = json_next(m)) {
        bool precisions = strcmp(json_key(m), "precisions") == 0;
        there = there || precisions;
        if (precisions)
            put_precisions(&writer, m, file, q);
        else
            json_put_node(&writer, json_key(m), m);
    }
    if (!there)
        put_precisions(&writer, NULL, file, q);
    json_object_close(&writer);
    return write_document(folder, &writer, err);
}

/* ---- Calibration ------------------------------------------------------------------------------------------------- */

void model_record_put_calibration(struct json_writer *writer, const struct infomask_calibration *c, bool vector)
{
    json_put_string(writer, "method", vector ? "vector scaling" : "temperature");
    json_put_uint(writer, "samples", c->samples);
    json_put_uint(writer, "parameters", c->parameters);
    json_put_double(writer, "log_loss_before", c->log_loss_before);
    json_put_double(writer, "log_loss_after", c->log_loss_after);
}

static bool is_calibrated(const char *key, bool vector)
{
    return strcmp(key, "temperature") == 0 || strcmp(key, "calibration") == 0 ||
           (vector && strcmp(key, "logit_prior") == 0);
}

enum infomask_status model_record_calibration(const char *folder, const struct json *document,
                                              const struct infomask_calibration *calibration, double temperature,
                                              const double *logit_prior, size_t classes, struct infomask_error *err)
{
    struct json_writer writer;

    json_writer_init(&writer, 2);
    json_object_open(&writer, NULL);
    for (const struct json *m = json_first(document); m != NULL; m = json_next(m))
        if (!is_calibrated(json_key(m), logit_prior != NULL))
            json_put_node(&writer, json_key(m), m);
    json_put_double(&writer, "temperature", temperature);
    if (logit_prior != NULL) {
        json_array_open(&writer, "logit_prior");
        for (size_t y = 0; y < classes; y++)
            json_put_double(&writer, NULL, logit_prior[y]);
        json_array_close(&writer);
    }
    json_object_open(&writer, "calibration");
    model_record_put_calibration(&writer, calibration, logit_prior != NULL);
    json_object_close(&writer);
    json_object_close(&writer);
    return write_document(folder, &writer, err);
}
