#include "core/image/pixels/match.h"

#include <stdlib.h>

#include "core/image/fill.h"

#define DEEPEST 32 /* pixels into the hole at the coarsest size */
#define FINE_REACH 4
#define LEAST_SIDE 12
#define FIRST_ROUNDS 2 /* at the finest size */
#define MORE_ROUNDS 4  /* for each coarser one */
#define COARSEST_ROUNDS 12
#define MOST_ROUNDS 16
#define STILL 0.1      /* mean change of a byte in a round after which there is nothing more to do */

static enum infomask_status match_expired(const struct match *match, struct infomask_error *err)
{
    const struct fill_options *options = match->options;

    if (options->expired == NULL || !options->expired(options->deadline_context))
        return INFOMASK_OK;
    return error_set(err, INFOMASK_DEADLINE, "the request's deadline passed before the mask was filled");
}

/* The sizes: as many as it takes until the hole is shallow, while there are sources left. */
static enum infomask_status make_levels(struct match *match, const uint8_t *rgb, const uint8_t *hole, int h, int w,
                                        struct infomask_error *err)
{
    enum infomask_status status = match_level_init(&match->level[match->count++], rgb, hole, h, w, err);

    while (status == INFOMASK_OK && match->count < MATCH_LEVELS) {
        struct match_level *fine = &match->level[match->count - 1], *level = &match->level[match->count];
        if (fine->deepest <= DEEPEST || fine->h / 2 < LEAST_SIDE || fine->w / 2 < LEAST_SIDE)
            break;
        status = match_level_halve(level, fine, err);
        match->count++;
        if (status == INFOMASK_OK && level->sources < MATCH_LEAST_SOURCES) {
            match_level_fini(level);
            match->count--;
            break;
        }
    }
    return status;
}

/* What is found at a coarse size decides; at the finest the field is nearly right as it comes. */
static int rounds_of(const struct match *match, int k)
{
    int rounds = FIRST_ROUNDS + MORE_ROUNDS * k, least = k == match->count - 1 ? COARSEST_ROUNDS : 0;

    rounds = rounds > least ? rounds : least;
    return rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS;
}

static enum infomask_status improve(struct match *match, int k, uint32_t *turn, struct infomask_error *err)
{
    struct match_level *level = &match->level[k];
    int rounds = rounds_of(match, k);
    double change = 0;
    enum infomask_status status = match_vote(match, level, true, &change, err);

    for (int round = 0; round < rounds && status == INFOMASK_OK; round++) {
        status = match_expired(match, err);
        if (status == INFOMASK_OK)
            match_pass(match, level, (*turn)++);
        if (status == INFOMASK_OK)
            status = match_vote(match, level, false, &change, err);
        if (change < STILL)
            break;
    }
    return status;
}

static enum infomask_status run_levels(struct match *match, struct infomask_error *err)
{
    struct match_level *last = &match->level[match->count - 1];
    uint32_t turn = 0;
    enum infomask_status status;

    for (int k = 0; k < match->count; k++)
        match->level[k].reach = FINE_REACH;
    last->reach = last->w > last->h ? last->w : last->h;
    status = match_peel(match, last, err);
    if (status == INFOMASK_OK)
        status = match_use_init(last, err);

    for (int k = match->count - 1; k >= 0 && status == INFOMASK_OK; k--) {
        if (k < match->count - 1) {
            match_enlarge(&match->level[k + 1], &match->level[k]);
            match_level_fini(&match->level[k + 1]);
        }
        status = improve(match, k, &turn, err);
    }
    return status;
}

enum infomask_status match_complete(const struct fill_options *options, uint8_t *rgb, const uint8_t *hole, int h, int w,
                                    uint32_t *from, bool *enough, struct infomask_error *err)
{
    struct match match = {.options = options};
    uint32_t *own = NULL, *place = from;
    enum infomask_status status;

    *enough = h >= MATCH_SIDE && w >= MATCH_SIDE;
    if (!*enough)
        return INFOMASK_OK;
    status = make_levels(&match, rgb, hole, h, w, err);
    *enough = match.level[0].sources >= MATCH_LEAST_SOURCES;
    if (status == INFOMASK_OK && *enough)
        status = run_levels(&match, err);
    if (status == INFOMASK_OK && *enough && from == NULL) {
        place = own = malloc((size_t)h * (size_t)w * sizeof *own);
        if (own == NULL)
            status = error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    }
    if (status == INFOMASK_OK && *enough) {
        match_choose(&match, &match.level[0], place);
        status = match_blend(&match, place, rgb, hole, h, w, err);
    }
    for (int k = 0; k < match.count; k++)
        match_level_fini(&match.level[k]);
    free(own);
    return status;
}
