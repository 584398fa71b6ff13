/* Two bettors that take turns, by what has been seen so far.
 *
 * With D the stake and W the capital, a step is W + D w (x - m).
 *   plain   D = W min(b, .9 / m): the b that is best for a normal x of the variance seen so far.  Where that variance
 *           is small (a model that is nearly never wrong), nothing grows faster.
 *   target  D = C phi(Phi^-1(W / C)) / (s sqrt(steps left)): what holds the price of "C at the end or nothing" if x
 *           were normal with deviation s.  All or nothing at the end spends no chance on being richer than needed: the
 *           limit lies 2.1 standard errors below the mean for a confidence of .975, where the plain bettor ends 2.7
 *           below it.
 *
 * Why one bracket of m suffices: with D(W) for the target cut to at most .9 W and C - W, its slope lies in [-1, 1] (phi
 * o Phi^-1 is concave and 0 at both ends), so that a step never turns a larger capital into a smaller one; nor does a
 * plain one, whose factor is at least .1.  Neither step grows with m, and which of the two it is does not depend on m.
 * So the capital at the end never grows with m.
 */
#include "core/info/limits/betting.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/base/cpu.h"
#include "core/base/random.h"

#define MOST_LOST 0.9         /* of the capital, at one step */
#define GOAL_FACTOR 1.5       /* C over 1 / (1 - confidence): the mean over the orders has to reach the latter */
#define SMALL_DEVIATION 2     /* s sqrt(n) below this: plain */
#define SEEN_MEAN 0.7         /* what the mean and the variance start from, as if one value had been seen */
#define SEEN_VARIANCE 0.05
#define MOST_ORDERS 64
#define LEAST_ORDERS 8
#define STEPS_IN_ALL (1 << 17) /* over which there are fewer orders */
#define KEPT_BYTES 100e6      /* of orders that are laid out once for all passes */
#define MOST_CAPITAL 1e150
#define TRIED 16              /* values of m in one pass */
#define TOLERANCE 1e-3        /* of the standard error: the limit is rounded down by no more */
#define CELLS 1024 /* of the table of phi(Phi^-1(p)); between its points it lies below the curve, on the safe side */

struct bettor {
    const struct info_unit *units;
    size_t n, orders, kept;
    double goal;             /* 1 / (1 - confidence) */
    double *values;          /* [kept, and one more if that is not all][n] */
    double *weights;         /* the same; NULL: all are 1 */
    bool laid;               /* the kept ones are there */
    double *x, *w;           /* [n] of one order, of these */
    uint32_t *place;         /* [n] */
    double price[CELLS + 1]; /* phi(Phi^-1(i / CELLS)) */
};

/* ---- The table --------------------------------------------------------------------------------------------------- */

static double density(double z)
{
    return exp(-0.5 * z * z) / sqrt(2 * acos(-1));
}

/* Newton from the point before; the other half is its mirror image. */
static void fill_prices(double *price)
{
    double z = 0;

    price[0] = price[CELLS] = 0;
    for (int i = CELLS / 2; i > 0; i--) {
        double p = (double)i / CELLS;
        for (int step = 0; step < 20; step++)
            z -= fmin((0.5 * erfc(-z / sqrt(2)) - p) / density(z), 0.5);
        price[i] = price[CELLS - i] = density(z);
    }
}

/* ---- One order --------------------------------------------------------------------------------------------------- */

static void shuffle(struct bettor *b, uint64_t order)
{
    struct random_stream random = random_stream(0x6265747321, order);

    for (size_t i = 0; i < b->n; i++)
        b->place[i] = (uint32_t)i;
    for (size_t i = b->n; i > 1; i--) {
        size_t j = random_below(&random, (uint32_t)i);
        uint32_t moved = b->place[i - 1];
        b->place[i - 1] = b->place[j];
        b->place[j] = moved;
    }
}

/* The values (and weights) in that order. */
static void lay_out(struct bettor *b, size_t order)
{
    size_t place = order < b->kept ? order : b->kept;

    b->x = b->values + place * b->n;
    b->w = b->weights != NULL ? b->weights + place * b->n : NULL;
    if (b->laid && order < b->kept)
        return;
    shuffle(b, order);
    for (size_t i = 0; i < b->n; i++)
        b->x[i] = b->units[b->place[i]].x;
    for (size_t i = 0; b->w != NULL && i < b->n; i++)
        b->w[i] = b->units[b->place[i]].weight;
}

/* One instruction, where fmin is a call: no number here is a NaN. */
static inline double least(double a, double b)
{
    return a < b ? a : b;
}

/* The capital's stake of the target bettor; `scale` is C / (s sqrt(steps left)).  Without branches, for vectors. */
static inline double target_stake(const double *price, double capital, double goal, double scale)
{
    double p = capital / goal * CELLS, most = least(MOST_LOST * capital, goal - capital);
    int cell = (int)least(p, CELLS - 1);
    double between = price[cell] + (p - cell) * (price[cell + 1] - price[cell]);

    return most > 0 ? least(between * scale, most) : 0;
}

/* Adds the capitals at the end of the order that is laid out.  The deviation before each step is that of w (x - mean)
 * over what came earlier: the stakes are predictable.  It is taken anew each time, between two steps of a chain that
 * has to wait for itself anyway. */
