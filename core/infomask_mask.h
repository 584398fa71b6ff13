/* Masks: which part of a photo carries the information about a class, and the photo with that part filled in
 * (docs/masks.md).
 *
 * Nats, statuses and thread rule as in infomask.h.
 */
#ifndef INFOMASK_INFOMASK_MASK_H
#define INFOMASK_INFOMASK_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/infomask.h"

/* ---- Masks ------------------------------------------------------------------------------------------------------- */

enum infomask_method {
    INFOMASK_INFOCAM,
    INFOMASK_CAM,
    INFOMASK_INFOCAM_PLUS,
    INFOMASK_GRADCAM_PLUS_PLUS,
    INFOMASK_LAYERCAM,
    INFOMASK_OCCLUSION
};
#define INFOMASK_METHODS 6
const char *infomask_method_name(enum infomask_method method); /* "infocam", ..., "occlusion" */
/* Does a model make maps by this method?  NULL: yes; else the reason, half a sentence (a constant). */
const char *infomask_why_not(const struct infomask_model_info *info, enum infomask_method method);
enum infomask_quality { INFOMASK_STANDARD, INFOMASK_MIDDLE, INFOMASK_FAST };

struct infomask_mask_options {
    const int *targets; /* classes or groups; NULL with count 0: the best class of the classification */
    int target_count;
    struct infomask_prior prior;
    enum infomask_method method;
    enum infomask_quality quality;
    int resolution;     /* 0: by quality; -1: native; else the side */
    bool no_refine;
    enum infomask_threshold_rule threshold;
    double threshold_value;
    bool threshold_given; /* false: the model folder's rule */
    double min_evidence;  /* nats; NAN: the model's, of a group at most half of -log t(G) */
    int occlusion_window, occlusion_stride; /* pixels of the view; 0: a quarter and an eighth of its side */
    /* [height, width] of the photo, not 0 where the target is: a mask of the caller's own, taken as it is.  No evidence
     * is asked for, nothing is refined; a filter makes one round of it, whatever its area.  NULL: the chain makes one
     */
    const uint8_t *given;
    bool shadow; /* the mask takes along what lies in the target's shadow */
};
struct infomask_mask_options infomask_default_mask_options(void);

struct infomask_box {
    int x, y, width, height; /* photo pixels */
};

struct infomask_object {
    int x, y, width, height; /* photo pixels */
    double area;             /* share of the photo */
    int peak_x, peak_y;      /* the most informative pixel */
    double information_share;
};

/* One target's map; of several targets there is one each. */
struct infomask_map {
    int target;
    double probability, pmi;       /* of the classification pass (the model's own crop) */
    int rows, columns;
    double *cells;                 /* [rows, columns] nats per cell (other methods: their own unit); owned */
    double mean, map_pmi;          /* mean of the cells; PMI of the pass that made the map */
    double largest_window_pmi;     /* NAN without a pooled head */
};

struct infomask_mask {
    int width, height;             /* of the photo */
    enum infomask_method method;
    int map_count;
    struct infomask_map *maps;     /* in the order of the targets; owned */
    bool empty;                    /* nothing there, nothing masked */
    enum infomask_threshold_rule rule;
    double threshold;              /* in the unit of the rule */
    double area;                   /* share of the photo's pixels that are masked */
    double information_share;      /* of the positive information, inside the mask */
    uint8_t *pixels;               /* [height, width] 0 or 255; owned */
    struct infomask_object *objects;
    int object_count;
    struct infomask_saliency *saliency; /* opaque, at working size; owned */
    struct infomask_timing timing;
};
void infomask_mask_fini(struct infomask_mask *mask);

/* classification: of the same photo, session and prior (its pmi and probability go into the maps). */
enum infomask_status infomask_mask(struct infomask_session *session, struct infomask_photo *photo,
                                   const struct infomask_classification *classification,
                                   const struct infomask_mask_options *options, struct infomask_mask *mask,
                                   struct infomask_error *err) __attribute__((warn_unused_result));

/* A mask of somebody's own for this photo, from a picture of the same size as shown: pixels [height, width] (malloc'ed)
 * is 255 where it is neither black nor transparent, else 0.  ARGUMENT, with both sizes, for another size. */
