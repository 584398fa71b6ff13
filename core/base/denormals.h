/* Numbers below the smallest normal one count as 0 in this thread, as operands and as results, between
 * denormals_flush and denormals_restore: many processors take a hundred times as long for each of them. */
#ifndef INFOMASK_BASE_DENORMALS_H
#define INFOMASK_BASE_DENORMALS_H

#include <stdint.h>

/* What to restore. */
static inline uint64_t denormals_flush(void)
{
    uint64_t before = 0;
#if defined(__x86_64__)
    before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((unsigned)before | 1u << 15 | 1u << 6); /* FTZ, DAZ */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" ::"r"(before | UINT64_C(1) << 24)); /* FZ */
#endif
    return before;
}

static inline void denormals_restore(uint64_t before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" ::"r"(before));
#else
    (void)before;
#endif
}

#endif
