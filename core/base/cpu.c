#include "core/base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static struct cpu_features features;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
/* Leaf 7.1, EAX bit 4: a name that not every compiler's support knows. */
static bool has_avx_vnni(void)
{
    unsigned a = 0, b, c, d;

    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1) != 0;
}

#define ARCH_REQ_XCOMP_PERM 0x1023 /* of <asm/prctl.h>, Linux 5.16 */
#define AMX_BITS (1u << 22 | 1u << 24 | 1u << 25) /* of leaf 7, EDX: products of bf16, tiles, products of 8 bits */
#define TILE_DATA 18               /* the state component, Intel's manual volume 1, 13.1 */

/* Tiles are 8 KiB of registers in every thread: the system wants to be asked, once a process. */
static bool amx_granted(void)
{
    unsigned a = 0, b, c, d = 0, low = 0, high;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & AMX_BITS) != AMX_BITS)
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low >> 17 & 3) == 3 && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}
#endif

static void detect(void)
{
#if defined(__x86_64__)
    /* the compiler's own run-time support reads cpuid and xgetbv */
    __builtin_cpu_init();
    features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    features.avx_vnni = features.avx2_fma && has_avx_vnni();
    features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
    features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
    features.amx = features.avx512_bf16 && features.avx512_vnni && amx_granted();
#endif
}

const struct cpu_features *cpu_features(void)
{
    (void)pthread_once(&once, detect);
    return &features;
}

/* cgroup v2: "max 100000" or "150000 100000" */
static int quota_cpus(void)
{
    long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    int cpus = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0)
        cpus = (int)((quota + period - 1) / period);
    (void)fclose(file);
    return cpus;
}

int cpu_count(void)
{
    cpu_set_t set;
    int count = 1, quota;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    quota = quota_cpus();
    if (quota > 0 && quota < count)
        count = quota;
    return count < 1 ? 1 : count;
}
