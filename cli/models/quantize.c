/* infomask models quantize: int8 weights for a model, made and measured on photos. */
#include "cli/models/models.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/model/training_record.h"
#include "app/settings/files.h"
#include "cli/cli.h"
#include "cli/read/photo_list.h"
#include "cli/work.h"
#include "core/base/pool.h"
#include "core/infomask_train.h"

#define FILE_NAME "model.int8"
#define MOST_KEPT 64
#define MOST_BYTES ((size_t)256 << 20) /* of a photo */

enum { FLAG_IMAGES = 300, FLAG_KEEP, FLAG_CROPS, FLAG_HELD_OUT, FLAG_SEED, FLAG_NEAREST, FLAG_DRY_RUN, FLAG_JSON };

struct quantizing {
    const struct config *config;
    const char *name, *images;
    char *keep; /* owned: cut at its commas */
    const char *kept[MOST_KEPT];
    int kept_count, crops, held_out;
    uint64_t seed;
    bool nearest, dry_run, json, told;
    struct photo_list list;
    struct infomask_quantized result;
};

static const struct cli_flag flags[] = {
    {FLAG_IMAGES, "images", "DIR", "photos, at any depth: those of DIR/sub too"},
    {FLAG_KEEP, "keep-bf16", "LAYERS",
     "layers to keep in bf16: outputs or patterns, with commas in between; \"\": none"},
    {FLAG_CROPS, "crops", "N", "crops of photos to calibrate on (default 96)"},
    {FLAG_HELD_OUT, "held-out", "N", "crops of other photos to measure on (default 500)"},
    {FLAG_SEED, "seed", "N", "of the crops (default 0)"},
    {FLAG_NEAREST, "nearest", NULL, "round to nearest instead, to see what the method is worth"},
    {FLAG_DRY_RUN, "dry-run", NULL, "measure, but change nothing in the model's folder"},
    {FLAG_JSON, "json", NULL, "print what is recorded, as JSON"},
};

static bool take_number(const char *flag, const char *value, long least, long most, long *number)
{
    char *end;

    *number = strtol(value, &end, 10);
    if (*value != '\0' && *end == '\0' && *number >= least && *number <= most)
        return true;
    (void)fprintf(stderr, "infomask models quantize: --%s takes a number from %ld to %ld\n", flag, least, most);
    return false;
}

static bool take_kept(struct quantizing *q, const char *value)
{
    free(q->keep);
    q->kept_count = 0;
    q->keep = strdup(value);
    for (char *at = q->keep; at != NULL && *at != '\0';) {
        char *end = at + strcspn(at, ",");
        bool last = *end == '\0';
        *end = '\0';
        if (q->kept_count == MOST_KEPT || *at == '\0') {
            (void)fprintf(stderr, "infomask models quantize: --keep-bf16 takes 1 to %d names with commas in between\n",
                          MOST_KEPT);
            return false;
        }
        q->kept[q->kept_count++] = at;
        at = last ? end : end + 1;
    }
    return q->keep != NULL;
}

static bool take(void *context, int letter, const char *value)
{
    struct quantizing *q = context;
    long number = 0;
    bool good = true;

    switch (letter) {
    case FLAG_IMAGES:
        q->images = value;
        break;
    case FLAG_KEEP:
        return take_kept(q, value);
    case FLAG_CROPS:
        good = take_number("crops", value, 1, 10000, &number);
        q->crops = (int)number;
        break;
    case FLAG_HELD_OUT:
        good = take_number("held-out", value, 1, 100000, &number);
        q->held_out = (int)number;
        break;
    case FLAG_SEED:
        good = take_number("seed", value, 0, LONG_MAX, &number);
        q->seed = (uint64_t)number;
        break;
    case FLAG_NEAREST:
        q->nearest = true;
        break;
    case FLAG_DRY_RUN:
        q->dry_run = true;
        break;
    default:
        q->json = true;
        break;
    }
    return good;
}

static enum infomask_status read_photo(void *context, size_t i, char **bytes, size_t *size, struct infomask_error *err)
{
    const struct quantizing *q = context;
    return photo_read(&q->list.photos[i], MOST_BYTES, bytes, size, err);
}

/* On a terminal only: one line that is drawn over. */
static void tell(void *context, const char *what, int done, int of)
{
    struct quantizing *q = context;

    if (!q->told)
        return;
    (void)fprintf(stderr, "\r\033[K%d of %d: %s", done + 1, of, what);
    (void)fflush(stderr);
}

