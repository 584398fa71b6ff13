/* infomask bench: the network's time alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/work.h"
#include "core/base/pool.h"
#include "core/infomask_lab.h"

enum { FLAG_SIZE = 300, FLAG_BATCH, FLAG_SECONDS, FLAG_JSON };

struct bench {
    const char *model;
    const struct config *config;
    struct infomask_bench_options options;
    struct infomask_bench_result result;
    double flops; /* of one item */
    int threads;
    bool json;
    char isa[16], precision[8];
    struct pool *pool;
    struct infomask_error err;
    enum infomask_status status;
};

static const struct cli_flag flags[] = {
    {FLAG_SIZE, "size", "N", "side of the input, or WIDTHxHEIGHT; default the model's own"},
    {FLAG_BATCH, "batch", "N", "images a run (1 to 1024); default 1"},
    {FLAG_SECONDS, "seconds", "S", "time to spend (0 to 3600); default 3"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
};

static bool read_long(const char *text, long low, long high, int *value, const char **end)
{
    char *stop;
    long number = strtol(text, &stop, 10);
    if (stop == text || number < low || number > high)
        return false;
    *value = (int)number;
    *end = stop;
    return true;
}

static bool read_size(const char *text, struct infomask_bench_options *options)
{
    const char *end;
    if (!read_long(text, 1, 65535, &options->width, &end))
        return false;
    options->height = options->width;
    return *end == '\0' || (*end == 'x' && read_long(end + 1, 1, 65535, &options->height, &end) && *end == '\0');
}

static bool take(void *context, int letter, const char *value)
{
    struct bench *bench = context;
    const char *end = "";
    char *stop = NULL;
    const char *range = "";
    bool fine = true;

    if (letter == FLAG_SIZE) {
        range = "size must be a side, or WIDTHxHEIGHT, of 1 to 65535";
        fine = read_size(value, &bench->options);
    } else if (letter == FLAG_BATCH) {
        range = "batch must be an integer from 1 to 1024";
        fine = read_long(value, 1, 1024, &bench->options.batch, &end) && *end == '\0';
    } else if (letter == FLAG_SECONDS) {
        range = "seconds must be from 0 to 3600";
        fine = (bench->options.seconds = strtod(value, &stop)) >= 0 && bench->options.seconds <= 3600 && *stop == '\0';
    } else {
        bench->json = true;
    }
    if (!fine)
        (void)cli_misused("bench", "--%s, not \"%.60s\"", range, value);
    return fine;
}

static enum infomask_status bench_session(struct bench *bench, struct model *model, struct infomask_error *err)
{
    const struct infomask_model_info *info = model_info(model);
    struct infomask_session *session = NULL;
    enum infomask_status status;

    if (bench->options.width == 0) {
        bench->options.width = info->width;
        bench->options.height = info->height;
    }
    (void)snprintf(bench->isa, sizeof bench->isa, "%s", info->isa);
    (void)snprintf(bench->precision, sizeof bench->precision, "%s", info->precision);
    status = infomask_model_flops(model_spec(model), bench->options.height, bench->options.width, &bench->flops, err);
    if (status == INFOMASK_OK)
        status = model_session_take(model, &session, err);
    if (status == INFOMASK_OK)
        status = infomask_bench(session, &bench->options, &bench->result, err);
    model_session_give(model, session);
    return status;
}

static void bench_step(void *context)
{
    struct bench *bench = context;
    struct model *model = NULL;

    bench->status = work_load(bench->config, bench->pool, bench->model, &model, &bench->err);
    if (bench->status == INFOMASK_OK)
        bench->status = bench_session(bench, model, &bench->err);
    model_release(model);
}

static double resident_mb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    (void)fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static int print_result(const struct bench *bench, const char *command)
{
    const struct infomask_bench_result *r = &bench->result;
    double gflops = bench->flops * bench->options.batch / (r->min_ms * 1e6);
    struct infomask_error err;
    struct json_writer writer;

    if (!bench->json) {
        (void)printf("%dx%d, batch %d, threads %d, %s, %s: %d runs, min %.3f ms, median %.3f ms, %.1f images/s, "
                     "%.1f of %.1f GFLOP/s (%.0f %%), %.0f MB\n",
                     bench->options.width, bench->options.height, bench->options.batch, bench->threads, bench->isa,
                     bench->precision, r->runs, r->min_ms, r->median_ms, 1e3 * bench->options.batch / r->median_ms,
                     gflops, r->peak_gflops, 100 * gflops / r->peak_gflops, resident_mb());
        return CLI_DONE;
    }
    json_writer_init(&writer, json_indent(false));
    json_object_open(&writer, NULL);
    json_put_int(&writer, "runs", r->runs);
    json_put_double(&writer, "min_ms", r->min_ms);
    json_put_double(&writer, "median_ms", r->median_ms);
    json_put_double(&writer, "images_per_second", 1e3 * bench->options.batch / r->median_ms);
    json_put_double(&writer, "gflops", gflops);
    json_put_double(&writer, "peak_gflops", r->peak_gflops);
    json_put_string(&writer, "isa", bench->isa);
    json_put_string(&writer, "precision", bench->precision);
    json_put_int(&writer, "threads", bench->threads);
    json_put_double(&writer, "rss_mb", resident_mb());
    json_object_close(&writer);
    return write_json(&writer, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(command, "%s", err.text);
}

static int run_bench(struct bench *bench, const char *command)
{
    if (load_pool(bench->config, &bench->pool, &bench->err) != INFOMASK_OK)
        return cli_fails(command, "%s", bench->err.text);
    bench->threads = pool_threads(bench->pool);
    pool_run(bench->pool, bench_step, bench);
    pool_free(bench->pool);
    return bench->status == INFOMASK_OK ? print_result(bench, command) : cli_fails(command, "%s", bench->err.text);
}

int cmd_bench(int argc, char **argv)
{
    struct bench bench = {.options = {.batch = 1, .seconds = 3}};
    const struct cli_spec spec = {
        .usage = "bench [OPTION]... [MODEL]",
        .about = "Times the network alone, without decoding and JSON, and compares it with the best that this\n"
                 "processor can do.  gflops is that of the fastest run, images_per_second that of the median.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &bench,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    bench.config = &cli.config;
    bench.model = cli.operand_count > 0 ? cli.operands[0] : NULL;
    code = cli.operand_count > 1 ? cli_misused(cli.command, "one MODEL at a time") : run_bench(&bench, cli.command);
    cli_close(&cli);
    return code;
}
