/* Arrays of float32 in files, made by independent programs (tests/data), and how near to them is near enough. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <math.h>

#include "test.h"

/* The file's `count` numbers, and it holds no more; to be freed. */
static inline float *golden_load(const char *path, size_t count)
{
    FILE *file = fopen(path, "rb");
    float *data = malloc(count * sizeof *data);

    assert_non_null(file);
    assert_non_null(data);
    assert_int_equal(fread(data, sizeof *data, count, file), count);
    assert_int_equal(fgetc(file), EOF);
    (void)fclose(file);
    return data;
}

static inline void assert_close(const float *a, const float *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            fail_msg("element %zu: %.9g, not %.9g", i, (double)a[i], (double)b[i]);
}

#endif
