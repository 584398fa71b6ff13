#include "app/model/add/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model/add/hub.h"
#include "app/model/load.h"
#include "core/base/pool.h"

#define SECONDS 0.3

/* Names of the methods with commas between them, and why not the others: the first one's reason. */
static void tell_methods(const struct infomask_model_info *info, struct model_check *told)
{
    size_t at = 0;

    told->why_not = NULL;
    for (int i = 0; i < INFOMASK_METHODS; i++) {
        const char *why_not = infomask_why_not(info, (enum infomask_method)i);
        told->has[i] = why_not == NULL;
        if (why_not == NULL)
            at += (size_t)snprintf(told->methods + at, sizeof told->methods - at, "%s%s", at > 0 ? ", " : "",
                                   infomask_method_name((enum infomask_method)i));
        else if (told->why_not == NULL)
            told->why_not = why_not;
    }
}

static enum infomask_status tell(struct infomask_model *model, struct infomask_session *session,
                                 struct model_check *told, struct infomask_error *err)
{
    const struct infomask_model_info *info = infomask_model_info(model);
    const struct infomask_bench_options options = {
        .width = told->width, .height = told->height, .batch = 1, .seconds = SECONDS};
    struct infomask_bench_result result;
    enum infomask_status status = infomask_bench(session, &options, &result, err);

    if (status != INFOMASK_OK)
        return status;
    told->equal = info->equal;
    told->not_finite = info->not_finite;
    told->constant = info->constant;
    told->error = info->error;
    told->most = info->most;
    told->ms = result.median_ms;
    told->session_bytes = infomask_session_bytes(session);
    told->weight_bytes = info->weight_bytes;
    tell_methods(info, told);
    (void)snprintf(told->isa, sizeof told->isa, "%s", info->isa);
    (void)snprintf(told->precision, sizeof told->precision, "%s", info->precision);
    (void)snprintf(told->sha256, sizeof told->sha256, "%s", info->sha256);
    return INFOMASK_OK;
}

static enum infomask_status tell_of(struct infomask_model *model, struct pool *pool, struct model_check *check,
                                    struct infomask_error *err)
{
    const struct infomask_model_info *info = infomask_model_info(model);
    struct infomask_session *session = NULL;
    enum infomask_status status = infomask_session_create(model, pool, &session, err);

    *check = (struct model_check){
        .classes = info->classes, .width = info->width, .height = info->height, .channels = info->channels};
    if (status == INFOMASK_OK)
        status = tell(model, session, check, err);
    infomask_session_free(session);
    return status;
}

/* What was found, kept for the loads to come. */
static void keep(const struct model *model, const struct model_options *options)
{
    struct infomask_error why;
    char sentence[sizeof why.text + 120];

    if (model_keep_check(model, options->state_dir, &why) == INFOMASK_OK || options->warn == NULL)
        return;
    (void)snprintf(sentence, sizeof sentence, "%s: what was found is not kept: %s", model_name(model), why.text);
    options->warn(options->warn_context, sentence);
}

enum infomask_status model_check(const struct config *config, const struct model_check_of *of,
                                 struct model_check *check, struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = load_pool(config, &pool, err);

    if (status == INFOMASK_OK)
        status = load_options(config, pool, &options, err);
    if (status == INFOMASK_OK) {
        if (of->folder != NULL || options.precision == INFOMASK_AUTO)
            options.precision = INFOMASK_F32;
        options.verify = INFOMASK_VERIFY_WHOLE;
        options.warn = of->warn;
        status = of->folder != NULL ? model_load(of->folder, &options, &model, err)
                                    : load_model(config, of->name, &options, &model, err);
    }
    if (status == INFOMASK_OK)
        status = tell_of(model_core(model), pool, check, err);
    if (status == INFOMASK_OK && of->keep)
        keep(model, &options);
    model_release(model);
    pool_free(pool);
    return status;
}

enum infomask_status model_fits_size(const struct infomask_inspection *file, int width, int height,
                                     struct infomask_error *err)
{
    if (width > 0 && ((file->width > 0 && file->width != width) || (file->height > 0 && file->height != height)))
        return error_set(err, INFOMASK_ARGUMENT, "the file fixes the size at %d x %d: it cannot be %d x %d",
                         file->width, file->height, width, height);
    return INFOMASK_OK;
}

enum infomask_status model_check_file(const struct config *config, const struct model_check_of_file *of,
                                      struct model_check *check, struct infomask_error *err)
{
    struct infomask_model_spec spec = infomask_default_spec(); /* numbers of any scale will do for a comparison */
    struct infomask_inspection file;
    struct hub hub = {0};
    struct infomask_model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = infomask_inspect(of->path, of->output, &file, err);

    if (status == INFOMASK_OK)
        status = model_fits_size(&file, of->width, of->height, err);
    free(file.classes);
    if (status != INFOMASK_OK)
        return status;
    spec.path = of->path;
    spec.output = of->output;
    spec.nhwc = file.nhwc;
    spec.color = file.channels == 1 ? INFOMASK_GRAY : INFOMASK_RGB;
    spec.width = file.width > 0 ? file.width : of->width > 0 ? of->width : 224;
    spec.height = file.height > 0 ? file.height : of->height > 0 ? of->height : 224;
    if (file.outputs == 1) /* as models add takes it: yes or no */
        spec.head = INFOMASK_HEAD_SIGMOID;
    spec.isa = strcmp(config->isa, "auto") == 0 ? NULL : config->isa;
    spec.verify = INFOMASK_VERIFY_WHOLE;
    status = load_pool(config, &pool, err);
    if (status == INFOMASK_OK)
        status = infomask_model_load(&spec, &model, err);
    if (status == INFOMASK_OK)
        status = tell_of(model, pool, check, err);
    if (status == INFOMASK_OK)
        status = hub_read(of->path, &hub, err);
    if (status == INFOMASK_OK)
        check->preset = hub_preset(&hub, &file, &check->preset_known, &check->preset_reason)->name;
    hub_fini(&hub);
    infomask_model_free(model);
    pool_free(pool);
    return status;
}

void model_check_put(struct json_writer *w, const char *key, const struct model_check *check)
{
    json_object_open(w, key);
    json_put_bool(w, "equal", check->equal);
    json_put_bool(w, "finite", !check->not_finite);
    json_put_bool(w, "constant", check->constant);
    json_put_double_or_null(w, "error", check->error);
    json_put_double(w, "most", check->most);
    json_put_string(w, "isa", check->isa);
    json_put_string(w, "precision", check->precision);
    json_put_string(w, "sha256", check->sha256);
    json_put_uint(w, "classes", check->classes);
    json_put_int(w, "width", check->width);
    json_put_int(w, "height", check->height);
    json_put_double(w, "ms", check->ms);
    json_put_uint(w, "weight_bytes", check->weight_bytes);
    json_put_uint(w, "session_bytes", check->session_bytes);
    if (check->preset != NULL) {
        json_put_string(w, "preset", check->preset);
        json_put_bool(w, "preset_known", check->preset_known);
        json_put_string(w, "preset_reason", check->preset_reason);
    }
    json_array_open(w, "methods");
    for (int i = 0; i < INFOMASK_METHODS; i++)
        if (check->has[i])
            json_put_string(w, NULL, infomask_method_name((enum infomask_method)i));
    json_array_close(w);
    json_object_close(w);
}