static void print_result(const struct quantizing *q)
{
    const struct infomask_quantized *r = &q->result;

    (void)printf("%d layers in int8", r->layers);
    if (r->kept > 0)
        (void)printf(", %d kept in bf16", r->kept);
    (void)printf(", calibrated on %d crops of %zu photos", r->crops, r->photos);
    if (r->left_out > 0)
        (void)printf(" (%zu files could not be read as photos)", r->left_out);
    (void)printf("\nagreement with f32 on %d crops of %zu %sphotos: %.2f %%", r->held_out, r->held_out_photos,
                 r->apart ? "other " : "the same ", 100 * r->agreement);
    if (isfinite(r->clear_agreement))
        (void)printf(" (%.2f %% of the %.0f %% whose two best classes are 0.1 nats apart)", 100 * r->clear_agreement,
                     100 * r->clear);
    if (isfinite(r->sure_agreement))
        (void)printf(" (%.2f %% of the %.0f %% whose best class has p >= 0.5)", 100 * r->sure_agreement, 100 * r->sure);
    (void)printf("\nerror of log p over the 5 best classes: %.4f nats\n", r->log_probability_error);
}

static enum infomask_status report(const struct quantizing *q, struct infomask_error *err)
{
    struct json_writer writer;

    if (!q->json) {
        print_result(q);
        return INFOMASK_OK;
    }
    json_writer_init(&writer, json_indent(false));
    json_object_open(&writer, NULL);
    model_record_put_int8(&writer, FILE_NAME, &q->result);
    json_object_close(&writer);
    return write_json(&writer, NULL, err);
}

/* Without --keep-bf16, what the model's folder says: "quantize": {"keep_bf16": "LAYERS"}. */
static enum infomask_status keep_of_folder(struct quantizing *q, const struct model *model, struct infomask_error *err)
{
    const char *layers = json_string(json_get(json_get(model_document(model), "quantize"), "keep_bf16"));

    if (q->keep == NULL && layers != NULL && !take_kept(q, layers))
        return error_set(err, INFOMASK_BAD_MODEL,
                         "model.json: \"quantize.keep_bf16\" must be names with commas between them");
    return INFOMASK_OK;
}

/* New weights take the old ones' place only when they are whole, and the record follows: in between, the record is of
 * the old ones. */
static enum infomask_status quantize_model(struct quantizing *q, struct model *model, struct pool *pool,
                                           struct infomask_error *err)
{
    struct infomask_limits limits = ask_limits(q->config);
    char *output = file_join(model_folder_path(model), FILE_NAME);
    const struct infomask_quantize_options options = {
        .model = model_spec(model), .output = q->dry_run ? NULL : output, .photos = q->list.count, .read = read_photo,
        .limits = &limits, .crops = q->crops, .held_out = q->held_out, .seed = q->seed, .keep = q->kept,
        .keep_count = q->kept_count, .nearest = q->nearest, .progress = tell, .context = q};
    enum infomask_status status = output != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");

    q->told = isatty(STDERR_FILENO) == 1;
    if (status == INFOMASK_OK)
        status = infomask_quantize(&options, pool, &q->result, err);
    if (q->told)
        (void)fputs("\r\033[K", stderr);
    if (status == INFOMASK_OK && !q->dry_run)
        status = model_record_int8(model_folder_path(model), model_document(model), FILE_NAME, &q->result, err);
    free(output);
    return status;
}

static enum infomask_status quantize(struct quantizing *q, struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = photo_list_all(&q->list, q->images, err);

    if (status == INFOMASK_OK)
        status = load_pool(q->config, &pool, err);
    if (status == INFOMASK_OK)
        status = work_model_options(q->config, pool, &options, err);
    options.precision = INFOMASK_F32;
    if (status == INFOMASK_OK)
        status = load_model(q->config, q->name, &options, &model, err);
    if (status == INFOMASK_OK)
        status = infomask_precision_check(INFOMASK_INT8, q->config->isa, err);
    if (status == INFOMASK_OK)
        status = keep_of_folder(q, model, err);
    if (status == INFOMASK_OK)
        status = quantize_model(q, model, pool, err);
    if (status == INFOMASK_OK)
        status = report(q, err);
    model_release(model);
    pool_free(pool);
    return status;
}

int models_quantize(int argc, char **argv)
{
    struct quantizing q = {0};
    const struct cli_spec spec = {
        .usage = "models quantize [OPTION]... --images DIR [MODEL]",
        .about =
            "Makes int8 weights for a model: quantises it layer by layer on crops of the photos, measures on crops\n"
            "of other photos how well it agrees with float32, and records both in the model's folder.  The kernels\n"
            "(--isa) have little say in the weights; any that have int8 run them.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &q,
    };
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0) {
        free(q.keep);
        return code;
    }
    q.config = &cli.config;
    q.name = cli.operand_count > 0 ? cli.operands[0] : NULL;
    if (cli.operand_count > 1)
        code = cli_misused(cli.command, "one MODEL at a time");
    else if (q.images == NULL)
        code = cli_misused(cli.command, "--images is needed: a folder of photos");
    else
        code = quantize(&q, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(cli.command, "%s", err.text);
    photo_list_fini(&q.list);
    free(q.keep);
    cli_close(&cli);
    return code;
}
