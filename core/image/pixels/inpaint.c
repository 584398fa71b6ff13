/* A. Telea, "An image inpainting technique based on the fast marching method", 2004.
 *
 * The front of known pixels marches into the hole in the order of its distance T (|grad T| = 1).  A pixel that the
 * front reaches becomes sum_q w(q) I(q) / sum_q w(q) over the known q within `radius`, w = direction (q lies across the
 * front) x 1 / distance^3 x 1 / (1 + |T(q) - T|), plus the weighted gradient sum_q w(q) grad I(q) . (p - q) with its
 * length taken to one grey level, as OpenCV does: enough to carry a slope on, too little to overshoot.
 *
 * The gradients of known pixels are kept and mended as pixels become known, and colours lie in fours, so that a
 * neighbour costs one weight and a few vector operations.  T outside the hole is negative, from a march outwards. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/image/fill.h"

enum flag { KNOWN, BAND, INSIDE, EDGE }; /* below INSIDE: has a value; EDGE: the border, never has one */

struct front { /* heap element; `order` makes equal times first come, first served */
    float time;
    uint32_t order, at;
};

struct march {
    int h, w; /* with a border of one pixel */
    uint8_t *flag;
    float *time;
    int16_t (*value)[4]; /* RGB */
    int16_t (*dx)[4], (*dy)[4];
    struct front *heap;
    size_t count;
    uint32_t order;
    int radius, offsets;
    struct offset {
        int dx, dy;
        ptrdiff_t at;
        float weight; /* 1 / distance^3 */
    } *offset;
};

