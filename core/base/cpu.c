#include "core/base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

static struct cpu_features features;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void detect(void)
{
#if defined(__x86_64__)
    /* the compiler's own run-time support reads cpuid and xgetbv */
    __builtin_cpu_init();
    features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
    features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
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
