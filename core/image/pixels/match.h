/* Exemplar-based completion of a small picture: every pixel of the hole is copied from a kept one.
 *
 * Patches of 7 x 7 pixels, coarse to fine: at each size of a pyramid a field tells for every patch that touches the
 * hole where the kept patch most like it lies (PatchMatch: Barnes et al. 2009), and the patches vote for the hole's
 * pixels (Wexler, Shechtman and Irani 2007).  At the finest size the winning patch is copied, and what is left of the
 * seams is blended in the gradients (Perez, Gangnet and Blake 2003, with a weak pull to the copied values).
 *
 * The result is a function of picture, hole and seed: not of the number of threads, and integer distances make it the
 * same for every instruction set.  Private to core/image but for match_options' types, which fill.h names.
 */
#ifndef INFOMASK_IMAGE_PIXELS_MATCH_H
#define INFOMASK_IMAGE_PIXELS_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"

#define MATCH_SIDE 7
#define MATCH_RADIUS 3
#define MATCH_LEAST_SOURCES 64
#define MATCH_LEVELS 12

struct fill_options;

/* How often each place is copied, in cells of MATCH_CELL pixels; sources NULL: nobody counts. */
#define MATCH_CELL 8
struct match_use {
    int w, h;                   /* in cells */
    uint32_t *sources, *copies; /* of every cell */
    uint32_t *price;            /* what is added to the distance of the patches there, of 1024 */
};

/* One size of the pyramid.  Arrays are [h, w]; patches are named by the index of their centre. */
struct match_level {
    int h, w;
    uint8_t *pixels; /* [h, w, 4]: R, G, B and a texture byte */
    uint8_t *hole;   /* 1: to be filled */
    uint8_t *kind;   /* MATCH_SOURCE, MATCH_TARGET, or 0: neither */
    uint8_t *depth;  /* of the hole's pixels: distance to the nearest kept one, rounded up; 0 for kept ones */
    uint32_t *near;  /* the source nearest to each pixel */
    uint32_t *field, *next; /* of targets: their source; of others: themselves */
    uint32_t *distance;     /* of targets: to their source */
    float *weight;          /* of targets: in the vote */
    struct match_use use;   /* of the coarsest size */
    uint32_t *list;         /* [targets], by rows */
    int *row;               /* [h + 1] where each row's targets begin in the list */
    size_t sources, targets;
    int deepest;
    int reach; /* of the random search: the picture at the coarsest size; where a finer one begins, most is found */
};
enum { MATCH_SOURCE = 1, MATCH_TARGET = 2 };

struct match {
    const struct fill_options *options;
    int count;
    struct match_level level[MATCH_LEVELS]; /* 0: the finest */
};

/* rgb [h, w, 3], hole [h, w]: not 0 where unknown.  from [h, w] (may be NULL): of hole pixels, the index of the pixel
 * that was copied, UINT32_MAX where there is none.  *enough false: too few sources, nothing was done.  DEADLINE,
 * MEMORY. */
enum infomask_status match_complete(const struct fill_options *options, uint8_t *rgb, const uint8_t *hole, int h, int w,
                                    uint32_t *from, bool *enough, struct infomask_error *err);

/* ---- match_level.c ----------------------------------------------------------------------------------------------- */

/* The finest level from the picture; a coarser one from `fine`.  On failure level_fini still has to be called. */
enum infomask_status match_level_init(struct match_level *level, const uint8_t *rgb, const uint8_t *hole, int h, int w,
                                      struct infomask_error *err);
enum infomask_status match_level_halve(struct match_level *level, const struct match_level *fine,
                                       struct infomask_error *err);
void match_level_fini(struct match_level *level);

/* ---- match_field.c ----------------------------------------------------------------------------------------------- */

/* The coarsest level: from the hole's rim inwards, each pixel from the kept patch most like the known part of its own.
 */
enum infomask_status match_peel(const struct match *match, struct match_level *level, struct infomask_error *err);
/* The field of the next coarser level, enlarged. */
void match_enlarge(const struct match_level *coarse, struct match_level *level);
/* One pass of PatchMatch, forwards in even turns and backwards in odd ones; `turn` counts the fill's passes. */
void match_pass(const struct match *match, struct match_level *level, uint32_t turn);

/* ---- match_use.c ------------------------------------------------------------------------------------------------- */

/* From now on the level's places are counted. */
enum infomask_status match_use_init(struct match_level *level, struct infomask_error *err);
/* The prices anew, from the field. */
void match_use_count(struct match_level *level);
void match_use_fini(struct match_use *use);

static inline uint32_t match_price(const struct match_level *level, size_t source, uint32_t distance)
{
    size_t w = (size_t)level->w, x = source % w / MATCH_CELL, y = source / w / MATCH_CELL;
    uint64_t price;

    if (level->use.sources == NULL)
        return distance;
    price = distance + ((uint64_t)distance * level->use.price[y * (size_t)level->use.w + x] >> 10);
    return price < UINT32_MAX ? (uint32_t)price : UINT32_MAX - 1;
}

/* ---- match_vote.c ------------------------------------------------------------------------------------------------ */

/* Weights from the distances (even: all alike but for depth), then the hole's pixels from the votes; returns the mean
 * change of a byte. */
enum infomask_status match_vote(const struct match *match, struct match_level *level, bool even, double *change,
                                struct infomask_error *err);
/* from [h, w]: where each pixel of the hole comes from in the patch of the largest weight. */
void match_choose(const struct match *match, const struct match_level *level, uint32_t *from);

/* ---- match_blend.c ----------------------------------------------------------------------------------------------- */

/* rgb [h, w, 3] in the hole: the copied pixels, with the steps at seams and rim spread (a screened Poisson equation).
 */
enum infomask_status match_blend(const struct match *match, const uint32_t *from, uint8_t *rgb, const uint8_t *hole,
                                 int h, int w, struct infomask_error *err);

#endif
