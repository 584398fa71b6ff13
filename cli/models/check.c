/* infomask models check: is what is served equal to the reference kernels, how fast is it, what can be asked of it? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/model/models.h"
#include "cli/cli.h"
#include "cli/models/check.h"
#include "cli/models/models.h"
#include "cli/models/preset.h"
#include "cli/work.h"
#include "core/base/pool.h"

#define SECONDS 0.3

enum { FLAG_JSON = 300 };

static const struct cli_flag flags[] = {
    {FLAG_JSON, "json", NULL, "print one JSON object"},
};

static bool take(void *context, int letter, const char *value)
{
    (void)letter;
    (void)value;
    *(bool *)context = true;
    return true;
}

/* ---- The comparison ---------------------------------------------------------------------------------------------- */

/* Names of the methods with commas between them, and why not the others: the first one's reason. */
static void tell_methods(const struct infomask_model_info *info, struct models_check *told)
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
                                 struct models_check *told, struct infomask_error *err)
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

static enum infomask_status tell_of(struct infomask_model *model, struct pool *pool, struct models_check *check,
                                    struct infomask_error *err)
{
    const struct infomask_model_info *info = infomask_model_info(model);
    struct infomask_session *session = NULL;
    enum infomask_status status = infomask_session_create(model, pool, &session, err);

    *check = (struct models_check){
        .classes = info->classes, .width = info->width, .height = info->height, .channels = info->channels};
    if (status == INFOMASK_OK)
        status = tell(model, session, check, err);
    infomask_session_free(session);
    return status;
}

/* folder: a path, or NULL for a model by its name. */
static enum infomask_status check_model(const struct cli *cli, const char *folder, const char *name, bool keep,
                                        struct models_check *check, struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = load_pool(&cli->config, &pool, err);

    if (status == INFOMASK_OK)
        status = work_model_options(&cli->config, pool, &options, err);
    if (folder != NULL || options.precision == INFOMASK_AUTO) /* a new model has no rounded weights */
        options.precision = INFOMASK_F32;
    options.verify = INFOMASK_VERIFY_WHOLE;
    if (status == INFOMASK_OK)
        status = folder != NULL ? model_load(folder, &options, &model, err)
                                : load_model(&cli->config, name, &options, &model, err);
    if (status == INFOMASK_OK)
        status = tell_of(model_core(model), pool, check, err);
    if (status == INFOMASK_OK && keep) {
        struct infomask_error why;
        if (model_keep_check(model, options.state_dir, &why) != INFOMASK_OK)
            (void)fprintf(stderr, "%s: what was found is not kept: %s\n", model_name(model), why.text);
    }
    model_release(model);
    pool_free(pool);
    return status;
}

enum infomask_status models_check_folder(const struct cli *cli, const char *folder, bool keep,
                                         struct models_check *check, struct infomask_error *err)
{
    return check_model(cli, folder, NULL, keep, check, err);
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

void models_check_print(const struct models_check *check)
{
    if (check->not_finite)
        (void)printf("NOT FINITE: " MODELS_CHECK_NOT_FINITE " (%s, %s)\n", check->isa, check->precision);
    else
        (void)printf(
            "%s the reference kernels%s: largest difference %.2g of the spread of the outputs (%s, %s)\n",
            check->equal ? "equal to" : "DIFFERS from", strcmp(check->precision, "int8") == 0 ? "" : ", layer by layer",
            check->error, check->isa, check->precision);
    if (check->constant)
        (void)printf("warning: the outputs are the same for pictures that differ: such a network cannot classify\n");
    (void)printf("%.1f ms a photo of %d x %d; %.1f MB of weights, %.1f MB a worker\n", check->ms, check->width,
                 check->height, (double)check->weight_bytes / 1e6, (double)check->session_bytes / 1e6);
    if (check->preset != NULL)
        (void)printf("photos: models add takes preset %s (%s)%s\n", check->preset, check->preset_reason,
                     check->preset_known ? "" : " unless it is given --preset, or --mean and --std");
    (void)printf("masks: %s\n", check->methods);
    if (check->why_not != NULL)
        (void)printf("not the others: %s\n", check->why_not);
}

void models_check_put(struct json_writer *w, const char *key, const struct models_check *check)
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

/* ---- The command ------------------------------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISREG(at.st_mode);
}

/* A file without a folder: what it tells of itself is all there is; numbers of any scale will do for a comparison. */
static enum infomask_status check_file(const struct cli *cli, const char *path, struct models_check *check,
                                       struct infomask_error *err)
{
    struct infomask_model_spec spec = infomask_default_spec();
    struct infomask_inspection file;
    struct infomask_model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = infomask_inspect(path, NULL, &file, err);

    if (status != INFOMASK_OK)
        return status;
    spec.path = path;
    spec.nhwc = file.nhwc;
    spec.color = file.channels == 1 ? INFOMASK_GRAY : INFOMASK_RGB;
    spec.width = file.width > 0 ? file.width : 224;
    spec.height = file.height > 0 ? file.height : 224;
    if (file.outputs == 1) /* as models add takes it: yes or no */
        spec.head = INFOMASK_HEAD_SIGMOID;
    spec.isa = strcmp(cli->config.isa, "auto") == 0 ? NULL : cli->config.isa;
    spec.verify = INFOMASK_VERIFY_WHOLE;
    status = load_pool(&cli->config, &pool, err);
    if (status == INFOMASK_OK)
        status = infomask_model_load(&spec, &model, err);
    if (status == INFOMASK_OK)
        status = tell_of(model, pool, check, err);
    if (status == INFOMASK_OK)
        check->preset = preset_guess(&file, &check->preset_known, &check->preset_reason)->name;
    infomask_model_free(model);
    pool_free(pool);
    return status;
}

static enum infomask_status check_named(const struct cli *cli, const char *name, struct models_check *check,
                                        struct infomask_error *err)
{
    return is_file(name) ? check_file(cli, name, check, err) : check_model(cli, NULL, name, true, check, err);
}

static enum infomask_status put_check(const struct models_check *check, struct infomask_error *err)
{
    struct json_writer w;

    json_writer_init(&w, json_indent(false));
    models_check_put(&w, NULL, check);
    return write_json(&w, NULL, err);
}

int models_check(int argc, char **argv)
{
    bool json = false;
    const struct cli_spec spec = {
        .usage = "models check [OPTION]... MODEL|FOLDER|FILE.onnx",
        .about = "Compares the network as it is served with its layers computed one by one by the reference kernels, "
                 "and tells\n"
                 "its time and memory and which masks it has; with --precision int8 its rounded weights, with the same "
                 "on\nthose kernels.  What is found is kept beside the model (check.json), or where its folder cannot "
                 "be\nwritten in the state's: one that is known to differ is not served.\n"
                 "Exit code 0: equal; 1: not, or its outputs are not finite, or it cannot be run.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &json,
    };
    struct models_check check = {0};
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count != 1)
        code = cli_misused(cli.command, "one MODEL, FOLDER or FILE.onnx is needed");
    else if (check_named(&cli, cli.operands[0], &check, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else if (json && put_check(&check, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else
        code = check.equal ? CLI_DONE : CLI_FAILED;
    if (!json && (code == CLI_DONE || (code == CLI_FAILED && err.status == INFOMASK_OK)))
        models_check_print(&check);
    cli_close(&cli);
    return code;
}
