/* infomask train: a network's classes become one's own. */
#include "cli/train/train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum {
    FLAG_IMAGES = 300,
    FLAG_HELD_OUT,
    FLAG_BACKBONE,
    FLAG_NAME,
    FLAG_OBJECTIVE,
    FLAG_AUGMENT,
    FLAG_SEED,
    FLAG_SHUFFLE,
    FLAG_REPLACE,
    FLAG_NO_CACHE,
    FLAG_JSON,
    FLAG_QUIET,
    FLAG_ARCH,
    FLAG_DATA,
    FLAG_SIZE,
    FLAG_GRAY,
    FLAG_SHARE,
    FLAG_EPOCHS,
    FLAG_BATCH,
    FLAG_OPTIMISER,
    FLAG_SCHEDULE,
    FLAG_RATE,
    FLAG_MOMENTUM,
    FLAG_DECAY,
    FLAG_SMOOTHING,
    FLAG_CHECKPOINT,
    FLAG_RESUME,
    FLAG_GROUP_BY,
    FLAG_LOG,
    FLAG_REPORT,
    FLAG_KEEP_NORMS
};

/* What made the digits model: all-convolutional, with a class map. */
static const char default_arch[] = "conv3x3:24,bn,relu,conv3x3:32/2,bn,relu,conv3x3:48,bn,relu,conv3x3:64/2,bn,relu,"
                                   "conv3x3:96,bn,relu,gap,dropout:0.2";

static const struct cli_flag flags[] = {
    {FLAG_IMAGES, "images", "FOLDER", "photos, one subfolder a class; its name becomes the class's"},
    {FLAG_NAME, "name", "NAME", "of the model folder that is made, below models_dir; with a / its path"},
    {FLAG_HELD_OUT, "held-out", "FOLDER",
     "further photos of the same classes, which are only measured on (or --data's forms)"},
    {FLAG_BACKBONE, "backbone", "MODEL", "the network whose features are used; default the default model"},
    {FLAG_OBJECTIVE, "objective", "NAME", "softmax (default) or pc-softmax: is the prior inside the logits or not"},
    {FLAG_AUGMENT, "augment", "LIST",
     "flip, crop: also learn from mirrored photos, from other crops; from scratch: flip, "
     "shift=PIXELS, rotate=DEGREES, scale=SHARE"},
    {FLAG_GROUP_BY, "group-by", "folder",
     "photos of one folder below their class's (a person, a video) are never parted"},
    {FLAG_SEED, "seed", "N", "of everything drawn; default 0"},
    {FLAG_SHUFFLE, "shuffle-labels", NULL, "a control: deal the labels anew; nothing can be learnt then"},
    {FLAG_DATA, "data", "DATA",
     "from scratch: mnist, fashion, task:NAME, a folder of photos or of IDX files, or IMAGES,LABELS"},
    {FLAG_ARCH, "arch", "LAYERS", "its layers (docs/training.md), e.g. conv3x3:32,bn,relu,max2/2,gap,dropout:0.2"},
    {FLAG_SIZE, "size", "PIXELS", "side of photos as it sees them; default 32"},
    {FLAG_GRAY, "gray", NULL, "it sees photos without colour"},
    {FLAG_SHARE, "held-out-share", "SHARE", "of data without a held-out part; default 0.2"},
    {FLAG_EPOCHS, "epochs", "N", "default 10"},
    {FLAG_BATCH, "batch", "N", "default 128"},
    {FLAG_OPTIMISER, "optimiser", "NAME", "adamw (default) or sgd"},
    {FLAG_SCHEDULE, "schedule", "NAME", "cosine (default), one-cycle or constant"},
    {FLAG_RATE, "rate", "RATE", "peak learning rate; default 0.002 for adamw, 0.1 for sgd"},
    {FLAG_MOMENTUM, "momentum", "M", "of sgd; default 0.9"},
    {FLAG_DECAY, "weight-decay", "D", "default 0.01 for adamw, 0.0005 for sgd"},
    {FLAG_SMOOTHING, "label-smoothing", "EPS", "undone again whenever information is measured; default 0"},
    {FLAG_CHECKPOINT, "checkpoint", "FILE", "written after every epoch; default in the state folder"},
    {FLAG_RESUME, "resume", NULL, "go on from the checkpoint; the result has the bits of a run that was not stopped"},
    {FLAG_LOG, "log", "FILE", "one line of JSON an epoch"},
    {FLAG_REPORT, "report", "FOLDER", "a page with the curves, and the curves as SVG"},
    {FLAG_KEEP_NORMS, "keep-norms", NULL, "write BatchNorm as it is, instead of into the convolution before it"},
    {FLAG_REPLACE, "replace", NULL, "make a model folder of that name anew"},
    {FLAG_NO_CACHE, "no-cache", NULL, "neither use nor keep features in the state folder"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
    {FLAG_QUIET, "quiet", NULL, "no progress bar, and do not name the photos that are left out"},
};

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, double low, double high, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= low && *value <= high;
}