static bool before(const struct front *a, const struct front *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void heap_push(struct march *m, float time, size_t at)
{
    struct front item = {time, m->order++, (uint32_t)at};
    size_t i = m->count++;

    while (i > 0 && before(&item, &m->heap[(i - 1) / 2])) {
        m->heap[i] = m->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    m->heap[i] = item;
}

static struct front heap_pop(struct march *m)
{
    struct front top = m->heap[0], item = m->heap[--m->count];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < m->count; i = child) {
        if (child + 1 < m->count && before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!before(&m->heap[child], &item))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = item;
    return top;
}

/* |grad T| = 1 from one neighbour across and one down, each if the front has passed it. */
static float eikonal(const struct march *m, size_t a, size_t b)
{
    float ta = m->time[a], tb = m->time[b], least = fminf(ta, tb), d = ta - tb;

    if (m->flag[a] < INSIDE && m->flag[b] < INSIDE)
        return fabsf(d) >= 1 ? 1 + least : 0.5F * (ta + tb + sqrtf(2 - d * d));
    if (m->flag[a] < INSIDE)
        return 1 + ta;
    return m->flag[b] < INSIDE ? 1 + tb : 1 + least;
}

static float arrival(const struct march *m, size_t at)
{
    size_t w = (size_t)m->w;
    float a = fminf(eikonal(m, at - w, at - 1), eikonal(m, at + w, at - 1));
    float b = fminf(eikonal(m, at - w, at + 1), eikonal(m, at + w, at + 1));

    return fminf(a, b);
}

static bool on_border(const struct march *m, size_t at)
{
    size_t x = at % (size_t)m->w, y = at / (size_t)m->w;
    return x == 0 || y == 0 || x == (size_t)m->w - 1 || y == (size_t)m->h - 1;
}

/* One-sided where only one neighbour is known, twice the central difference where both are: OpenCV's scale. */
static float slope(const float *v, const uint8_t *flag, ptrdiff_t step)
{
    if (flag[step] < INSIDE)
        return flag[-step] < INSIDE ? 0.5F * (v[step] - v[-step]) : v[step] - v[0];
    return flag[-step] < INSIDE ? v[0] - v[-step] : 0;
}

static void mend_gradient(struct march *m, size_t at, ptrdiff_t step, int16_t (*gradient)[4])
{
    const uint8_t *flag = m->flag + at;
    int16_t(*v)[4] = m->value + at;

    for (size_t c = 0; c < 4; c++) {
        if (flag[step] < INSIDE)
            gradient[at][c] = (int16_t)(flag[-step] < INSIDE ? 2 * (v[step][c] - v[-step][c]) : v[step][c] - v[0][c]);
        else
            gradient[at][c] = (int16_t)(flag[-step] < INSIDE ? v[0][c] - v[-step][c] : 0);
    }
}

/* After `at` became known: its own gradients and those of the four around it. */
static void mend_gradients(struct march *m, size_t at)
{
    ptrdiff_t w = m->w;
    const ptrdiff_t across[] = {0, -1, 1}, down[] = {0, -w, w};

    for (int k = 0; k < 3; k++) {
        size_t a = (size_t)((ptrdiff_t)at + across[k]), d = (size_t)((ptrdiff_t)at + down[k]);
        if (m->flag[a] < INSIDE)
            mend_gradient(m, a, 1, m->dx);
        if (m->flag[d] < INSIDE)
            mend_gradient(m, d, w, m->dy);
    }
}

static bool offset_inside(const struct march *m, int x, int y, const struct offset *o)
{
    int qx = x + o->dx, qy = y + o->dy;
    return qx > 0 && qy > 0 && qx < m->w - 1 && qy < m->h - 1;
}

static void paint_pixel(struct march *m, size_t at)
{
    int x = (int)(at % (size_t)m->w), y = (int)(at / (size_t)m->w);
    float tx = slope(m->time + at, m->flag + at, 1), ty = slope(m->time + at, m->flag + at, m->w);
    float sum[4] = {0}, jx[4] = {0}, jy[4] = {0}, total = 1e-20F, time = m->time[at];
    bool deep = x > m->radius && y > m->radius && x < m->w - 1 - m->radius && y < m->h - 1 - m->radius;

    for (int k = 0; k < m->offsets; k++) {
        const struct offset *o = &m->offset[k];
        size_t q = (size_t)((ptrdiff_t)at + o->at);
        if ((!deep && !offset_inside(m, x, y, o)) || m->flag[q] >= INSIDE)
            continue;
        float rx = (float)-o->dx, ry = (float)-o->dy, across = fabsf(rx * tx + ry * ty);
        float w = o->weight * (across > 0.01F ? across : 1e-6F) / (1 + fabsf(m->time[q] - time));
        float wx = w * rx, wy = w * ry;
        for (size_t c = 0; c < 4; c++) {
            sum[c] += w * (float)m->value[q][c];
            jx[c] -= wx * (float)m->dx[q][c];
            jy[c] -= wy * (float)m->dy[q][c];
        }
        total += w;
    }
    for (size_t c = 0; c < 3; c++) {
        float length = sqrtf(jx[c] * jx[c] + jy[c] * jy[c]) + FLT_MIN;
        float v = sum[c] / total + (jx[c] + jy[c]) / length;
        m->value[at][c] = (int16_t)lrintf(fminf(fmaxf(v, 0), 255));
    }
}

/* Marches until the heap is empty.  Outwards (paint false): only times, no further than `limit`. */
static void march_on(struct march *m, bool paint, float limit)
{
    const ptrdiff_t step[] = {-(ptrdiff_t)m->w, -1, m->w, 1};

    while (m->count > 0) {
        struct front front = heap_pop(m);
        if (front.time > limit)
            continue;
        m->flag[front.at] = KNOWN;
        for (int k = 0; k < 4; k++) {
            size_t at = (size_t)((ptrdiff_t)front.at + step[k]);
            if (m->flag[at] != INSIDE)
                continue;
            m->time[at] = arrival(m, at);
            if (paint)
                paint_pixel(m, at);
            m->flag[at] = BAND;
            if (paint)
                mend_gradients(m, at);
            heap_push(m, m->time[at], at);
        }
    }
}

static bool touches_hole(const struct march *m, const uint8_t *hole, size_t at)
{
    size_t w = (size_t)m->w;
    return hole[at - w] != 0 || hole[at - 1] != 0 || hole[at + w] != 0 || hole[at + 1] != 0;
}

/* Times outside the hole: the same march from its rim over the known pixels, then negated. */
static void march_outwards(struct march *m, const uint8_t *hole)
{
    size_t n = (size_t)m->w * (size_t)m->h;
    float limit = (float)m->radius + 2;

    for (size_t at = 0; at < n; at++) {
        bool edge = on_border(m, at);
        m->flag[at] = edge ? EDGE : hole[at] != 0 ? KNOWN : INSIDE;
        m->time[at] = limit;
        if (hole[at] == 0 && !edge && touches_hole(m, hole, at)) {
            m->flag[at] = BAND;
            m->time[at] = 0;
            heap_push(m, 0, at);
        }
    }
    march_on(m, false, limit);
    for (size_t at = 0; at < n; at++)
        m->time[at] = hole[at] != 0 ? 1e6F : -m->time[at];
}

static void march_inwards(struct march *m, const uint8_t *hole)
{
    size_t n = (size_t)m->w * (size_t)m->h;

    for (size_t at = 0; at < n; at++)
        m->flag[at] = m->flag[at] == EDGE ? EDGE : hole[at] != 0 ? INSIDE : KNOWN;
    for (size_t at = 0; at < n; at++)
        if (m->flag[at] == KNOWN) {
            mend_gradient(m, at, 1, m->dx);
            mend_gradient(m, at, m->w, m->dy);
        }
    m->order = 0;
    for (size_t at = 0; at < n; at++)
        if (m->flag[at] == KNOWN && touches_hole(m, hole, at)) {
            m->flag[at] = BAND;
            m->time[at] = 0;
            heap_push(m, 0, at);
        }
    march_on(m, true, INFINITY);
}

static void list_offsets(struct march *m)
{
    for (int y = -m->radius; y <= m->radius; y++)
        for (int x = -m->radius; x <= m->radius; x++) {
            float square = (float)(x * x + y * y);
            if (square == 0 || square > (float)(m->radius * m->radius))
                continue;
            m->offset[m->offsets++] =
                (struct offset){x, y, (ptrdiff_t)y * m->w + x, 1.0F / (square * sqrtf(square))};
        }
}

static void march_fini(struct march *m)
{
    free(m->flag);
    free(m->time);
    free(m->value);
    free(m->dx);
    free(m->dy);
    free(m->heap);
    free(m->offset);
}

static bool march_init(struct march *m, int h, int w, int radius)
{
    size_t n, side = 2 * (size_t)radius + 1;

    *m = (struct march){.h = h + 2, .w = w + 2, .radius = radius};
    if (!checked_mul((size_t)m->h, (size_t)m->w, &n) || n > UINT32_MAX)
        return false;
    m->flag = malloc(n);
    m->time = malloc(n * sizeof *m->time);
    m->value = calloc(n, sizeof *m->value);
    m->dx = calloc(n, sizeof *m->dx);
    m->dy = calloc(n, sizeof *m->dy);
    m->heap = malloc(n * sizeof *m->heap);
    m->offset = malloc(side * side * sizeof *m->offset);
    if (m->flag == NULL || m->time == NULL || m->value == NULL || m->dx == NULL || m->dy == NULL || m->heap == NULL ||
        m->offset == NULL)
        return false;
    list_offsets(m);
    return true;
}

/* The hole with the border's pixels outside it, in bordered coordinates; and the colours. */
static void march_load(struct march *m, const uint8_t *rgb, const uint8_t *hole, uint8_t *bordered)
{
    for (int y = 0; y < m->h - 2; y++)
        for (int x = 0; x < m->w - 2; x++) {
            size_t from = (size_t)y * (size_t)(m->w - 2) + (size_t)x;
            size_t at = (size_t)(y + 1) * (size_t)m->w + (size_t)(x + 1);
            bordered[at] = hole[from];
            for (size_t c = 0; c < 3; c++)
                m->value[at][c] = hole[from] == 0 ? rgb[3 * from + c] : 0;
        }
}

static void march_store(const struct march *m, uint8_t *rgb, const uint8_t *hole)
{
    for (int y = 0; y < m->h - 2; y++)
        for (int x = 0; x < m->w - 2; x++) {
            size_t to = (size_t)y * (size_t)(m->w - 2) + (size_t)x;
            size_t at = (size_t)(y + 1) * (size_t)m->w + (size_t)(x + 1);
            for (size_t c = 0; hole[to] != 0 && m->flag[at] == KNOWN && c < 3; c++)
                rgb[3 * to + c] = (uint8_t)m->value[at][c];
        }
}

enum infomask_status fill_inpaint(uint8_t *rgb, const uint8_t *hole, int h, int w, int radius,
                                  struct infomask_error *err)
{
    struct march m;
    bool made = march_init(&m, h, w, radius);
    uint8_t *bordered = made ? calloc((size_t)m.h * (size_t)m.w, 1) : NULL;
    bool done = bordered != NULL;

    if (done) {
        march_load(&m, rgb, hole, bordered);
        march_outwards(&m, bordered);
        march_inwards(&m, bordered);
        march_store(&m, rgb, hole);
    }
    free(bordered);
    march_fini(&m);
    return done ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to inpaint");
}
