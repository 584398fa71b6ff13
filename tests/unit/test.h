/* What every unit test needs: cmocka, and its prerequisites in the order it wants them. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* How often, or from where: a number of the environment, or the one without it. */
static inline long long test_number(const char *name, long long fallback)
{
    const char *text = getenv(name);
    return text != NULL ? strtoll(text, NULL, 10) : fallback;
}

#endif
