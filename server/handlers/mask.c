/* POST /v1/mask, /v1/filter, /v1/analyze. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/handlers/infer.h"
#include "server/message/fields.h"

enum { MOST_FORMS = 4, OFFER_SIZE = 24 }; /* media types that a route chooses among, and their length */
enum { INCLUDE_MASK = 1, INCLUDE_OVERLAY = 2, INCLUDE_SALIENCY = 4, INCLUDE_IMAGE = 8 };

/* What these routes compute for one photo; all freed by work_end. */
struct work {
    struct infer infer;
    struct infomask_classification classification;
    struct infomask_mask mask;
    struct infomask_filtered filtered;
    bool masked, has_filtered;
    struct infomask_encoded mask_png, pictures[4];
    struct view_picture views[4];
    size_t picture_count;
};

static const struct infomask_photo_info *photo_info(const struct work *work)
{
    return infomask_photo_info(work->infer.photo);
}

static double in_units(const struct work *work, double nats)
{
    return ask_in_units(&work->infer.ask, nats);
}

/* Opens the photo and classifies it: what comes next needs the posterior. */
static int work_begin(struct work *work, struct server_context *server, const struct request *request,
                      struct reply *reply)
{
    enum view_problem problem;
    struct infomask_error err;
    int status;

    *work = (struct work){0};
    status = infer_begin(&work->infer, server, request, reply);
    if (status == 0)
        status = infer_open(&work->infer, &request->uploads[0], &work->infer.photo);
    if (status != 0)
        return status;
    infer_note(&work->infer, photo_info(work), 1);
    if (request->mask != NULL && ask_own_mask(&work->infer.ask, work->infer.photo, request->mask->data,
                                              request->mask->size, &problem, &err) != INFOMASK_OK)
        return reply_problem(reply, request, problem, "%s", err.text);
    if (infomask_classify(work->infer.ask.session, work->infer.photo, &work->infer.ask.options.classify,
                          &work->classification, &err) != INFOMASK_OK)
        return infer_error(&work->infer, &err);
    infer_note_traffic(&work->infer, &work->classification);
    request_progress(request, 1, 4); /* masking, filling and verifying come next, and take longer */
    view_timing_add(&reply->timing, &work->classification.timing);
    return 0;
}

static void work_end(struct work *work)
{
    for (size_t i = 0; i < work->picture_count; i++)
        if (work->pictures[i].data != work->filtered.image.data)
            infomask_encoded_fini(&work->pictures[i]);
    infomask_encoded_fini(&work->mask_png);
    if (work->has_filtered)
        infomask_filtered_fini(&work->filtered);
    if (work->masked)
        infomask_mask_fini(&work->mask);
    infomask_classification_fini(&work->classification);
    infer_end(&work->infer);
}

static int run_mask(struct work *work)
{
    struct infer *infer = &work->infer;
    struct infomask_error err;

    if (infomask_mask(infer->ask.session, infer->photo, &work->classification, &infer->ask.options.filter.mask,
                      &work->mask, &err) != INFOMASK_OK)
        return infer_error(infer, &err);
    work->masked = true;
    infer->reply->pmi = work->mask.maps[0].pmi;
    view_timing_add(&infer->reply->timing, &work->mask.timing);
    return 0;
}

static int run_filter(struct work *work, const struct infomask_mask *mask)
{
    struct infer *infer = &work->infer;
    struct infomask_error err;

    if (infomask_filter(infer->ask.session, infer->photo, &work->classification, &infer->ask.options.filter, mask,
                        &work->filtered, &err) != INFOMASK_OK)
        return infer_error(infer, &err);
    work->has_filtered = true;
    infer->reply->pmi = work->filtered.rows[0].pmi_before;
    infer->reply->residual = work->filtered.rows[0].after.pmi_after;
    infer->reply->transient = work->filtered.cut_short;
    view_timing_add(&infer->reply->timing, &work->filtered.timing);
    return 0;
}

