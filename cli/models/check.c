/* infomask models check: is what is served equal to the reference kernels, how fast is it, what can be asked of it? */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/models/check.h"
#include "cli/models/models.h"
#include "cli/work.h"

enum { FLAG_JSON = 300, FLAG_SIZE, FLAG_OUTPUT };

static const struct cli_flag flags[] = {
    {FLAG_SIZE, "size", "N|WxH", "of a FILE.onnx: size of a photo, where the file leaves it open; default 224"},
    {FLAG_OUTPUT, "output", "TENSOR", "of a FILE.onnx: the output to take; default the file's first"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
};

struct checking {
    struct model_check_of_file file;
    bool json;
};

static bool take(void *context, int letter, const char *value)
{
    struct checking *checking = context;

    switch (letter) {
    case FLAG_SIZE:
        return models_take_size("models check", value, &checking->file.width, &checking->file.height);
    case FLAG_OUTPUT:
        checking->file.output = value;
        return true;
    default:
        checking->json = true;
        return true;
    }
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

void models_check_print(const struct model_check *check)
{
    if (check->not_finite)
        (void)printf("NOT FINITE: " MODEL_CHECK_NOT_FINITE " (%s, %s)\n", check->isa, check->precision);
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

/* ---- The command ------------------------------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISREG(at.st_mode);
}

static enum infomask_status check(const struct config *config, const struct model_check_of_file *file,
                                  struct model_check *result, struct infomask_error *err)
{
    const struct model_check_of of = {.name = file->path, .keep = true, .warn = cli_warns};

    if (is_file(file->path))
        return model_check_file(config, file, result, err);
    if (file->width > 0 || file->output != NULL)
        return error_set(err, INFOMASK_ARGUMENT,
                         "--size and --output are of a FILE.onnx: a model's folder says its own");
    return model_check(config, &of, result, err);
}

static enum infomask_status put_check(const struct model_check *check, struct infomask_error *err)
{
    struct json_writer w;

    json_writer_init(&w, json_indent(false));
    model_check_put(&w, NULL, check);
    return write_json(&w, NULL, err);
}

int models_check(int argc, char **argv)
{
    struct checking checking = {0};
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
        .context = &checking,
    };
    struct model_check result = {0};
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    checking.file.path = cli.operand_count > 0 ? cli.operands[0] : NULL;
    if (cli.operand_count != 1)
        code = cli_misused(cli.command, "one MODEL, FOLDER or FILE.onnx is needed");
    else if (check(&cli.config, &checking.file, &result, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else if (checking.json && put_check(&result, &err) != INFOMASK_OK)
        code = cli_fails(cli.command, "%s", err.text);
    else
        code = result.equal ? CLI_DONE : CLI_FAILED;
    if (!checking.json && (code == CLI_DONE || (code == CLI_FAILED && err.status == INFOMASK_OK)))
        models_check_print(&result);
    cli_close(&cli);
    return code;
}
