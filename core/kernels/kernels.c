/* The tables are filled once, each from the one before it, for what this processor has. */
#include "core/kernels/kernels.h"

#include <pthread.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"

static struct kernel_table tables[KERNEL_ISAS];
static bool present[KERNEL_ISAS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const names[KERNEL_ISAS] = {"ref", "blas", "neon", "avx2", "avx512", "amx"};

static void derive(enum kernel_isa isa, enum kernel_isa from, void (*fill)(struct kernel_table *table))
{
    tables[isa] = tables[from];
    tables[isa].isa = isa;
    tables[isa].name = names[isa];
    fill(&tables[isa]);
    present[isa] = true;
}

static void fill_tables(void)
{
    derive(KERNEL_REF, KERNEL_REF, kernels_ref_fill);
    derive(KERNEL_BLAS, KERNEL_REF, kernels_blas_fill);
#if defined(__x86_64__)
    if (cpu_features()->avx2_fma)
        derive(KERNEL_AVX2, KERNEL_BLAS, kernels_avx2_fill);
    if (cpu_features()->avx2_fma && cpu_features()->avx512)
        derive(KERNEL_AVX512, KERNEL_AVX2, kernels_avx512_fill);
#if defined(KERNELS_AMX)
    if (present[KERNEL_AVX512] && cpu_features()->amx)
        derive(KERNEL_AMX, KERNEL_AVX512, kernels_amx_fill);
#endif
#elif defined(__aarch64__) /* each has Advanced SIMD */
    derive(KERNEL_NEON, KERNEL_BLAS, kernels_neon_fill);
#endif
}

const struct kernel_table *kernels_get(enum kernel_isa isa)
{
    (void)pthread_once(&once, fill_tables);
    return (unsigned)isa < KERNEL_ISAS && present[isa] ? &tables[isa] : NULL;
}

const struct kernel_table *kernels_best(void)
{
    int isa = KERNEL_ISAS - 1;

    while (kernels_get((enum kernel_isa)isa) == NULL)
        isa--;
    return kernels_get((enum kernel_isa)isa);
}

enum infomask_status kernels_named(const char *name, const struct kernel_table **table, struct infomask_error *err)
{
    for (int i = 0; i < KERNEL_ISAS; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *table = kernels_get((enum kernel_isa)i);
        if (*table == NULL)
            return error_set(err, INFOMASK_ARGUMENT, "this processor or build has no %s kernels", name);
        return INFOMASK_OK;
    }
    return error_set(err, INFOMASK_ARGUMENT, "kernels must be ref, blas, neon, avx2, avx512 or amx, not '%.20s'", name);
}

void kernel_weights_fini(struct kernel_weights *weights)
{
    if (weights == NULL)
        return;
    if (!weights->moved)
        aligned_free(weights->data);
    aligned_free(weights->bias);
    aligned_free(weights->scale);
    *weights = (struct kernel_weights){0};
}

void kernel_weights_move(struct kernel_weights *weights, void *to)
{
    memcpy(to, weights->data, weights->bytes);
    if (!weights->moved)
        aligned_free(weights->data);
    weights->data = to;
    weights->moved = true;
}
