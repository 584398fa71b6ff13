/* infomask models check: is what is served equal to the reference kernels, how fast is it, what can be asked of it? */
#include <math.h>
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
#include "core/base/random.h"

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

/* ---- The comparison ------------------------------------------------------------------------------------------------------- */

/* told: what this network is and how fast, may be NULL. */
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
    told->ms = result.median_ms;
    told->session_bytes = infomask_session_bytes(session);
    told->weight_bytes = info->weight_bytes;
    told->class_map = info->class_map;
    (void)snprintf(told->isa, sizeof told->isa, "%s", info->isa);
    (void)snprintf(told->precision, sizeof told->precision, "%s", info->precision);
    (void)snprintf(told->sha256, sizeof told->sha256, "%s", info->sha256);
    return INFOMASK_OK;
}

static enum infomask_status run_once(const struct infomask_model_spec *spec, struct pool *pool, const float *input,
                                     float *output, struct models_check *told, struct infomask_error *err)
{
    struct infomask_model *model = NULL;
    struct infomask_session *session = NULL;
    enum infomask_status status = infomask_model_load(spec, &model, err);

    if (status == INFOMASK_OK)
        status = infomask_session_create(model, pool, &session, err);
    if (status == INFOMASK_OK)
        status = infomask_run(session, input, 1, spec->height, spec->width, output, err);
    if (status == INFOMASK_OK && told != NULL)
        status = tell(model, session, told, err);
    infomask_session_free(session);
    infomask_model_free(model);
    return status;
}

