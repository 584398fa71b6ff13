/* The parameters of all routes: one table, from which the checks, the sentences of a refusal and /openapi.json are
 * made. The command line reads its flags --name by the same table, so that both mean the same.
 */
#ifndef APP_SETTINGS_PARAMS_H
#define APP_SETTINGS_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/infomask_mask.h"

/* Which routes take a parameter: bits. */
enum param_group {
    TAKES_NOTHING = 0,
    TAKES_CLASSIFY = 1,
    TAKES_MASK = 2,
    TAKES_FILTER = 4,
    TAKES_ANALYZE = 8,
    TAKES_SAMPLES = 16,      /* POST /v1/estimates/{id}/samples */
    TAKES_ESTIMATE = 32,     /* GET and POST /v1/estimates/{id} */
    TAKES_INFORMATION = 64,  /* GET /v1/models/{name}/information */
    TAKES_TRAIN = 128,       /* infomask train */
    TAKES_SUSPECTS = 256,    /* GET and POST /v1/estimates/{id}; the command line has a flag of its own */
    TAKES_PAGE = 512,        /* GET /v1/estimates */
    TAKES_INFER = TAKES_CLASSIFY | TAKES_MASK | TAKES_FILTER | TAKES_ANALYZE,
    TAKES_MAPS = TAKES_MASK | TAKES_FILTER | TAKES_ANALYZE,
    TAKES_TARGETS = TAKES_MAPS
};

/* How a value is read.  TEXT: low and high are lengths in bytes.  CHOICE: one of `words`, by index.  LIST: any of
 * `words` with commas between them, as bits.  The others are described by their sentence. */
enum param_type {
    PARAM_INTEGER,
    PARAM_NUMBER,
    PARAM_BOOL,
    PARAM_CHOICE,
    PARAM_LIST,
    PARAM_TEXT,
    PARAM_CLASS,      /* a class: index, label or alias; TEXT until a model is known */
    PARAM_PRIOR,      /* train, uniform, or numbers with commas */
    PARAM_THRESHOLD,  /* auto, otsu, max:V, nats:V, bits:V, share:V, window */
    PARAM_RESOLUTION, /* native or a side */
    PARAM_FILL        /* a name or #rrggbb */
};