enum infomask_status infomask_own_mask(const struct infomask_photo *photo, const void *bytes, size_t size,
                                       uint8_t **pixels, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The largest square side that `resolution` may ask of this model. */
int infomask_largest_resolution(struct infomask_model *model, const struct infomask_photo *photo);

enum infomask_picture {
    INFOMASK_PICTURE_MASK,
    INFOMASK_PICTURE_MAP,
    INFOMASK_PICTURE_SALIENCY,
    INFOMASK_PICTURE_OVERLAY
};

struct infomask_picture_options {
    enum infomask_picture picture;
    const char *colormap; /* "viridis", "magma", "turbo", "gray"; NULL: viridis */
    double unit;          /* 1: nats, 1 / ln 2: bits (scale and offset of MAP, the legend of OVERLAY) */
    bool soft;            /* MASK: pixels at the edge say how much of them is target; needs the photo */
    double opacity;       /* 0..1, of OVERLAY's colours where the map is largest; a third of it where the map is 0 */
    enum infomask_format
        format; /* default PNG; WEBP for MASK (lossless) and OVERLAY (quality 90), whose samples have 8 bits */
};

/* A picture of exactly the photo's size.  OVERLAY needs the photo. */
enum infomask_status infomask_mask_picture(const struct infomask_mask *mask, struct infomask_photo *photo,
                                       const struct infomask_picture_options *options,
                                       struct infomask_encoded *encoded, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- Filtering --------------------------------------------------------------------------------------------------- */

struct infomask_filter_options {
    struct infomask_mask_options mask;
    bool keep;           /* keep only the target */
    bool cutout; /* beside keep: transparent around it, its edge soft (RGBA, no JPEG); fill and feather do not matter */
    bool trim;           /* of a cutout: the picture is cropped to what is not transparent, after it was verified */
    enum infomask_fill fill; /* default INFOMASK_OWN_FILL */
    uint8_t color[3];    /* INFOMASK_COLOR */
    double dilate;       /* pixels at longest side 224, scaled with the photo; NAN, the default: 7 for INFOMASK_MATCH,
                            whose copies would go on with what the mask has missed, else 3 */
    double feather;      /* pixels; default 0 */
    double until;        /* residual PMI in nats at which the target counts as removed; NAN: the verdict's own rule */
    int max_passes;      /* rounds at most; default 3 */
    double max_area;     /* default 0.6; a mask that is given may have more */
    enum infomask_format format; /* default PNG; JPEG and WEBP at quality 90 */
    uint64_t seed;       /* of the random control region */
    uint64_t fill_seed;  /* of INFOMASK_MATCH */
};
struct infomask_filter_options infomask_default_filter_options(void);

/* What became of a target (docs/masks.md).  REMOVED: its place says no more than what surrounds it, and the whole has
 * lost it; WEAKENED: less is left than before and than after a random region's removal; FAILED: neither. */
enum infomask_verdict { INFOMASK_NO_VERDICT, INFOMASK_FAILED, INFOMASK_WEAKENED, INFOMASK_REMOVED };
const char *infomask_verdict_name(enum infomask_verdict verdict); /* "failed", ...; NULL for NO_VERDICT */

/* Why it is that verdict; the numbers that it speaks of are in the verification. */
enum infomask_reason {
    INFOMASK_NOTHING,    /* no verdict: an empty mask, or the target was never there (pmi_before <= 0) */
    INFOMASK_NO_ROOM,    /* no verdict: the mask, once grown, is over max_area however small it is made */
    INFOMASK_KEPT,       /* no verdict: the target was to stay */
    INFOMASK_NOTHING_KEPT, /* the same of an empty mask: the photo stays as it was */
    INFOMASK_GONE,       /* removed: the place says no more than its surroundings, and the whole has lost it */
    INFOMASK_UNDER_LIMIT,/* removed: at most `until` is left */
    INFOMASK_NO_PMI,     /* removed, under a sigmoid or without a pooled head: pmi_after <= 0 */
    INFOMASK_ROSE,       /* pmi_after is not below pmi_before */
    INFOMASK_PLACE,      /* the place itself still tells */
    INFOMASK_REST,       /* the rest of the photo still tells */
    INFOMASK_WINDOW,     /* some window of the photo still tells */
    INFOMASK_FIRST,      /* the target is still the best class */
    INFOMASK_WHOLE,      /* the whole photo still tells */
    INFOMASK_OVER_LIMIT, /* more than `until` is left */
    INFOMASK_NO_PLACE,   /* the mask is under half a cell: there is no place to ask */
    INFOMASK_SCATTERED   /* the mask is spread over the photo: its place is no other than its surroundings */
};

/* One round, as one target sees it.  region_... and context_... are the PMI of the head on the mean features of the
 * cells under the mask, and of those beside it, in the pass of the whole photo; NAN: too few such cells, or no pooled
 * head. */
struct infomask_round {
    double area, pmi_after, map_pmi_after, probability_after;
    double region_pmi_before, region_pmi_after, context_pmi_before, context_pmi_after;
    /* Of the mask's 5 x 5 windows of cells, in the pass of what is returned; evidence: how much of it would be masked.
     * NAN without a pooled head. */
    double largest_window_pmi_after, evidence;
    double apart; /* how far the mask has cells of its own: 1 wholly, 0 not at all; NAN: it, or the rest, has too few */
    int looks; /* passes that region, context and largest window after are means of: 1; near the verdict's edge 3 */
    int rank_after;                /* 1: still the best class */
    double random_area_pmi_after;  /* NAN: not asked for in this round */
    enum infomask_verdict verdict;
    enum infomask_reason reason;
    double least_area;             /* NO_ROOM: what the smallest part of the mask covers once grown, a share */
    bool returned;                 /* the round whose picture is the answer */
    bool preview;                  /* looked at on a small copy only: its picture was never made in full */
};

/* A cell that still tells: its pixels of the photo, and its nats in the pass of the filtered picture. */
struct infomask_telling {
    int row, column;
    int x, y, width, height;
    double information;
};
#define INFOMASK_TELLING 3

struct infomask_verification { /* one a target; pmi as infomask_classify answers for the photo and the returned bytes */
    int target;
    double pmi_before, map_pmi_before, probability_before;
    struct infomask_round after; /* the round that is returned */
    int passes;                  /* rounds made */
    bool complete;               /* removed */
    struct infomask_round *rounds; /* [passes]; owned */
    /* unless it is removed: the cells with the most nats, more than 0, under the mask and beside it */
    struct infomask_telling inside[INFOMASK_TELLING], outside[INFOMASK_TELLING];
    int inside_count, outside_count;
};

struct infomask_filtered {
    struct infomask_mask mask; /* of the round that is returned */
    struct infomask_encoded image;
    struct infomask_verification *rows;
    int row_count;
    bool trimmed;            /* as it was asked for */
    struct infomask_box box; /* of the image in the photo: all of it unless trimmed */
    double area;
    int passes;
    enum infomask_verdict verdict; /* the worst of the rows'; none if any of them has none */
    bool complete;                 /* all are removed */
    bool cut_short;                /* the time was over: the best round so far */
    enum infomask_fill fill; /* what the mask was filled with */
    uint8_t fill_color[3];   /* INFOMASK_COLOR */
    const char *fill_reason; /* why that is not the one asked for; NULL: it is.  A constant. */
    uint64_t fill_seed;
    struct infomask_timing timing;
};
void infomask_filtered_fini(struct infomask_filtered *filtered);

/* "match", "inpaint", ...; NULL for a colour and the model's own. */
const char *infomask_fill_name(enum infomask_fill fill);

/* Masks, fills, encodes, decodes what was encoded and verifies; while the verdict is not REMOVED, further rounds
 * follow, up to max_passes and max_area, and the best of them is the answer: by verdict, then by how little the place
 * says beyond its surroundings, then by area.  A later round may be looked at on a small copy first; of the one
 * that is returned, its bytes were verified.  When the photo's time is over, the best round so far is the answer.
 * mask_in: a mask of the same photo and options that the caller has already (then copied), or NULL. */
enum infomask_status infomask_filter(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct infomask_classification *classification,
                                     const struct infomask_filter_options *options,
                                     const struct infomask_mask *mask_in, struct infomask_filtered *filtered,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

#endif
