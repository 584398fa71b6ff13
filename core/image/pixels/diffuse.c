/* Normalised blur: the kept pixels and their indicator are blurred alike, their quotient is a mean of kept pixels only.
 * A Gaussian is three box means of the same variance, so that its cost does not depend on sigma.  Sigmas double from
 * fine to coarse; where the finer ones have found enough weight the coarser ones add nothing, and between there is no
 * edge, because a level takes part by its weight. */
#include <math.h>
#include <stdlib.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/fill.h"
#include "core/image/pixels.h"

#define FULL_WEIGHT 0.25F /* of kept pixels under the kernel: the level stands alone */
#define LEAST_WEIGHT 1e-4F
#define LEAST_REST (1.0F / 1024.0F)

struct spread {
    int h, w;
    float *kept;     /* [h, w, 4]: kept RGB and 1; zeros in the hole */
    float *a, *b;    /* [h, w, 4] */
    float *sum;      /* [h, w, 4]: RGB found so far, and what is still missing of 1 */
    double *scratch; /* of the box with the largest radius */
};

static void spread_load(struct spread *s, const uint8_t *rgb, const uint8_t *hole)
{
    size_t n = (size_t)s->h * (size_t)s->w;

    for (size_t i = 0; i < n; i++) {
        float one = hole[i] == 0 ? 1.0F : 0.0F;
        for (size_t c = 0; c < 3; c++) {
            s->kept[4 * i + c] = one * (float)rgb[3 * i + c];
            s->sum[4 * i + c] = 0;
        }
        s->kept[4 * i + 3] = one;
        s->sum[4 * i + 3] = 1.0F - one;
    }
}

/* Three boxes of sides 2r + 1 have the variance r (r + 1), here that of the Gaussian. */
static int box_radius(double sigma) { return (int)fmax(1, sqrt(sigma * sigma + 0.25)); }

/* Adds the level; false when every pixel has what it needs. */
static bool spread_level(struct spread *s, int radius, bool last)
{
    size_t n = (size_t)s->h * (size_t)s->w;
    bool missing = false;

    pixels_box4(s->kept, s->h, s->w, radius, s->a, s->scratch);
    pixels_box4(s->a, s->h, s->w, radius, s->b, s->scratch);
    pixels_box4(s->b, s->h, s->w, radius, s->a, s->scratch);
    for (size_t i = 0; i < 4 * n; i += 4) {
        float weight = s->a[i + 3], rest = s->sum[i + 3], share = weight / FULL_WEIGHT;
        if (rest <= 0 || weight < LEAST_WEIGHT) {
            missing = missing || rest > 0;
            continue;
        }
        share = last || share > 1 || rest < LEAST_REST ? rest : share * rest;
        for (size_t c = 0; c < 3; c++)
            s->sum[i + c] += share * s->a[i + c] / weight;
        s->sum[i + 3] = share < rest ? rest - share : 0.0F;
        missing = missing || s->sum[i + 3] > 0;
    }
    return missing;
}

/* What no level reached keeps the mean of what was found, or mid-grey. */
static void spread_store(const struct spread *s, uint8_t *rgb, const uint8_t *hole)
{
    size_t n = (size_t)s->h * (size_t)s->w;

    for (size_t i = 0; i < n; i++) {
        float rest = s->sum[4 * i + 3];
        if (hole[i] == 0)
            continue;
        for (size_t c = 0; c < 3; c++) {
            float v = rest < 1 ? s->sum[4 * i + c] / (1 - rest) : 128.0F;
            rgb[3 * i + c] = (uint8_t)lrintf(fminf(fmaxf(v, 0), 255));
        }
    }
}

enum infomask_status fill_spread(uint8_t *rgb, const uint8_t *hole, int h, int w, double sigma,
                                 struct infomask_error *err)
{
    struct spread s = {.h = h, .w = w};
    int longest = h > w ? h : w;
    float **planes[] = {&s.kept, &s.a, &s.b, &s.sum};
    size_t size;
    bool fits = checked_mul3((size_t)h, (size_t)w, 4 * sizeof(float), &size);

    for (size_t i = 0; fits && i < sizeof planes / sizeof *planes; i++)
        fits = (*planes[i] = aligned_new(size)) != NULL;
    if (fits)
        fits = (s.scratch = aligned_new(pixels_box_scratch(w, 2 * longest) * sizeof(double))) != NULL;
    if (fits) {
        bool go_on = true;
        spread_load(&s, rgb, hole);
        for (double level = sigma; go_on; level *= 2) {
            int radius = box_radius(level), largest = longest;
            go_on = spread_level(&s, radius < largest ? radius : largest, radius >= largest) && radius < largest;
        }
        spread_store(&s, rgb, hole);
    }
    aligned_free(s.kept);
    aligned_free(s.a);
    aligned_free(s.b);
    aligned_free(s.sum);
    aligned_free(s.scratch);
    return fits ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
}
