/* infomask classify: what /v1/classify answers, for files. */
#include "cli/batch/batch.h"
#include "cli/batch/photos.h"
#include "cli/batch/plain.h"
#include "cli/cli.h"
#include "cli/work.h"

static const struct cli_flag flags[] = {
    OUTPUT_FLAGS("write there instead of to standard output: JSON, JSON lines (.jsonl) or text (.txt)"),
};

static const struct output_spec output_spec = {
    .noun = "what classify says", .piped = OUTPUT_JSON, .at_terminal = OUTPUT_TEXT, .format = OUTPUT_FORMS};

static bool take(void *context, int letter, const char *value)
{
    return output_take(context, letter, value);
}

struct classifying {
    int name_width; /* columns */
    bool rows_given;
};

static enum infomask_status classify_photo(struct work *work, struct batch_item *item, void *context,
                                           struct infomask_error *err)
{
    const struct classifying *classifying = context;
    struct view_classify_options view = ask_view_classify(&work->ask);
    struct shot shot;
    enum infomask_status status = shot_open(work, item->session, item->path, false, &shot, err);

    if (status != INFOMASK_OK)
        return status;
    shot.head.file = item->output->many ? item->path : NULL;
    if (item->text != NULL) {
        struct plain_classify_options plain = {&view, item->output->many && !classifying->rows_given ? 1 : view.top_k,
                                               classifying->name_width};
        plain_classify(item->text, item->path, &shot.head, &shot.classification, &plain);
    } else {
        view_classify(&item->writer, NULL, &shot.head, &shot.classification, &view);
    }
    shot_close(&shot);
    return INFOMASK_OK;
}

static int classify(struct cli *cli, struct output *output, struct photos *photos)
{
    struct classifying classifying = {photos_name_width(photos), cli->params.value[PARAM_ID_TOP_K].given};
    struct work work;
    int code = work_open(&work, cli);

    if (code >= 0)
        return code;
    code = batch_run(&work, photos, output, classify_photo, &classifying);
    work_close(&work);
    return code;
}

int cmd_classify(int argc, char **argv)
{
    struct output output = {0};
    const struct cli_spec spec = {
        .usage = "classify [OPTION]... FILE|FOLDER...",
        .about = "Tells the class of each photo, its probability and its information; - is standard input, and of a\n"
                 "folder it is every photo below it.  On a terminal that is a line with a bar, elsewhere JSON: the\n"
                 "service's object, for several photos {\"results\": [...]}, or with --jsonl a line for each.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_CLASSIFY,
        .sections = " models images compute ",
        .take = take,
        .context = &output,
    };
    struct photos photos = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.params.target_count > 1)
        code = cli_misused(cli.command, "target can be given once");
    else
        code = batch_list(&photos, &cli, &output, &output_spec);
    if (code < 0)
        code = classify(&cli, &output, &photos);
    photos_close(&photos);
    cli_close(&cli);
    return code;
}