static bool read_count(const char *text, int low, int high, int *value)
{
    double number;

    if (!read_number(text, low, high, &number) || number != (int)number)
        return false;
    *value = (int)number;
    return true;
}

/* "shift=2,rotate=10,scale=0.1,flip" */
static bool read_augment(const char *text, struct infomask_train_options *network)
{
    char item[32], *end;

    for (; *text != '\0'; text += *text == ',') {
        size_t length = strcspn(text, ",");
        double value = 0;
        (void)snprintf(item, sizeof item, "%.*s", (int)length, text);
        text += length;
        end = strchr(item, '=');
        if (end != NULL) {
            *end = '\0';
            if (!read_number(end + 1, 0, 180, &value))
                return false;
        }
        if (strcmp(item, "flip") == 0 && end == NULL)
            network->augment_flip = true;
        else if (strcmp(item, "shift") == 0 && value == (int)value)
            network->augment_shift = (int)value;
        else if (strcmp(item, "rotate") == 0)
            network->augment_rotate = value;
        else if (strcmp(item, "scale") == 0 && value < 1)
            network->augment_scale = value;
        else
            return false;
    }
    return true;
}

static bool take_choice(struct train_options *o, int letter, const char *value)
{
    char *end;

    switch (letter) {
    case FLAG_OBJECTIVE:
        o->pc_softmax = strcmp(value, "pc-softmax") == 0;
        return o->pc_softmax || strcmp(value, "softmax") == 0;
    case FLAG_OPTIMISER:
        o->network.sgd = strcmp(value, "sgd") == 0;
        return o->network.sgd || strcmp(value, "adamw") == 0;
    case FLAG_GROUP_BY:
        o->group_by_folder = true;
        return strcmp(value, "folder") == 0;
    case FLAG_SCHEDULE:
        o->network.schedule = value;
        return strcmp(value, "cosine") == 0 || strcmp(value, "one-cycle") == 0 || strcmp(value, "constant") == 0;
    case FLAG_SEED:
        errno = 0;
        o->seed = strtoull(value, &end, 10);
        return value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
    default:
        return false;
    }
}

static bool take_number(struct train_options *o, int letter, const char *value)
{
    struct infomask_train_options *network = &o->network;

    switch (letter) {
    case FLAG_SIZE:
        return read_count(value, 8, 1024, &o->size);
    case FLAG_SHARE:
        return read_number(value, 0.01, 0.9, &o->held_out_share);
    case FLAG_EPOCHS:
        return read_count(value, 1, 10000, &network->epochs);
    case FLAG_BATCH:
        return read_count(value, 1, 4096, &network->batch);
    case FLAG_RATE:
        return read_number(value, 1e-9, 100, &network->rate);
    case FLAG_MOMENTUM:
        return read_number(value, 0, 0.9999, &network->momentum);
    case FLAG_DECAY:
        return read_number(value, 0, 10, &network->weight_decay);
    case FLAG_SMOOTHING:
        return read_number(value, 0, 0.9, &network->label_smoothing);
    default:
        return take_choice(o, letter, value);
    }
}