/* X(ID, name, TYPE, low, high, words, default, GROUPS, description).  default "": none. */
#define PARAMS(X)                                                                                                      \
    X(MODEL, "model", TEXT, 1, 63, "", "", TAKES_INFER, "name of the model; by default the configured one")            \
    X(TOP_K, "top_k", INTEGER, 1, 1000000, "", "5", TAKES_CLASSIFY | TAKES_ANALYZE,                                    \
      "rows of predictions; at most the number of classes")                                                            \
    X(TARGET, "target", CLASS, 1, 255, "", "", TAKES_INFER,                                                            \
      "class by index, label or alias (label:2019 for a label made of digits), or group (group:NAME where a class "    \
      "has "                                                                                                           \
      "the name too); several times for masks of several; by default the best class")                                  \
    X(GROUPS, "groups", BOOL, 0, 0, "", "false", TAKES_CLASSIFY | TAKES_ANALYZE,                                       \
      "the groups of each prediction, and what the photo surely is")                                                   \
    X(UNITS, "units", CHOICE, 0, 0, "nats|bits", "nats",                                                               \
      TAKES_INFER | TAKES_ESTIMATE | TAKES_INFORMATION | TAKES_TRAIN,                                                  \
      "unit of every information, entropy and log-probability")                                                        \
    X(PRIOR, "prior", PRIOR, 0, 0, "", "train", TAKES_INFER | TAKES_ESTIMATE,                                          \
      "class prior: train (the model's), uniform, or one positive number for each class, with commas between them")    \
    X(SAMPLES, "samples", INTEGER, 0, 256, "", "0", TAKES_CLASSIFY, "noisy passes for the bounds under noise")         \
    X(SEED, "seed", INTEGER, 0, 9007199254740991, "", "0", TAKES_CLASSIFY | TAKES_FILTER | TAKES_ANALYZE,              \
      "seed of the noise and of random control regions")                                                               \
    X(ABSTAIN_BELOW, "abstain_below", NUMBER, 0, 1000, "", "", TAKES_CLASSIFY | TAKES_ANALYZE,                         \
      "information, in units, under which abstain is true")                                                            \
    X(QUALITY, "quality", CHOICE, 0, 0, "standard|middle|fast", "standard", TAKES_MAPS,                                \
      "preset of the mask: size of the pass and of its grid")                                                          \
    X(RESOLUTION, "resolution", RESOLUTION, 32, 16384, "", "", TAKES_MAPS,                                             \
      "native (the photo's own pixels), or the side of the square that has the pass's area")                           \
    X(METHOD, "method", CHOICE, 0, 0, "infocam|cam|infocam+|gradcam++|layercam|occlusion", "infocam", TAKES_MAPS,      \
      "how the map is made")                                                                                           \
    X(OCCLUSION_WINDOW, "occlusion_window", INTEGER, 1, 16384, "", "", TAKES_MAPS,                                     \
      "side, in pixels of the pass, of the window that occlusion paints; by default a quarter of the shorter side")    \
    X(OCCLUSION_STRIDE, "occlusion_stride", INTEGER, 1, 16384, "", "", TAKES_MAPS,                                     \
      "pixels from one window of occlusion to the next; by default an eighth of the shorter side")                     \
    X(REFINE, "refine", BOOL, 0, 0, "", "true", TAKES_MAPS, "the whole chain (true) or the bare map (false)")          \
    X(THRESHOLD, "threshold", THRESHOLD, 0, 1000, "", "auto", TAKES_MAPS,                                              \
      "rule of the mask: auto, otsu, max:SHARE, nats:VALUE, bits:VALUE, share:SHARE or window")                        \
    X(MIN_EVIDENCE, "min_evidence", NUMBER, 0, 1000, "", "", TAKES_MAPS,                                               \
      "largest window PMI, in units, under which there is nothing to mask; by default 0.29 log K nats, of a group at " \
      "most half of what can be said of it")                                                                           \
    X(SHADOW, "shadow", BOOL, 0, 0, "", "false", TAKES_MAPS, "the mask takes the target's shadow along")               \
    X(EDGE, "edge", CHOICE, 0, 0, "hard|soft", "hard", TAKES_MASK | TAKES_ANALYZE,                                     \
      "pixels of the mask 0 or 255, or at its edge what share of them is target")                                      \
    X(OUTPUT, "output", CHOICE, 0, 0, "mask|map|saliency|overlay", "mask", TAKES_MASK, "which picture")                \
    X(COLORMAP, "colormap", CHOICE, 0, 0, "viridis|magma|turbo|gray", "viridis", TAKES_MASK | TAKES_ANALYZE,           \
      "colours of the overlay")                                                                                        \
    X(OPACITY, "opacity", NUMBER, 0, 1, "", "0.6", TAKES_MASK | TAKES_ANALYZE,                                         \
      "of the overlay's colours where the map is largest; a third of it where the map is 0")                           \
    X(MASK_FORMAT, "format", CHOICE, 0, 0, "json|png|webp", "", TAKES_MASK,                                            \
      "form of the reply; by default as Accept says")                                                                  \
    X(FILTER_FORMAT, "format", CHOICE, 0, 0, "png|jpeg|webp|json", "", TAKES_FILTER,                                   \
      "form of the reply; by default as Accept says")                                                                  \
    X(MODE, "mode", CHOICE, 0, 0, "remove|keep|cutout", "remove", TAKES_FILTER | TAKES_ANALYZE,                        \
      "remove the target, keep only it, or cut it out: transparent around it, with a soft edge")                       \
    X(TRIM, "trim", BOOL, 0, 0, "", "false", TAKES_FILTER | TAKES_ANALYZE,                                             \
      "crop the picture of mode=cutout to the target's box")                                                           \
    X(FILL, "fill", FILL, 0, 0, "match|inpaint|diffuse|blur|mean|pixelate|transparent", "",                            \
      TAKES_FILTER | TAKES_ANALYZE,                                                                                    \
      "what comes in the place of removed pixels: a name or #rrggbb; by default the model's own, else match")          \
    X(FILL_SEED, "fill_seed", INTEGER, 0, 9007199254740991, "", "0", TAKES_FILTER | TAKES_ANALYZE,                     \
      "seed of fill=match")                                                                                            \
    X(DILATE, "dilate", NUMBER, 0, 100, "", "", TAKES_FILTER | TAKES_ANALYZE,                                          \
      "pixels that the mask grows, for a photo of longest side 224, scaled with it; by default 7 for fill=match, "     \
      "else 3")                                                                                                        \
    X(FEATHER, "feather", NUMBER, 0, 1000, "", "0", TAKES_FILTER | TAKES_ANALYZE, "pixels of soft edge")               \
    X(UNTIL, "until", NUMBER, -1000, 1000, "", "", TAKES_FILTER | TAKES_ANALYZE,                                       \
      "residual information, in units, at which the target counts as removed; by default the verdict's own rule")      \
    X(MAX_PASSES, "max_passes", INTEGER, 1, 10, "", "3", TAKES_FILTER | TAKES_ANALYZE, "rounds at most")               \
    X(MAX_AREA, "max_area", NUMBER, 0, 1, "", "0.6", TAKES_FILTER | TAKES_ANALYZE,                                     \
      "share of the photo over which no more is removed")                                                              \
    X(INCLUDE, "include", LIST, 0, 0, "mask|overlay|saliency|image", "", TAKES_ANALYZE,                                \
      "pictures in the reply, with commas between them")                                                               \
    X(LABEL, "label", CLASS, 1, 255, "", "", TAKES_SAMPLES, "class of the uploaded photo")                             \
    X(BASELINE, "baseline", TEXT, 1, 255, "", "", TAKES_INFORMATION,                                                   \
      "estimate (id or name) of labelled photos that the traffic is compared with; by default the largest")            \
    X(SUSPECTS, "suspects", INTEGER, 0, 100000, "", "50", TAKES_SUSPECTS, "how many of the lowest samples are listed") \
    X(LIMIT, "limit", INTEGER, 1, 1000, "", "100", TAKES_PAGE, "how many are listed at most")                          \
    X(AFTER, "after", INTEGER, 0, 9007199254740991, "", "0", TAKES_PAGE,                                               \
      "where the list goes on: next of the page before")                                                               \
    X(SAMPLE, "sample", TEXT, 1, 1024, "", "", TAKES_SAMPLES, "the sample's id; a repeated one is not counted again")

