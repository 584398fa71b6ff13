/* POST /v1/classify: one photo, or several in one form. */
#include <stdlib.h>

#include "server/handlers/infer.h"

static void note_result(struct infer *infer, const struct infomask_classification *result)
{
    int target = infer->ask.options.target_count > 0 ? infer->ask.options.targets[0] : result->order[0];

    infer->reply->pmi = infomask_score(model_core(infer->ask.model), result, target).pmi;
    view_timing_add(&infer->reply->timing, &result->timing);
}

static int classify_one(struct infer *infer)
{
    struct infomask_classification result = {0};
    struct view_classify_options view = ask_view_classify(&infer->ask);
    struct infomask_error err;
    struct json_writer writer;
    int status = infer_open(infer, &infer->request->uploads[0], &infer->photo);

    if (status != 0)
        return status;
    if (infomask_classify(infer->ask.session, infer->photo, &infer->ask.options.classify, &result, &err) != INFOMASK_OK)
        return infer_error(infer, &err);
    const struct infomask_photo_info *info = infomask_photo_info(infer->photo);
    struct view_head head = infer_head(infer, info, NULL);
    note_result(infer, &result);
    infer_note_traffic(infer, &result);
    infer_note(infer, info, 1);
    json_writer_init(&writer, 0);
    view_classify(&writer, NULL, &head, &result, &view);
    infomask_classification_fini(&result);
    return reply_json(infer->reply, infer->request, 200, &writer);
}

/* ---- Several images ---------------------------------------------------------------------------------------------- */

/* Arrays of `count` uploads; of these the first `good` of `photos` could be opened. */
struct batch {
    int count, good;
    struct infomask_photo **photos;
    int *upload; /* which upload photos[i] is of */
    int *photo;  /* which photo upload i has; -1: none */
    struct infomask_error *errors, *pass_errors;
    struct infomask_classification *results;
};

static bool batch_init(struct batch *batch, int count)
{
    size_t n = (size_t)count;

    *batch = (struct batch){.count = count};
    batch->photos = calloc(n, sizeof *batch->photos);
    batch->upload = calloc(n, sizeof *batch->upload);
    batch->photo = calloc(n, sizeof *batch->photo);
    batch->errors = calloc(n, sizeof *batch->errors);
    batch->pass_errors = calloc(n, sizeof *batch->pass_errors);
    batch->results = calloc(n, sizeof *batch->results);
    return batch->photos != NULL && batch->upload != NULL && batch->photo != NULL && batch->errors != NULL &&
           batch->pass_errors != NULL && batch->results != NULL;
}

static void batch_fini(struct batch *batch)
{
    for (int i = 0; i < batch->good; i++) {
        infomask_photo_close(batch->photos[i]);
        infomask_classification_fini(&batch->results[i]);
    }
    free(batch->photos);
    free(batch->upload);
    free(batch->photo);
    free(batch->errors);
    free(batch->pass_errors);
    free(batch->results);
}

static void open_all(struct infer *infer, struct batch *batch)
{
    for (int i = 0; i < batch->count; i++) {
        const struct upload *upload = &infer->request->uploads[i];
        batch->photo[i] = -1;
        if (infomask_photo_open(upload->data, upload->size, &infer->limits, &batch->photos[batch->good],
                                &batch->errors[i]) != INFOMASK_OK)
            continue;
        batch->upload[batch->good] = i;
        batch->photo[i] = batch->good++;
    }
}

static void write_entry(struct infer *infer, struct batch *batch, int i, struct json_writer *writer)
{
    const struct upload *upload = &infer->request->uploads[i];
    const char *file = upload->file_name != NULL ? upload->file_name : upload->field;
    struct view_classify_options view = ask_view_classify(&infer->ask);
    int k = batch->photo[i];

    if (batch->errors[i].status != INFOMASK_OK) {
        view_problem(writer, NULL, view_problem_of(batch->errors[i].status), batch->errors[i].text, infer->request->id);
        return;
    }
    struct view_head head = infer_head(infer, infomask_photo_info(batch->photos[k]), file);
    view_classify(writer, NULL, &head, &batch->results[k], &view);
    infer_note_traffic(infer, &batch->results[k]);
    view_timing_add(&infer->reply->timing, &batch->results[k].timing);
    infer->reply->images++;
}

static int classify_batch(struct infer *infer, struct batch *batch)
{
    struct json_writer writer;
    struct infomask_error err = {0};

    open_all(infer, batch);
    if (batch->good > 0 &&
        infomask_classify_batch(infer->ask.session, batch->photos, batch->good, &infer->ask.options.classify,
                                batch->results, batch->pass_errors, &err) != INFOMASK_OK)
        return infer_error(infer, &err);
    for (int i = 0; i < batch->good; i++)
        if (batch->pass_errors[i].status != INFOMASK_OK)
            batch->errors[batch->upload[i]] = batch->pass_errors[i];
    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_array_open(&writer, "results");
    for (int i = 0; i < batch->count; i++)
        write_entry(infer, batch, i, &writer);
    json_array_close(&writer);
    json_object_close(&writer);
    return reply_json(infer->reply, infer->request, 200, &writer);
}

static int classify_several(struct infer *infer)
{
    struct batch batch;
    int status;

    if (batch_init(&batch, infer->request->upload_count))
        status = classify_batch(infer, &batch);
    else
        status = reply_no_memory(infer->reply, infer->request);
    batch_fini(&batch);
    return status;
}

int handle_classify(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infer infer;
    int status = infer_begin(&infer, server, request, reply);

    if (status == 0)
        status = request->upload_count == 1 ? classify_one(&infer) : classify_several(&infer);
    infer_end(&infer);
    return status;
}
