/* What the files of `infomask train` share. */
#ifndef CLI_TRAIN_TRAIN_H
#define CLI_TRAIN_TRAIN_H

#include "app/json/json.h"
#include "app/model/models.h"
#include "cli/arguments.h"
#include "cli/estimate/estimate.h"
#include "cli/read/photo_list.h"
#include "cli/read/rejected.h"
#include "core/infomask_lab.h"
#include "core/infomask_train.h"

#define TRAIN_VIEWS 6 /* of a photo at most */

struct train_options {
    const char *images, *held_out, *backbone; /* a head: folders of photos, the network whose features it sees */
    const char *name;                         /* of the model folder, or its path */
    const char *augment;
    const char *arch, *data;                  /* a network from scratch: its layers, what it learns from */
    struct infomask_train_options network;    /* its numbers; other members are filled later */
    int size;                                 /* side of photos as the network sees them */
    bool gray, resume, group_by_folder;
    double held_out_share;
    const char *checkpoint, *log, *report;
    bool pc_softmax, shuffle_labels, replace, no_cache, json, quiet;
    uint64_t seed;
    const char *command;                      /* the words of the command line */
};

/* Photos as the network's features.  Those that are kept have the places 0 to count - 1 of every array. */
struct train_photos {
    struct photo_list list;
    float *x;                /* [count][views][features]; owned, as the rest */
    uint32_t *labels;
    char (*sha)[65];         /* of the file's bytes */
    size_t views, features;
    struct rejected_list rejected; /* in the order of the list; code: "duplicate" among them */
    size_t duplicates, from_cache;
};

/* The looks of --augment: "flip", "crop", "flip,crop"; NULL: the photo alone.  False for another word. */
bool train_looks(const char *augment, struct infomask_look looks[TRAIN_VIEWS], size_t *count);

/* Reads every photo of the list through the network, in parallel, what the cache has from there; leaves bad ones and
 * the second of two alike out, says so on standard error, and moves the others together.  The list is the photos' then.
 */
struct train_source {
    const struct cli *cli;
    const struct train_options *options;
    struct model *backbone;
    struct pool *pool;
};
enum infomask_status train_photos_read(struct train_photos *photos, const struct train_source *source,
                                       const struct infomask_look *looks, size_t views, struct infomask_error *err)
    __attribute__((warn_unused_result));
void train_photos_fini(struct train_photos *photos);
/* Leaves photo i (still in its place) out, with a reason. */
void train_photos_reject(struct train_photos *photos, size_t i, const char *code, const char *detail, bool quiet);
/* Moves what is not marked to the front. */
void train_photos_keep(struct train_photos *photos, const bool *out);

/* What held-out logits say: the report, its limits and the suspects of an estimate. */
struct train_measured {
    const struct train_photos *photos; /* ids and labels */
    const float *logits;               /* [photos][classes] */
    const struct class_names *names;
    const double *prior, *logit_prior; /* [classes]; logit_prior NULL: uniform */
    const uint32_t *groups;            /* [photos] that were kept together, units of the limit; NULL: each by itself */
};
enum infomask_status train_measure(struct estimate_state *state, const struct train_measured *measured, size_t suspects,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
/* A few numbers of it, as an object; the whole of it as text. */
void train_put_summary(struct json_writer *writer, const char *key, const struct estimate_state *state);
int train_print_state(const struct cli *cli, const struct estimate_state *state, enum view_units units);

/* ---- The two kinds ----------------------------------------------------------------------------------------------- */

/* Each does its kind of training and returns an exit code; what failed was said on standard error. */
int train_head(const struct cli *cli, const struct train_options *options);
int train_network(const struct cli *cli, const struct train_options *options);

/* ---- Data for networks from scratch ------------------------------------------------------------------------------ */

struct train_set {
    struct infomask_pictures train, held_out;
    struct class_names names;
    float mean, std; /* of the bytes, as the network wants them normalised */
    bool canvas;     /* IDX files: small drawings, not photos */
    double truth;    /* I(X;Y) where it is known, nats; else NAN */
};
/* --data: "mnist", "fashion", "task:NAME" (a synthetic task of known information, its numbers as bytes), a folder with
 * the four IDX files of such a set, "IMAGES,LABELS" (IDX files), or folders of photos; what has no held-out part of its
 * own (nor --held-out) is split. */
enum infomask_status train_set_read(struct train_set *set, const struct cli *cli, const struct train_options *options,
                                    struct pool *pool, struct infomask_error *err) __attribute__((warn_unused_result));
void train_set_fini(struct train_set *set);

#endif
