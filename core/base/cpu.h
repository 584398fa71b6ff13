/* What this processor can do, read once (cpuid, and xgetbv for what the operating system saves). */
#ifndef INFOMASK_BASE_CPU_H
#define INFOMASK_BASE_CPU_H

#include <stdbool.h>

struct cpu_features {
    bool avx2_fma;    /* AVX2, FMA and F16C */
    bool avx_vnni;    /* dot products of u8 x s8 quadruples without AVX-512 */
    bool avx512;      /* F, BW, DQ and VL */
    bool avx512_bf16; /* dot products of bf16 pairs */
    bool avx512_vnni; /* dot products of u8 x s8 quadruples */
    bool amx;         /* tiles, their products of bf16 and of 8 bits, beside avx512_bf16 and avx512_vnni; and the system
                         lets this process use them */
};

/* Thread-safe; the same answer for the life of the process. */
const struct cpu_features *cpu_features(void);

/* Before a function: the compiler makes a copy of it for wider vectors and the loader picks one.  Without contraction
 * of products and sums (the Makefile's numeric flags) every copy gives the same bits.  For loops that the compiler
 * turns into vector code itself; hand-written kernels have their table.  Sanitizers start after the loader has picked:
 * none. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define CPU_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CPU_CLONES
#endif

/* Cores that this process may use (its affinity mask and its cgroup's CPU quota, rounded up); at least 1. */
int cpu_count(void);

#endif
