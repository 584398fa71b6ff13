/* Arithmetic on sizes that come from outside: every product and sum is checked once, at the border.
 * Each returns true and stores the result, or returns false and stores nothing. */
#ifndef INFOMASK_BASE_CHECKED_H
#define INFOMASK_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool checked_mul(size_t a, size_t b, size_t *product)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *product = r;
    return true;
}

static inline bool checked_add(size_t a, size_t b, size_t *sum)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *sum = r;
    return true;
}

/* a * b * c, the size of an image or a tensor plane. */
static inline bool checked_mul3(size_t a, size_t b, size_t c, size_t *product)
{
    return checked_mul(a, b, product) && checked_mul(*product, c, product);
}

#endif