static int encode(struct work *work, const struct infomask_mask *mask, enum infomask_picture picture,
                  enum infomask_format format, struct infomask_encoded *encoded)
{
    const struct infomask_picture_options options = ask_picture_options(&work->infer.ask, picture, format);
    struct infomask_error err;

    if (infomask_mask_picture(mask, work->infer.photo, &options, encoded, &err) != INFOMASK_OK)
        return infer_error(&work->infer, &err);
    return 0;
}

static int add_picture(struct work *work, const char *name, enum infomask_picture picture)
{
    struct infomask_encoded *encoded = &work->pictures[work->picture_count];
    int status = encode(work, &work->mask, picture, INFOMASK_PNG, encoded);

    if (status == 0)
        work->views[work->picture_count++] = (struct view_picture){name, encoded};
    return status;
}

/* A number that may not be there, as in the JSON. */
static void number_header(struct reply *reply, const char *name, double value)
{
    if (isfinite(value))
        reply_header(reply, name, "%.9g", value);
    else
        reply_header(reply, name, "null");
}

/* Hands the encoded picture's bytes over as the reply's body.  what: the end of the name that it is saved by. */
static int reply_picture(struct work *work, struct infomask_encoded *encoded, const char *what)
{
    uint8_t *data = encoded->data;

    encoded->data = NULL;
    infer_name_file(&work->infer, what, encoded->content_type);
    return reply_take(work->infer.reply, 200, encoded->content_type, data, encoded->size);
}

static void target_headers(struct work *work, int target)
{
    const struct model *model = work->infer.ask.model;

    if (!model_is_group(model, target))
        reply_header(work->infer.reply, "Infomask-Target", "%d", target);
    reply_header_encoded(work->infer.reply, "Infomask-Label", model_label(model, (size_t)target));
    if (model_is_group(model, target))
        reply_header(work->infer.reply, "Infomask-Group-Size", "%d",
                     model_groups(model)->sets[(size_t)target - model_classes(model)].count);
}

/* The index of the form that was asked for: by the parameter, else by Accept; -1 after a 406 was filled. */
static int choose_form(const struct request *request, struct reply *reply, enum param_id id,
                       const char *const *offers, int count)
{
    const struct param_value *format = &request->params.value[id];
    int best = format->given ? (int)format->integer : field_accept_best(request->accept, offers, count);
    char list[MOST_FORMS * OFFER_SIZE] = "";
    size_t used = 0;

    for (int i = 0; best < 0 && i < count; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                 i == 0 ? "" : i + 1 < count ? ", " : " or ", offers[i]);
    if (best < 0)
        (void)reply_problem(reply, request, VIEW_NOT_ACCEPTABLE, "this route answers %s", list);
    return best;
}

/* ---- /v1/mask ---------------------------------------------------------------------------------------------------- */

static int mask_picture(struct work *work, enum infomask_format format)
{
    struct reply *reply = work->infer.reply;
    struct infomask_encoded encoded = {0};
    enum infomask_picture picture = ask_picture(&work->infer.ask);
    int status = encode(work, &work->mask, picture, format, &encoded);

    if (status != 0)
        return status;
    target_headers(work, work->mask.maps[0].target);
    reply_header(reply, "Infomask-Pmi", "%.9g", in_units(work, work->mask.maps[0].pmi));
    number_header(reply, "Infomask-Map-Pmi", in_units(work, work->mask.maps[0].map_pmi));
    reply_header(reply, "Infomask-Area", "%.9g", work->mask.area);
    reply_header(reply, "Infomask-Units", "%s", work->infer.ask.options.bits ? "bits" : "nats");
    if (picture == INFOMASK_PICTURE_MAP) {
        reply_header(reply, "Infomask-Map-Scale", "%.17g", encoded.scale);
        reply_header(reply, "Infomask-Map-Offset", "%.17g", encoded.offset);
    }
    return reply_picture(work, &encoded, work->infer.request->params.value[PARAM_ID_OUTPUT].text);
}

