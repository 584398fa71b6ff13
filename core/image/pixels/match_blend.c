/* The screened Poisson equation over the hole: neighbours shall differ as the pixels they are copied from do, the rim
 * is given, and every pixel is drawn weakly to its copy.  Conjugate gradients with the diagonal as preconditioner; the
 * three colours are three systems with one matrix, solved side by side.  Sums are over chunks of fixed size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/image/fill.h"
#include "core/image/pixels/match.h"

#define PULL 0.001F
#define MOST_STEPS 60
#define LEAST_RESIDUAL 1e-4F /* of the first one's square */
#define CHUNK 2048

typedef float four_floats __attribute__((vector_size(16)));

struct blend {
    int h, w;
    const uint32_t *from;
    uint8_t *rgb;
    const uint8_t *hole;
    struct pool *pool;
    int count;                           /* unknowns: the hole's pixels that were copied */
    uint32_t *at;                        /* [count] their places */
    int32_t (*side)[4];                  /* [count] unknowns left, right, above, below; count: none (x there is 0) */
    float *diagonal;                     /* [count] */
    four_floats *x, *r, *p, *q;          /* [count + 1] */
    four_floats *dots;                   /* [2, chunks] */
    four_floats alpha, beta;
    four_floats low, high;               /* of the kept colours: steps that do not meet would overshoot them */
};

static int chunks_of(const struct blend *b) { return (b->count + CHUNK - 1) / CHUNK; }

static four_floats colour(const struct blend *b, size_t at)
{
    const uint8_t *p = b->rgb + 3 * at;
    return (four_floats){p[0], p[1], p[2], 0};
}

static bool is_kept(const struct blend *b, size_t at) { return b->hole[at] == 0; }

/* What lies `dx`, `dy` beside the place; false outside the picture. */
static bool beside(const struct blend *b, size_t at, int dx, int dy, size_t *other)
{
    int x = (int)(at % (size_t)b->w) + dx, y = (int)(at / (size_t)b->w) + dy;

    *other = (size_t)y * (size_t)b->w + (size_t)x;
    return x >= 0 && y >= 0 && x < b->w && y < b->h;
}

/* The step that a source shows in that direction: its own pixel less its neighbour's; false if that is not kept. */
static bool step_at(const struct blend *b, uint32_t source, int dx, int dy, four_floats *step)
{
    size_t other;

    if (!beside(b, source, dx, dy, &other) || !is_kept(b, other))
        return false;
    *step = colour(b, source) - colour(b, other);
    return true;
}

/* Between two copied pixels: the mean of what both sources say; a seam that neither knows is level. */
static four_floats wanted_step(const struct blend *b, size_t at, size_t other, int dx, int dy)
{
    four_floats one = {0}, two = {0};
    bool first = step_at(b, b->from[at], dx, dy, &one), second = false;

    if (!is_kept(b, other)) {
        second = step_at(b, b->from[other], -dx, -dy, &two);
        two = -two;
    }
    return first && second ? 0.5F * (one + two) : first ? one : two;
}

static const int sides[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};

/* The right side goes to r, the first guess (the copy) to x. */
static void set_equation(struct blend *b, int i, const int32_t *index)
{
    size_t at = b->at[i], other;
    four_floats copy = colour(b, b->from[at]), right = PULL * copy;
    float diagonal = PULL;

    for (int k = 0; k < 4; k++) {
        b->side[i][k] = b->count;
        if (!beside(b, at, sides[k][0], sides[k][1], &other) || (index[other] < 0 && !is_kept(b, other)))
            continue;
        diagonal += 1;
        right += wanted_step(b, at, other, sides[k][0], sides[k][1]);
        if (is_kept(b, other))
            right += colour(b, other);
        else
            b->side[i][k] = index[other];
    }
    b->diagonal[i] = diagonal;
    b->r[i] = right;
    b->x[i] = copy;
}

static four_floats apply(const struct blend *b, const four_floats *v, int i)
{
    const int32_t *s = b->side[i];
    return b->diagonal[i] * v[i] - (v[s[0]] + v[s[1]] + v[s[2]] + v[s[3]]);
}

static int chunk_end(const struct blend *b, int chunk)
{
    return (chunk + 1) * CHUNK < b->count ? (chunk + 1) * CHUNK : b->count;
}

static four_floats sum_chunks(const four_floats *part, int n)
{
    four_floats sum = {0};

    for (int i = 0; i < n; i++)
        sum += part[i];
    return sum;
}

static void first_residual(void *context, int chunk, int worker)
{
    struct blend *b = context;
    four_floats dot = {0};

    (void)worker;
    for (int i = chunk * CHUNK; i < chunk_end(b, chunk); i++) {
        b->r[i] -= apply(b, b->x, i);
        b->p[i] = b->r[i] / b->diagonal[i];
        dot += b->r[i] * b->p[i];
    }
    b->dots[chunk] = dot;
}