enum param_id {
#define PARAM_ENUM(id, name, type, low, high, words, value, groups, text) PARAM_ID_##id,
    PARAMS(PARAM_ENUM)
#undef PARAM_ENUM
    PARAM_COUNT
};

struct param_info {
    const char *name;
    enum param_type type;
    double low, high;
    const char *words, *value, *description; /* value: the default */
    unsigned groups;
};
const struct param_info *param_info(enum param_id id);

struct param_value {
    bool given;       /* false: the default */
    int64_t integer;  /* INTEGER, CHOICE's index, LIST's bits, BOOL */
    double number;    /* NUMBER, INTEGER; NAN where neither given nor a default */
    const char *text; /* as it was sent; borrowed; NULL where not given and without default */
};

#define PARAMS_MAX_TARGETS 16

struct params {
    struct param_value value[PARAM_COUNT];
    const char *targets[PARAMS_MAX_TARGETS]; /* `target` each time it was given */
    int target_count;
};

/* All defaults. */
void params_init(struct params *params);

/* Sets one.  name and value: NUL-terminated UTF-8, decoded; value must live as long as params, NULL leaves the
 * parameter as it is, if there is one of that name.  group: one bit.
 * ARGUMENT with a sentence that names the parameter and its range ("top_k must be an integer from 1 to 1000000, not
 * \"x\""), the parameters that there are, or that it was given twice. */
enum infomask_status params_set(struct params *params, unsigned group, const char *name, const char *value,
                                struct infomask_error *err) __attribute__((warn_unused_result));

/* What a value must be ("an integer from 1 to 10"), for sentences; returns its length, as snprintf. */
int param_range_text(enum param_id id, char *text, size_t size);
/* THRESHOLD: its rule and value (nats or a share).  FILL: the bytes of #rrggbb.  False: it is not one. */
bool param_threshold(const char *text, enum infomask_threshold_rule *rule, double *value);
bool param_color(const char *text, uint8_t color[3]);

#endif
