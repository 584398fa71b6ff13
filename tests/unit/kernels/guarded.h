/* Outputs of kernels between two zones that none of them may write to. */
#ifndef TESTS_UNIT_KERNELS_GUARDED_H
#define TESTS_UNIT_KERNELS_GUARDED_H

#include "core/base/aligned.h"
#include "test.h"

#define GUARD 64 /* floats before and behind an output */
#define POISON 1.0e30f

static float *guarded(size_t n)
{
    float *x = aligned_new((n + 2 * GUARD) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        x[i] = POISON;
    return x + GUARD;
}

static void guards_hold(const float *x, size_t n)
{
    for (size_t i = 0; i < GUARD; i++)
        if (*(x - 1 - i) != POISON || x[n + i] != POISON)
            fail_msg("written outside: %zu of %zu", i, n);
}

static void guarded_free(const float *x) { aligned_free((void *)(uintptr_t)(x - GUARD)); }

#endif