/* Normal numbers: what a normalised photo has the scale of. */
static float *noise(size_t count, struct infomask_error *err)
{
    float *x = malloc(count * sizeof *x);
    struct random_stream stream = random_stream(1, 0);

    if (x == NULL) {
        (void)error_set(err, INFOMASK_MEMORY, "no memory for the input");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        x[i] = (float)random_normal(&stream);
    return x;
}

static double spread_error(const float *found, const float *expected, size_t count)
{
    double least = count > 1 ? HUGE_VAL : 0, most = count > 1 ? -HUGE_VAL : 0, error = 0; /* of one logit, from 0 */

    for (size_t i = 0; i < count; i++) {
        least = fmin(least, (double)expected[i]);
        most = fmax(most, (double)expected[i]);
        error = fmax(error, fabs((double)found[i] - (double)expected[i]));
        if (!isfinite(found[i]) || !isfinite(expected[i]))
            return HUGE_VAL;
    }
    return error / fmax(most - least, 1e-30);
}

static enum infomask_status compare(const struct infomask_model_spec *spec, struct pool *pool, struct models_check *check,
                                    struct infomask_error *err)
{
    struct infomask_model_spec reference = *spec, own = *spec;
    size_t size = (size_t)spec->width * (size_t)spec->height * (size_t)check->channels;
    float *x = noise(size, err), *y = calloc(2 * check->classes, sizeof *y);
    enum infomask_status status = x != NULL && y != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");

    reference.isa = "ref";
    reference.precision = own.precision = INFOMASK_F32; /* rounded weights differ from the reference's on purpose */
    if (status == INFOMASK_OK)
        status = run_once(&reference, pool, x, y + check->classes, NULL, err);
    if (status == INFOMASK_OK)
        status = run_once(&own, pool, x, y, check, err);
    if (status == INFOMASK_OK) {
        check->error = spread_error(y, y + check->classes, check->classes);
        check->equal = check->error <= MODELS_CHECK_MOST;
    }
    free(x);
    free(y);
    return status;
}

static enum infomask_status check_model(struct model *model, struct pool *pool, struct models_check *check,
                                        struct infomask_error *err)
{
    const struct infomask_model_info *info = model_info(model);
    struct infomask_model_spec spec = *model_spec(model);

    *check = (struct models_check){
        .classes = info->classes, .width = info->width, .height = info->height, .channels = info->channels};
    spec.isa = info->isa;
    return compare(&spec, pool, check, err);
}

enum infomask_status models_check_folder(const struct cli *cli, const char *folder, struct models_check *check,
                                         struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = work_pool(&cli->config, &pool, err);

    if (status == INFOMASK_OK)
        status = work_model_options(&cli->config, pool, &options, err);
    if (status == INFOMASK_OK)
        status = model_load(folder, &options, &model, err);
    if (status == INFOMASK_OK)
        status = check_model(model, pool, check, err);
    model_release(model);
    pool_free(pool);
    return status;
}

/* ---- Telling -------------------------------------------------------------------------------------------------------------- */

void models_check_print(const struct models_check *check)
{
    (void)printf("%s the reference kernels: largest difference %.2g of the spread of the logits (%s, %s)\n",
                 check->equal ? "equal to" : "DIFFERS from", check->error, check->isa, check->precision);
    (void)printf("%.1f ms a photo of %d x %d; %.1f MB of weights, %.1f MB a worker\n", check->ms, check->width, check->height,
                 (double)check->weight_bytes / 1e6, (double)check->session_bytes / 1e6);
    (void)printf("masks: %s\n", check->class_map ? "infocam, cam, infocam+, gradcam++, layercam, occlusion"
                                                 : "occlusion only: the network has no linear head on pooled features");
}

void models_check_put(struct json_writer *w, const char *key, const struct models_check *check)
{
    static const char *const methods[] = {"infocam", "cam", "infocam+", "gradcam++", "layercam"};

    json_object_open(w, key);
    json_put_bool(w, "equal", check->equal);
    json_put_double_or_null(w, "error", check->error);
    json_put_double(w, "most", MODELS_CHECK_MOST);
    json_put_string(w, "isa", check->isa);
    json_put_string(w, "precision", check->precision);
    json_put_string(w, "sha256", check->sha256);
    json_put_uint(w, "classes", check->classes);
    json_put_int(w, "width", check->width);
    json_put_int(w, "height", check->height);
    json_put_double(w, "ms", check->ms);
    json_put_uint(w, "weight_bytes", check->weight_bytes);
    json_put_uint(w, "session_bytes", check->session_bytes);
    json_array_open(w, "methods");
    for (size_t i = 0; check->class_map && i < sizeof methods / sizeof *methods; i++)
        json_put_string(w, NULL, methods[i]);
    json_put_string(w, NULL, "occlusion");
    json_array_close(w);
    json_object_close(w);
}

/* ---- The command ------------------------------------------------------------------------------------------------------------ */

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
    struct pool *pool = NULL;
    enum infomask_status status = infomask_inspect(path, NULL, &file, err);

    if (status != INFOMASK_OK)
        return status;
    spec.path = path;
    spec.nhwc = file.nhwc;
    spec.color = file.channels == 1 ? INFOMASK_GRAY : INFOMASK_RGB;
    spec.width = file.width > 0 ? file.width : 224;
    spec.height = file.height > 0 ? file.height : 224;
    spec.isa = strcmp(cli->config.isa, "auto") == 0 ? NULL : cli->config.isa;
    *check = (struct models_check){
        .classes = file.outputs, .width = spec.width, .height = spec.height, .channels = file.channels};
    status = work_pool(&cli->config, &pool, err);
    if (status == INFOMASK_OK)
        status = compare(&spec, pool, check, err);
    pool_free(pool);
    return status;
}

static enum infomask_status check_named(const struct cli *cli, const char *name, struct models_check *check,
                                        struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status;

    if (is_file(name))
        return check_file(cli, name, check, err);
    status = work_pool(&cli->config, &pool, err);
    if (status == INFOMASK_OK)
        status = work_model_options(&cli->config, pool, &options, err);
    if (status == INFOMASK_OK)
        status = work_model(&cli->config, name, &options, &model, err);
    if (status == INFOMASK_OK)
        status = check_model(model, pool, check, err);
    model_release(model);
    pool_free(pool);
    return status;
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
        .about = "Compares the network as it is served with the reference kernels, and tells its time and memory and which\n"
                 "masks it has.  Exit code 0: equal; 1: not, or it cannot be run.",
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