/* Where a flag's text goes as it is; NULL: it is no such flag. */
static const char **text_of(struct train_options *o, int letter)
{
    switch (letter) {
    case FLAG_IMAGES:
        return &o->images;
    case FLAG_HELD_OUT:
        return &o->held_out;
    case FLAG_BACKBONE:
        return &o->backbone;
    case FLAG_NAME:
        return &o->name;
    case FLAG_AUGMENT:
        return &o->augment;
    case FLAG_ARCH:
        return &o->arch;
    case FLAG_DATA:
        return &o->data;
    case FLAG_CHECKPOINT:
        return &o->checkpoint;
    case FLAG_LOG:
        return &o->log;
    case FLAG_REPORT:
        return &o->report;
    default:
        return NULL;
    }
}

static bool *switch_of(struct train_options *o, int letter)
{
    switch (letter) {
    case FLAG_SHUFFLE:
        return &o->shuffle_labels;
    case FLAG_REPLACE:
        return &o->replace;
    case FLAG_NO_CACHE:
        return &o->no_cache;
    case FLAG_JSON:
        return &o->json;
    case FLAG_QUIET:
        return &o->quiet;
    case FLAG_GRAY:
        return &o->gray;
    case FLAG_RESUME:
        return &o->resume;
    case FLAG_KEEP_NORMS:
        return &o->network.keep_norms;
    default:
        return NULL;
    }
}

static bool take(void *context, int letter, const char *value)
{
    struct train_options *o = context;
    const char **text = text_of(o, letter);
    bool *on = switch_of(o, letter);

    if (text != NULL)
        *text = value;
    else if (on != NULL)
        *on = true;
    else if (!take_number(o, letter, value)) {
        (void)cli_misused("train", "\"%s\" is not a value of that option; see --help", value);
        return false;
    }
    return true;
}

/* --augment means one thing for features and another from scratch. */
static bool check_augment(struct train_options *o)
{
    struct infomask_look looks[TRAIN_VIEWS];
    size_t count;

    if (o->augment == NULL)
        return true;
    return o->data != NULL ? read_augment(o->augment, &o->network)
                           : o->augment[0] != '\0' && train_looks(o->augment, looks, &count);
}

static int check(struct train_options *o, const struct cli *cli)
{
    if (o->group_by_folder && o->images == NULL)
        return cli_misused(cli->command,
                           "--group-by is of --images; a network from scratch takes its held-out part from --held-out");
    if ((o->images == NULL) == (o->data == NULL))
        return cli_misused(cli->command, "one of --images (a head on a network's features) and --data (a network from "
                           "scratch) is needed");
    if (o->data == NULL && (o->arch != NULL || o->log != NULL || o->report != NULL || o->resume))
        return cli_misused(cli->command, "--arch, --log, --report and --resume are of networks from scratch: --data");
    if (!check_augment(o))
        return cli_misused(cli->command, "\"%s\" is not a value of --augment here; see --help", o->augment);
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
    struct train_options options = {.network = infomask_default_train_options(), .arch = NULL, .size = 32,
                                    .held_out_share = 0.2};
    const struct cli_spec spec = {
        .usage = "train [OPTION]... --images FOLDER --name NAME\n"
                 "       infomask train [OPTION]... --data DATA [--arch LAYERS] --name NAME",
        .about = "Teaches a network classes of one's own by maximising log-softmax, and measures on what it did not "
                 "see how\n"
                 "much information about the class it then has: a head on the features of a trained network "
                 "(--images), or a\n"
                 "network from scratch (--data).  What comes out is a model folder: classify, mask, filter and serve "
                 "take it\n"
                 "as they take any other.",
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
        if (options.arch == NULL)
            options.arch = default_arch;
        if (code < 0)
            code = options.data == NULL ? train_head(&cli, &options) : train_network(&cli, &options);
        cli_close(&cli);
    }
    free(words);
    return code;
}
