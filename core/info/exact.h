/* Sums of doubles that do not depend on the order of the additions: 128-bit fixed point, unit 2^-52.
 *
 * Every addend is rounded to the unit (an error of at most 2^-53, that of a double near 1) and held to +-1e12, so 2^35
 * addends fit.  Adding and merging are then exact: shards, threads and a single run give the same bits.
 */
#ifndef INFOMASK_INFO_EXACT_H
#define INFOMASK_INFO_EXACT_H

#include <math.h>
#include <stdint.h>

#define INFO_EXACT_LIMIT 1e12

struct info_exact {
    __int128 units;
};

static inline void info_exact_add(struct info_exact *sum, double x)
{
    sum->units += (__int128)nearbyint(fmax(-INFO_EXACT_LIMIT, fmin(INFO_EXACT_LIMIT, x)) * 0x1p52);
}

static inline void info_exact_merge(struct info_exact *sum, const struct info_exact *other)
{
    sum->units += other->units;
}

static inline double info_exact_value(const struct info_exact *sum)
{
    return (double)sum->units * 0x1p-52;
}

#endif
