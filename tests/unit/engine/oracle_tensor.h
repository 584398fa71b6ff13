/* What the oracle computes with. */
#ifndef TESTS_UNIT_ENGINE_ORACLE_TENSOR_H
#define TESTS_UNIT_ENGINE_ORACLE_TENSOR_H

#include "test.h"

#include <math.h>

#include "core/graph/graph.h"

struct oracle_tensor {
    int rank;
    size_t d[GRAPH_MAX_RANK];
    double *v;
};

static size_t oracle_count(const struct oracle_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->d[i];
    return n;
}

static void oracle_new(struct oracle_tensor *t)
{
    t->v = calloc(oracle_count(t) + 1, sizeof *t->v);
    assert_non_null(t->v);
}

#endif
