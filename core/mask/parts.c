/* Which of the network's tensors link the cells: those that are fine enough to tell an object's edge, and so shallow
 * that a cell beside the object does not see the object. */
#include <stdlib.h>

#include "core/mask/mask.h"

/* Tensors at one fraction of the last stride. */
struct level {
    const struct mask_tensor *tensors, *features;
    int count;
    int finer; /* this many times the features' cells, each way */
};

/* Are there k times as many fine cells?  Less than a coarse one may be cut at the border; a single one has no finer. */
static bool is_times(int fine, int coarse, int k) { return abs(fine - k * coarse) < k && 2 * fine > k * coarse; }

static bool is_at(const struct level *level, int i)
{
    const struct mask_tensor *t = &level->tensors[i], *f = level->features;
    return t->h > 0 && is_times(t->h, f->h, level->finer) && is_times(t->w, f->w, level->finer);
}

/* No later one of the level has as many channels; at the last stride, there is none at all. */
static bool is_last(const struct level *level, int i)
{
    for (int j = i + 1; j < level->count; j++)
        if (is_at(level, j) && (level->finer == 1 || level->tensors[j].c == level->tensors[i].c))
            return false;
    return true;
}

/* The first of a level whose tensors all have as many channels, as ResNet's. */
static bool is_first_of_alike(const struct level *level, int i)
{
    for (int j = 0; j < level->count; j++)
        if (is_at(level, j) && (j < i || level->tensors[j].c != level->tensors[i].c))
            return false;
    return true;
}

int mask_parts(const struct mask_tensor *tensors, int count, const struct mask_tensor *features, const double *weight,
               struct mask_part *parts)
{
    static const int finer[MASK_LEVELS] = {4, 2, 1};
    int chosen = 0;

    for (int l = 0; l < MASK_LEVELS; l++) {
        struct level level = {tensors, features, count, finer[l]};
        for (int i = 0; i < count && weight[l] > 0; i++) {
            if (!is_at(&level, i) || (finer[l] == 1 && chosen > 0 && tensors[i].c == features->c))
                continue;
            if (is_last(&level, i) || (finer[l] == 2 && is_first_of_alike(&level, i)))
                parts[chosen++] = (struct mask_part){i, weight[l]};
        }
    }
    return chosen;
}