CPU_CLONES
static void bet(const struct bettor *b, const double *m, double *capitals)
{
    double capital[TRIED], most[TRIED], n = (double)b->n, plain = sqrt(2 * log(b->goal) / n);
    double goal = GOAL_FACTOR * b->goal, sum = SEEN_MEAN, weights = 1, squares = SEEN_VARIANCE;

    for (int k = 0; k < TRIED; k++) {
        capital[k] = 1;
        most[k] = MOST_LOST / m[k];
    }
    for (size_t i = 0; i < b->n; i++) {
        double x = b->x[i], w = b->w != NULL ? b->w[i] : 1, deviation = sqrt(squares / (double)(i + 1)), miss;
        double stake = 1 / deviation, scale = goal * stake / sqrt(n - (double)i), factor = stake * plain;
        if (deviation * sqrt(n) < SMALL_DEVIATION)
            for (int k = 0; k < TRIED; k++)
                capital[k] = least(capital[k] * (1 + least(factor, most[k]) * w * (x - m[k])), MOST_CAPITAL);
        else
            for (int k = 0; k < TRIED; k++)
                capital[k] += target_stake(b->price, capital[k], goal, scale) * w * (x - m[k]);
        sum += w * x;
        weights += w;
        miss = w * (x - sum / weights);
        squares += miss * miss;
    }
    for (int k = 0; k < TRIED; k++)
        capitals[k] += capital[k];
}

/* ---- The limit --------------------------------------------------------------------------------------------------- */

/* How many of the rising m [TRIED] are refuted. */
static int refuted(struct bettor *b, const double *m)
{
    double capitals[TRIED] = {0};
    int count = 0;

    for (size_t order = 0; order < b->orders; order++) {
        lay_out(b, order);
        bet(b, m, capitals);
    }
    b->laid = true;
    while (count < TRIED && capitals[count] >= b->goal * (double)b->orders)
        count++;
    return count;
}

static int by_value(const void *left, const void *right)
{
    const struct info_unit *a = left, *b = right;

    if (a->x < b->x || a->x > b->x)
        return a->x < b->x ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

/* The mean, and the standard error of it. */
static double mean_of(const struct info_unit *units, size_t n, double *error)
{
    double sum = 0, weights = 0, squares = 0;

    for (size_t i = 0; i < n; i++) {
        sum += units[i].weight * units[i].x;
        weights += units[i].weight;
    }
    for (size_t i = 0; i < n; i++) {
        double miss = units[i].weight * (units[i].x - sum / weights);
        squares += miss * miss;
    }
    *error = sqrt(squares) / weights;
    return sum / weights;
}

/* The first values of m lie close where the limit most likely is, and one is 0; from then on they cut what lies between
 * the last that is refuted and the first that stands. */
static double find_limit(struct bettor *b)
{
    double m[TRIED], error, mean = mean_of(b->units, b->n, &error), low = 0, high = mean;
    double step = fmax(1.9 * error, 1 / (double)b->n), enough = TOLERANCE * fmax(error, 1e-2 / (double)b->n);

    for (int k = 0; k < TRIED; k++)
        m[k] = k > 0 ? fmax(mean - step * pow(1.08, TRIED - 1 - k), 0) : 0;
    for (int pass = 0; pass < 16 && high - low > enough; pass++) {
        int count = refuted(b, m);
        low = count > 0 ? m[count - 1] : low;
        high = count < TRIED ? m[count] : high;
        for (int k = 0; k < TRIED; k++)
            m[k] = low + (high - low) * (k + 1) / (TRIED + 1);
    }
    return low;
}

static bool are_even(const struct info_unit *units, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (units[i].weight < 1)
            return false;
    return true;
}

/* For the orders. */
static bool make_room(struct bettor *b)
{
    bool even = are_even(b->units, b->n);
    size_t bytes = b->n * sizeof(double) * (even ? 1 : 2), places;

    b->kept = (size_t)(KEPT_BYTES / (double)bytes);
    b->kept = b->kept < b->orders ? b->kept : b->orders;
    places = b->kept + (b->kept < b->orders);
    b->values = malloc(places * bytes + b->n * sizeof(uint32_t));
    if (b->values == NULL)
        return false;
    b->weights = even ? NULL : b->values + places * b->n;
    b->place = (uint32_t *)(void *)(b->values + places * b->n * (even ? 1 : 2));
    return true;
}

enum infomask_status info_betting_limit(struct info_unit *units, size_t n, double confidence, double *limit,
                                        struct infomask_error *err)
{
    struct bettor b = {.units = units, .n = n, .goal = 1 / (1 - confidence)};

    *limit = 0;
    b.orders = STEPS_IN_ALL / n;
    b.orders = b.orders > MOST_ORDERS ? MOST_ORDERS : b.orders < LEAST_ORDERS ? LEAST_ORDERS : b.orders;
    if (n > UINT32_MAX || !make_room(&b))
        return error_set(err, INFOMASK_MEMORY, "no memory for the limit of %zu samples", n);
    qsort(units, n, sizeof *units, by_value);
    fill_prices(b.price);
    *limit = find_limit(&b);
    free(b.values);
    return INFOMASK_OK;
}