static int mask_json(struct work *work)
{
    const struct request *request = work->infer.request;
    struct view_head head = infer_head(&work->infer, photo_info(work), NULL);
    enum infomask_picture picture = ask_picture(&work->infer.ask);
    struct json_writer writer;
    int status = add_picture(work, "mask", INFOMASK_PICTURE_MASK);

    if (status == 0 && picture != INFOMASK_PICTURE_MASK)
        status = add_picture(work, request->params.value[PARAM_ID_OUTPUT].text, picture);
    if (status != 0)
        return status;
    json_writer_init(&writer, 0);
    view_mask(&writer, NULL, &head, &work->classification, &work->mask, work->views, work->picture_count);
    return reply_json(work->infer.reply, request, 200, &writer);
}

/* A map and a saliency have 16 bits a pixel. */
static bool asked_deep(const struct request *request)
{
    const char *output = request->params.value[PARAM_ID_OUTPUT].text;
    return strcmp(output, "map") == 0 || strcmp(output, "saliency") == 0;
}

int handle_mask(struct server_context *server, const struct request *request, struct reply *reply)
{
    static const char *const offers[] = {"application/json", "image/png", "image/webp"};
    bool deep = asked_deep(request);
    int form = choose_form(request, reply, PARAM_ID_MASK_FORMAT, offers, deep ? 2 : 3), status;
    struct work work;

    if (form < 0)
        return reply->status;
    if (form == 2 && deep)
        return reply_problem(reply, request, VIEW_BAD_PARAMETER,
                             "output=%s has 16 bits a pixel, which only format=png holds",
                             request->params.value[PARAM_ID_OUTPUT].text);
    status = work_begin(&work, server, request, reply);
    if (status == 0)
        status = run_mask(&work);
    if (status == 0)
        status = form == 0 ? mask_json(&work) : mask_picture(&work, form == 2 ? INFOMASK_WEBP : INFOMASK_PNG);
    work_end(&work);
    return status;
}

/* ---- /v1/filter -------------------------------------------------------------------------------------------------- */

static void verdict_headers(struct work *work)
{
    const struct infomask_filtered *filtered = &work->filtered;
    const struct infomask_round *after = &filtered->rows[0].after;
    const char *verdict = infomask_verdict_name(filtered->verdict);
    struct reply *reply = work->infer.reply;

    reply_header(reply, "Infomask-Verdict", "%s", verdict != NULL ? verdict : "null");
    reply_header(reply, "Infomask-Complete", "%s", filtered->complete ? "true" : "false");
    number_header(reply, "Infomask-Region-Pmi-After", in_units(work, after->region_pmi_after));
    number_header(reply, "Infomask-Context-Pmi-After", in_units(work, after->context_pmi_after));
    number_header(reply, "Infomask-Probability-After", after->probability_after);
    reply_header(reply, "Infomask-Rank-After", "%d", after->rank_after);
    number_header(reply, "Infomask-Random-Area-Pmi-After", in_units(work, after->random_area_pmi_after));
}

static int filter_picture(struct work *work)
{
    const struct infomask_verification *row = &work->filtered.rows[0];
    const struct infomask_box *box = &work->filtered.box;
    struct reply *reply = work->infer.reply;
    char fill[VIEW_FILL_NAME];

    target_headers(work, row->target);
    number_header(reply, "Infomask-Pmi-Before", in_units(work, row->pmi_before));
    number_header(reply, "Infomask-Pmi-After", in_units(work, row->after.pmi_after));
    reply_header(reply, "Infomask-Units", "%s", work->infer.ask.options.bits ? "bits" : "nats");
    reply_header(reply, "Infomask-Area", "%.9g", work->filtered.area);
    reply_header(reply, "Infomask-Passes", "%d", work->filtered.passes);
    view_fill_name(&work->filtered, fill);
    reply_header(reply, "Infomask-Fill", "%s", fill);
    if (work->filtered.trimmed)
        reply_header(reply, "Infomask-Box", "%d,%d,%d,%d", box->x, box->y, box->width, box->height);
    verdict_headers(work);
    return reply_picture(work, &work->filtered.image, work->infer.ask.options.filter.keep ? "kept" : "filtered");
}

