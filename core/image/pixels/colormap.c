/* Colour maps by anchors: a Catmull-Rom spline through a dozen colours is within a grey level or two of the full
 * tables, and can be read. */
#include <math.h>
#include <string.h>

#include "core/image/overlay.h"

#define MOST_ANCHORS 15

static const struct {
    const char *name;
    int count;
    uint32_t anchor[MOST_ANCHORS]; /* 0xrrggbb, evenly spaced */
} maps[] = {
    {"viridis", 10,
     {0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725}},
    {"magma", 10,
     {0x000004, 0x180f3d, 0x440f76, 0x721f81, 0x9e2f7f, 0xcd4071, 0xf1605d, 0xfd9668, 0xfeca8d, 0xfcfdbf}},
    {"turbo", 15, {0x30123b, 0x4145ab, 0x4675ed, 0x39a2fc, 0x1bcfd4, 0x24eca6, 0x61fc6c, 0xa4fc3c,
                   0xd1e834, 0xf3c63a, 0xfe9b2d, 0xf36315, 0xd93806, 0xb11901, 0x7a0402}},
    {"gray", 2, {0x000000, 0xffffff}},
};

#define MAPS (sizeof maps / sizeof *maps)

static double channel(const uint32_t *anchor, int count, int i, int shift)
{
    i = i < 0 ? 0 : i > count - 1 ? count - 1 : i;
    return (double)(anchor[i] >> shift & 0xff);
}

static uint8_t spline(const uint32_t *anchor, int count, double t, int shift)
{
    double at = t * (count - 1), f;
    int i = (int)fmin(floor(at), count - 2);

    f = at - i;
    double a = channel(anchor, count, i - 1, shift), b = channel(anchor, count, i, shift);
    double c = channel(anchor, count, i + 1, shift), d = channel(anchor, count, i + 2, shift);
    if (count == 2)
        return (uint8_t)lrint(b + f * (c - b));
    double v = b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)));
    return (uint8_t)lrint(fmin(fmax(v, 0), 255));
}

void colormap_fill(const char *name, uint8_t table[256][3])
{
    size_t which = 0;

    for (size_t i = 0; i < MAPS; i++)
        which = name != NULL && strcmp(name, maps[i].name) == 0 ? i : which;
    for (int v = 0; v < 256; v++)
        for (int c = 0; c < 3; c++)
            table[v][c] = spline(maps[which].anchor, maps[which].count, v / 255.0, 16 - 8 * c);
}
