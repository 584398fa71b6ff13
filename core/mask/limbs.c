/* Thin parts of the object that the threshold leaves out: legs, tails, handles.  The network's cells are too coarse for
 * them, so that they come out fainter than the body; but they stand out from what is beside them, and hang together
 * with it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mask/mask.h"

#define RADIUS 7       /* pixels; what is thinner than twice that is thin */
#define LEAST 0.17F    /* by how much it stands out */
#define STEEPNESS 2.0F /* of the cut around it */

static float greater(float a, float b) { return a > b ? a : b; }

/* out [h, w]: the greatest of in [h, w] within RADIUS across or down; beyond the sides there is nothing. */
static void greatest(const float *in, float *out, int h, int w, bool down)
{
    memcpy(out, in, (size_t)h * (size_t)w * sizeof *out);
    for (int y = 0; y < h; y++)
        for (int k = -RADIUS; k <= RADIUS; k++) {
            int row = down ? y + k : y, shift = down ? 0 : k;
            int from = shift < 0 ? -shift : 0, to = shift > 0 ? w - shift : w;
            float *o = out + (size_t)y * (size_t)w;
            ptrdiff_t at = (ptrdiff_t)row * w + shift;
            if (row < 0 || row >= h)
                continue;
            for (int x = from; x < to; x++)
                o[x] = greater(o[x], in[at + x]);
        }
}

static void negate(float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = -v[i];
}

/* top [h, w]: the saliency less its opening, which is what of it is left where it is at least 2 RADIUS + 1 wide. */
static void top_hat(const float *saliency, int h, int w, float *spare, float *top)
{
    size_t n = (size_t)h * (size_t)w;

    memcpy(top, saliency, n * sizeof *top);
    negate(top, n); /* the least is the greatest of the negative ones */
    greatest(top, spare, h, w, false);
    greatest(spare, top, h, w, true);
    negate(top, n);
    greatest(top, spare, h, w, false);
    greatest(spare, top, h, w, true);
    for (size_t i = 0; i < n; i++)
        top[i] = saliency[i] - top[i];
}

struct limbs {
    int h, w;
    const float *top;
    uint8_t *mark; /* [h, w] BODY, LIMB or 0 */
    size_t *open;  /* [h, w] places whose neighbours are to be looked at */
    size_t count;
};
enum { BODY = 1, LIMB };

static void look_around(struct limbs *l, size_t at)
{
    int x = (int)(at % (size_t)l->w), y = (int)(at / (size_t)l->w);

    for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < l->h; j++)
        for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < l->w; i++) {
            size_t other = (size_t)j * (size_t)l->w + (size_t)i;
            if (l->mark[other] == 0 && l->top[other] >= LEAST) {
                l->mark[other] = LIMB;
                l->open[l->count++] = other;
            }
        }
}

/* From the body outwards; every place is opened once at most. */
static void find_limbs(struct limbs *l)
{
    for (size_t i = 0; i < (size_t)l->h * (size_t)l->w; i++)
        if (l->mark[i] == BODY)
            look_around(l, i);
    while (l->count > 0)
        look_around(l, l->open[--l->count]);
}

static bool near_limb(const struct limbs *l, int x, int y)
{
    for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < l->h; j++)
        for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < l->w; i++)
            if (l->mark[(size_t)j * (size_t)l->w + (size_t)i] == LIMB)
                return true;
    return false;
}

/* x and gate cross one half where the part does, so that their enlargements do. */
static void raise_limbs(const struct limbs *l, float *x, float *gate)
{
    for (size_t i = 0; i < (size_t)l->h * (size_t)l->w; i++) {
        float value = fminf(0.5F + STEEPNESS * (l->top[i] - LEAST), 1);
        if (l->mark[i] == BODY || !near_limb(l, (int)(i % (size_t)l->w), (int)(i / (size_t)l->w)))
            continue;
        x[i] = greater(x[i], value);
        if (gate != NULL)
            gate[i] = greater(gate[i], value);
    }
}

enum infomask_status mask_limbs(const float *saliency, int h, int w, float *x, float *gate, struct infomask_error *err)
{
    size_t n = (size_t)h * (size_t)w;
    float *spare = malloc(2 * n * sizeof *spare), *top = spare == NULL ? NULL : spare + n;
    struct limbs l = {.h = h, .w = w, .top = top, .mark = malloc(n), .open = malloc(n * sizeof *l.open)};
    bool made = spare != NULL && l.mark != NULL && l.open != NULL;

    if (made) {
        top_hat(saliency, h, w, spare, top);
        for (size_t i = 0; i < n; i++)
            l.mark[i] = x[i] >= 0.5F && (gate == NULL || gate[i] >= 0.5F) ? BODY : 0;
        find_limbs(&l);
        raise_limbs(&l, x, gate);
    }
    free(spare);
    free(l.mark);
    free(l.open);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to make the mask");
}
