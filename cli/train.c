/* infomask train: a network's classes become one's own. */
#include "cli/train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { FLAG_IMAGES = 300, FLAG_HELD_OUT, FLAG_BACKBONE, FLAG_NAME, FLAG_OBJECTIVE, FLAG_AUGMENT, FLAG_SEED, FLAG_SHUFFLE,
       FLAG_REPLACE, FLAG_NO_CACHE, FLAG_JSON, FLAG_QUIET };

static const struct cli_flag flags[] = {
    {FLAG_IMAGES, "images", "FOLDER", "photos, one subfolder a class; its name becomes the class's"},
    {FLAG_NAME, "name", "NAME", "of the model folder that is made, below models_dir; with a / its path"},
    {FLAG_HELD_OUT, "held-out", "FOLDER", "further photos of the same classes, which are only measured on"},
    {FLAG_BACKBONE, "backbone", "MODEL", "the network whose features are used; default the default model"},
    {FLAG_OBJECTIVE, "objective", "NAME", "softmax (default) or pc-softmax: is the prior inside the logits or not"},
    {FLAG_AUGMENT, "augment", "LIST", "flip, crop: also learn from mirrored photos, from other crops"},
    {FLAG_SEED, "seed", "N", "of the folds; default 0"},
    {FLAG_SHUFFLE, "shuffle-labels", NULL, "a control: deal the labels anew; nothing can be learnt then"},
    {FLAG_REPLACE, "replace", NULL, "make a model folder of that name anew"},
    {FLAG_NO_CACHE, "no-cache", NULL, "neither use nor keep features in the state folder"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
    {FLAG_QUIET, "quiet", NULL, "no progress bar, and do not name the photos that are left out"},
};

static bool take_choice(struct train_options *o, int letter, const char *value)
{
    struct infomask_look looks[TRAIN_VIEWS];
    size_t count;
    char *end;

    switch (letter) {
    case FLAG_OBJECTIVE:
        o->pc_softmax = strcmp(value, "pc-softmax") == 0;
        return o->pc_softmax || strcmp(value, "softmax") == 0;
    case FLAG_AUGMENT:
        o->augment = value;
        return value[0] != '\0' && train_looks(value, looks, &count);
    case FLAG_SEED:
        errno = 0;
        o->seed = strtoull(value, &end, 10);
        return value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
    default:
        return false;
    }
}

static bool take(void *context, int letter, const char *value)
{
    struct train_options *o = context;

    switch (letter) {
    case FLAG_IMAGES:
        o->images = value;
        return true;
    case FLAG_HELD_OUT:
        o->held_out = value;
        return true;
    case FLAG_BACKBONE:
        o->backbone = value;
        return true;
    case FLAG_NAME:
        o->name = value;
        return true;
    case FLAG_SHUFFLE:
        return (o->shuffle_labels = true);
    case FLAG_REPLACE:
        return (o->replace = true);
    case FLAG_NO_CACHE:
        return (o->no_cache = true);
    case FLAG_JSON:
        return (o->json = true);
    case FLAG_QUIET:
        return (o->quiet = true);
    default:
        if (take_choice(o, letter, value))
            return true;
        (void)cli_misused("train", "\"%s\" is not a value of that option; see --help", value);
        return false;
    }
}

static int check(const struct train_options *o, const struct cli *cli)
{
    if (o->images == NULL)
        return cli_misused(cli->command, "--images is needed");
    if (o->name == NULL)
        return cli_misused(cli->command, "--name is needed: what the new model is called");
    if (cli->operand_count > 0)
        return cli_misused(cli->command, "\"%s\" is not an option", cli->operands[0]);
    return -1;
}

/* "infomask train --images ..." for the model's papers; malloc'ed. */
static char *words_of(int argc, char **argv)
{
    char *text = NULL;
    size_t size;
    FILE *words = open_memstream(&text, &size);

    if (words == NULL)
        return NULL;
    (void)fprintf(words, "infomask");
    for (int i = 0; i < argc; i++)
        (void)fprintf(words, " %s", argv[i]);
    return fclose(words) == 0 ? text : NULL;
}

int cmd_train(int argc, char **argv)
{
    struct train_options options = {0};
    const struct cli_spec spec = {
        .usage = "train [OPTION]... --images FOLDER --name NAME",
        .about = "Teaches a network classes of one's own by maximising log-softmax, and measures on photos that it did not\n"
                 "see how much information about the class it then has.  What comes out is a model folder: classify, mask,\n"
                 "filter and serve take it as they take any other.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_TRAIN,
        .sections = " models images compute state ",
        .take = take,
        .context = &options,
    };
    struct cli cli;
    char *words = words_of(argc, argv);
    int code = cli_open(&cli, &spec, argc, argv);

    options.command = words;
    if (code < 0) {
        code = check(&options, &cli);
        if (code < 0)
            code = train_head(&cli, &options);
        cli_close(&cli);
    }
    free(words);
    return code;
}