static int filter_json(struct work *work)
{
    struct view_head head = infer_head(&work->infer, photo_info(work), NULL);
    struct json_writer writer;
    int status = encode(work, &work->filtered.mask, INFOMASK_PICTURE_MASK, INFOMASK_PNG, &work->mask_png);

    if (status != 0)
        return status;
    json_writer_init(&writer, 0);
    view_filter(&writer, NULL, &head, &work->classification, &work->filtered, &work->mask_png);
    return reply_json(work->infer.reply, work->infer.request, 200, &writer);
}

int handle_filter(struct server_context *server, const struct request *request, struct reply *reply)
{
    static const char *const offers[] = {"image/png", "image/jpeg", "image/webp", "application/json"};
    static const enum infomask_format formats[] = {INFOMASK_PNG, INFOMASK_JPEG, INFOMASK_WEBP, INFOMASK_PNG};
    int form = choose_form(request, reply, PARAM_ID_FILTER_FORMAT, offers, 4), status;
    struct work work;

    if (form < 0)
        return reply->status;
    status = work_begin(&work, server, request, reply);
    work.infer.ask.options.filter.format = formats[form];
    if (status == 0 && form == 1 && work.infer.ask.options.filter.fill == INFOMASK_TRANSPARENT)
        status = reply_problem(reply, request, VIEW_BAD_PARAMETER,
                               "fill=transparent needs format=png or webp: JPEG has no transparency");
    if (status == 0)
        status = run_filter(&work, NULL);
    if (status == 0)
        status = form == 3 ? filter_json(&work) : filter_picture(&work);
    work_end(&work);
    return status;
}

/* ---- /v1/analyze ------------------------------------------------------------------------------------------------- */

static int add_included(struct work *work, int64_t include)
{
    int status = 0;

    if (include & INCLUDE_MASK)
        status = add_picture(work, "mask", INFOMASK_PICTURE_MASK);
    if (status == 0 && (include & INCLUDE_OVERLAY))
        status = add_picture(work, "overlay", INFOMASK_PICTURE_OVERLAY);
    if (status == 0 && (include & INCLUDE_SALIENCY))
        status = add_picture(work, "saliency", INFOMASK_PICTURE_SALIENCY);
    if (status == 0 && (include & INCLUDE_IMAGE))
        status = run_filter(work, &work->mask);
    if (status == 0 && work->has_filtered) {
        work->pictures[work->picture_count] = work->filtered.image; /* borrowed: work_end frees it once */
        work->views[work->picture_count] = (struct view_picture){"image", &work->pictures[work->picture_count]};
        work->picture_count++;
    }
    return status;
}

int handle_analyze(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct work work;
    int status = work_begin(&work, server, request, reply);

    if (status == 0)
        status = run_mask(&work);
    if (status == 0)
        status = add_included(&work, request->params.value[PARAM_ID_INCLUDE].integer);
    if (status == 0) {
        struct view_head head = infer_head(&work.infer, photo_info(&work), NULL);
        struct view_classify_options view = ask_view_classify(&work.infer.ask);
        struct view_analysis analysis = {&work.classification, &view, &work.mask,
                                         work.has_filtered ? &work.filtered : NULL, work.views, work.picture_count};
        struct json_writer writer;
        json_writer_init(&writer, 0);
        view_analyze(&writer, NULL, &head, &analysis);
        status = reply_json(reply, request, 200, &writer);
    }
    work_end(&work);
    return status;
}
