/* infomask classify: what /v1/classify answers, for files. */
#include "cli/cli.h"
#include "cli/work.h"

enum { FLAG_PRETTY = 300 };

static const struct cli_flag flags[] = {
    {'o', "output-file", "FILE", "write the JSON there instead of to standard output"},
    {FLAG_PRETTY, "pretty", NULL, "indent the JSON (as on a terminal)"},
};

static bool take(void *context, int letter, const char *value)
{
    struct output *output = context;
    if (letter == 'o')
        output->path = value;
    else
        output->pretty = true;
    return true;
}

static enum infomask_status classify_photo(struct work *work, const struct output *output, const char *path,
                                           struct json_writer *writer, void *context, struct infomask_error *err)
{
    struct view_classify_options view = {.top_k = work->options.top_k,
                                         .target = work->options.target_count > 0 ? work->options.targets[0] : -1,
                                         .abstain_below = work->options.abstain_below,
                                         .groups = work->options.groups};
    struct shot shot;
    enum infomask_status status = shot_open(work, path, false, &shot, err);

    (void)output;
    (void)context;
    if (status != INFOMASK_OK)
        return status;
    view_classify(writer, NULL, &shot.head, &shot.classification, &view);
    shot_close(&shot);
    return INFOMASK_OK;
}

int cmd_classify(int argc, char **argv)
{
    struct output output = {0};
    const struct cli_spec spec = {
        .usage = "classify [OPTION]... FILE...",
        .about = "Prints the class probabilities and the information of each photo, as JSON; - is standard input.\n"
                 "Several photos are answered by {\"results\": [...]}.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_CLASSIFY,
        .sections = " models images compute ",
        .take = take,
        .context = &output,
    };
    struct cli cli;
    struct work work;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count == 0)
        code = cli_misused(cli.command, "which photo?");
    else if (cli.params.target_count > 1)
        code = cli_misused(cli.command, "target can be given once");
    else
        code = output_open(&output, &cli);
    if (code < 0)
        code = work_open(&work, &cli);
    if (code < 0) {
        code = work_files(&work, &output, classify_photo, NULL);
        work_close(&work);
    }
    cli_close(&cli);
    return code;
}
