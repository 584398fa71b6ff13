/* What stands out is not copied over and over: a face, say, whose patches are most like its own copies.  At the
 * coarsest size, where it is decided what goes where, patches of a place that is copied more than twice already cost
 * more.  What is alike everywhere has small distances, and little is added to them. */
#include <stdlib.h>

#include "core/image/pixels/match.h"

#define FREE_COPIES (2 * 256) /* of each source of a place, times 256 */

void match_use_fini(struct match_use *use)
{
    free(use->sources);
    *use = (struct match_use){0};
}

static size_t cell_of(const struct match_level *level, size_t at)
{
    size_t w = (size_t)level->w;
    return at / w / MATCH_CELL * (size_t)level->use.w + at % w / MATCH_CELL;
}

enum infomask_status match_use_init(struct match_level *level, struct infomask_error *err)
{
    struct match_use *use = &level->use;
    size_t cells, n = (size_t)level->h * (size_t)level->w;

    use->w = (level->w + MATCH_CELL - 1) / MATCH_CELL;
    use->h = (level->h + MATCH_CELL - 1) / MATCH_CELL;
    cells = (size_t)use->w * (size_t)use->h;
    use->sources = calloc(3 * cells, sizeof *use->sources);
    if (use->sources == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    use->copies = use->sources + cells;
    use->price = use->copies + cells;
    for (size_t at = 0; at < n; at++)
        use->sources[cell_of(level, at)] += level->kind[at] == MATCH_SOURCE;
    return INFOMASK_OK;
}

/* Copies of each source around a cell, times 256, by a binomial window of 3 x 3 cells. */
static uint32_t copies_around(const struct match_use *use, int x, int y)
{
    uint64_t copies = 0, sources = 0;

    for (int j = -1; j <= 1; j++)
        for (int i = -1; i <= 1; i++) {
            size_t at = (size_t)(y + j) * (size_t)use->w + (size_t)(x + i);
            uint32_t weight = (i == 0 ? 2u : 1u) * (j == 0 ? 2u : 1u);
            if (x + i < 0 || y + j < 0 || x + i >= use->w || y + j >= use->h)
                continue;
            copies += weight * use->copies[at];
            sources += weight * use->sources[at];
        }
    return sources > 0 ? (uint32_t)(256 * copies / sources) : 0;
}

/* A quarter of the distance for each copy beyond the free ones. */
void match_use_count(struct match_level *level)
{
    struct match_use *use = &level->use;

    if (use->sources == NULL)
        return;
    for (size_t i = 0; i < (size_t)use->w * (size_t)use->h; i++)
        use->copies[i] = 0;
    for (size_t i = 0; i < level->targets; i++)
        use->copies[cell_of(level, level->field[level->list[i]])]++;
    for (int y = 0; y < use->h; y++)
        for (int x = 0; x < use->w; x++) {
            uint32_t copies = copies_around(use, x, y);
            use->price[(size_t)y * (size_t)use->w + (size_t)x] = copies > FREE_COPIES ? copies - FREE_COPIES : 0;
        }
}
