/* infomask run: a raw tensor through a network, to check a model against another engine. */
#include <stdlib.h>

#include "cli/cli.h"
#include "app/settings/files.h"
#include "app/settings/npy.h"
#include "cli/work.h"
#include "core/base/pool.h"
#include "core/infomask_lab.h"

struct run {
    const char *model, *input, *output;
    const struct config *config;
    struct infomask_error err;
    enum infomask_status status;
};

static const struct cli_flag flags[] = {
    {'i', "input", "X.npy", "the tensor, float32: [n, channels, height, width] (or the model's own layout)"},
    {'o', "output", "Y.npy", "where its first output goes, float32 [n, classes]"},
};

static bool take(void *context, int letter, const char *value)
{
    struct run *run = context;
    if (letter == 'i')
        run->input = value;
    else
        run->output = value;
    return true;
}

static enum infomask_status check_shape(const struct npy *x, const struct model *model, int size[3],
                                        struct infomask_error *err)
{
    bool nhwc = model_spec(model)->nhwc;
    size_t channels = x->rank == 4 ? x->dims[nhwc ? 3 : 1] : 0;

    if (x->rank != 4 || channels != (size_t)model_info(model)->channels)
        return error_set(err, INFOMASK_ARGUMENT, "the input must be [n, %s] with %d channels",
                         nhwc ? "height, width, channels" : "channels, height, width", model_info(model)->channels);
    for (int i = 0; i < 4; i++)
        if (x->dims[i] < 1 || x->dims[i] > 65535)
            return error_set(err, INFOMASK_ARGUMENT, "every side of the input must be 1 to 65535, not %zu", x->dims[i]);
    size[0] = (int)x->dims[0];
    size[1] = (int)x->dims[nhwc ? 1 : 2];
    size[2] = (int)x->dims[nhwc ? 2 : 3];
    return INFOMASK_OK;
}

static enum infomask_status run_tensor(const struct run *run, struct model *model, const struct npy *x,
                                       struct infomask_error *err)
{
    struct npy y = {.rank = 2};
    struct infomask_session *session = NULL;
    int size[3] = {0};
    enum infomask_status status = check_shape(x, model, size, err);

    if (status == INFOMASK_OK)
        status = model_session_take(model, &session, err);
    if (status != INFOMASK_OK)
        return status;
    y.dims[0] = x->dims[0];
    y.dims[1] = model_info(model)->classes;
    y.count = y.dims[0] * y.dims[1];
    y.data = malloc(y.count * sizeof *y.data);
    if (y.data == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = infomask_run(session, &(struct infomask_images){x->data, size[0], size[1], size[2]}, y.data, err);
    if (status == INFOMASK_OK)
        status = npy_write(run->output, &y, err);
    npy_fini(&y);
    model_session_give(model, session);
    return status;
}

static enum infomask_status run_model(const struct run *run, struct pool *pool, const struct npy *x,
                                      struct infomask_error *err)
{
    struct model *model = NULL;
    enum infomask_status status = work_load(run->config, pool, run->model, &model, err);

    if (status == INFOMASK_OK)
        status = run_tensor(run, model, x, err);
    model_release(model);
    return status;
}

struct run_on_pool {
    struct run *run;
    struct pool *pool;
    const struct npy *x;
};

static void run_step(void *context)
{
    struct run_on_pool *step = context;
    step->run->status = run_model(step->run, step->pool, step->x, &step->run->err);
}

static int run_file(struct run *run, const char *command)
{
    struct npy x = {0};
    struct pool *pool = NULL;
    enum infomask_status status = npy_read(run->input, file_read, NPY_MOST, &x, &run->err);

    if (status != INFOMASK_OK)
        error_prefix(&run->err, "%.120s", run->input);
    else
        status = load_pool(run->config, &pool, &run->err);
    if (status == INFOMASK_OK) {
        struct run_on_pool step = {run, pool, &x};
        pool_run(pool, run_step, &step);
        status = run->status;
    }
    pool_free(pool);
    npy_fini(&x);
    return status == INFOMASK_OK ? CLI_DONE : cli_fails(command, "%s", run->err.text);
}

int cmd_run(int argc, char **argv)
{
    struct run run = {0};
    const struct cli_spec spec = {
        .usage = "run [OPTION]... MODEL --input X.npy --output Y.npy",
        .about = "Puts a raw tensor, normalised by you and in the model's own layout, through the network and writes\n"
                 "its first output as it is.  MODEL is a name under --models-dir or a model folder.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &run,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    run.config = &cli.config;
    run.model = cli.operand_count > 0 ? cli.operands[0] : NULL;
    if (cli.operand_count != 1)
        code = cli_misused(cli.command, "one MODEL is needed");
    else if (run.input == NULL || run.output == NULL)
        code = cli_misused(cli.command, "--input and --output are needed");
    else
        code = run_file(&run, cli.command);
    cli_close(&cli);
    return code;
}