static void multiply(void *context, int chunk, int worker)
{
    struct blend *b = context;
    four_floats dot = {0};

    (void)worker;
    for (int i = chunk * CHUNK; i < chunk_end(b, chunk); i++) {
        b->q[i] = apply(b, b->p, i);
        dot += b->p[i] * b->q[i];
    }
    b->dots[chunk] = dot;
}

static void step_on(void *context, int chunk, int worker)
{
    struct blend *b = context;
    four_floats dot = {0}, alpha = b->alpha;

    (void)worker;
    for (int i = chunk * CHUNK; i < chunk_end(b, chunk); i++) {
        four_floats r = b->r[i] - alpha * b->q[i];
        b->x[i] += alpha * b->p[i];
        b->r[i] = r;
        dot += r * r / b->diagonal[i];
    }
    b->dots[chunk] = dot;
}

static void turn_to(void *context, int chunk, int worker)
{
    struct blend *b = context;

    (void)worker;
    for (int i = chunk * CHUNK; i < chunk_end(b, chunk); i++)
        b->p[i] = b->r[i] / b->diagonal[i] + b->beta * b->p[i];
}

static four_floats quotient(four_floats a, four_floats b)
{
    four_floats q = {0};

    for (int c = 0; c < 3; c++)
        q[c] = b[c] > 0 ? a[c] / b[c] : 0;
    return q;
}

static void solve(struct blend *b)
{
    int n = chunks_of(b);
    four_floats rho, first, next;

    pool_for(b->pool, n, first_residual, b);
    first = rho = sum_chunks(b->dots, n);
    for (int step = 0; step < MOST_STEPS; step++) {
        if (rho[0] <= LEAST_RESIDUAL * first[0] && rho[1] <= LEAST_RESIDUAL * first[1] &&
            rho[2] <= LEAST_RESIDUAL * first[2])
            break;
        pool_for(b->pool, n, multiply, b);
        b->alpha = quotient(rho, sum_chunks(b->dots, n));
        pool_for(b->pool, n, step_on, b);
        next = sum_chunks(b->dots, n);
        b->beta = quotient(next, rho);
        rho = next;
        pool_for(b->pool, n, turn_to, b);
    }
}

static void blend_fini(struct blend *b)
{
    free(b->at);
    free(b->side);
    free(b->diagonal);
    aligned_free(b->x);
    aligned_free(b->r);
    aligned_free(b->p);
    aligned_free(b->q);
    aligned_free(b->dots);
}

static bool blend_init(struct blend *b)
{
    size_t n = (size_t)b->count + 1, size = n * sizeof(four_floats);

    b->at = malloc(n * sizeof *b->at);
    b->side = malloc(n * sizeof *b->side);
    b->diagonal = malloc(n * sizeof *b->diagonal);
    b->x = aligned_new(size);
    b->r = aligned_new(size);
    b->p = aligned_new(size);
    b->q = aligned_new(size);
    b->dots = aligned_new(((size_t)chunks_of(b) + 1) * sizeof(four_floats));
    if (b->at == NULL || b->side == NULL || b->diagonal == NULL || b->x == NULL || b->r == NULL || b->p == NULL ||
        b->q == NULL || b->dots == NULL)
        return false;
    b->x[b->count] = b->p[b->count] = (four_floats){0};
    return true;
}

static void find_range(struct blend *b, size_t n)
{
    b->low = (four_floats){255, 255, 255, 0};
    b->high = (four_floats){0};
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3 && is_kept(b, i); c++) {
            float v = b->rgb[3 * i + (size_t)c];
            b->low[c] = v < b->low[c] ? v : b->low[c];
            b->high[c] = v > b->high[c] ? v : b->high[c];
        }
}

static void store(const struct blend *b)
{
    for (int i = 0; i < b->count; i++)
        for (int c = 0; c < 3; c++) {
            float v = fminf(fmaxf(b->x[i][c], b->low[c]), b->high[c]);
            b->rgb[3 * (size_t)b->at[i] + (size_t)c] = (uint8_t)lrintf(v);
        }
}

enum infomask_status match_blend(const struct match *match, const uint32_t *from, uint8_t *rgb, const uint8_t *hole,
                                 int h, int w, struct infomask_error *err)
{
    struct blend b = {.h = h, .w = w, .from = from, .rgb = rgb, .hole = hole, .pool = match->options->pool};
    size_t n = (size_t)h * (size_t)w;
    int32_t *index = malloc(n * sizeof *index);
    bool made = index != NULL;

    for (size_t i = 0; made && i < n; i++)
        index[i] = hole[i] != 0 && from[i] != UINT32_MAX ? b.count++ : -1;
    if (made)
        made = blend_init(&b);
    for (size_t i = 0; made && i < n; i++)
        if (index[i] >= 0)
            b.at[index[i]] = (uint32_t)i;
    for (int i = 0; made && i < b.count; i++)
        set_equation(&b, i, index);
    if (made) {
        find_range(&b, n);
        solve(&b);
        store(&b);
    }
    blend_fini(&b);
    free(index);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
}
