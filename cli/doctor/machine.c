/* The limits of the process and the machine. */
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/cpu.h"

#define SPARE_FILES 64              /* descriptors beside those of connections: models, state, log */
#define LEAST_MEMORY (256u << 20)   /* bytes that the default model needs with some photos at work */

static double megabytes(unsigned long long bytes) { return (double)bytes / 1e6; }

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

static void look_at_files(struct doctor *doctor)
{
    unsigned long long wanted = (unsigned long long)doctor->cli->config.max_connections + SPARE_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max < wanted)
        doctor_say(
            doctor, DOCTOR_WARN, "files", "ulimit -n, or LimitNOFILE of the unit; or set max_connections to less",
            "%llu descriptors are allowed, and max_connections needs %llu", (unsigned long long)limit.rlim_max, wanted);
    else
        doctor_say(doctor, DOCTOR_OK, "files", NULL, "%llu descriptors are allowed, %llu needed",
                   (unsigned long long)limit.rlim_max, wanted);
}

/* A number that begins a file; 0: there is none. */
static unsigned long long number_in(const char *path)
{
    unsigned long long value = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu", &value) != 1)
        value = 0;
    (void)fclose(file);
    return value;
}

/* Bytes that the machine, or the container, has left. */
static unsigned long long memory_left(void)
{
    unsigned long long left = 0, most = number_in("/sys/fs/cgroup/memory.max");
    unsigned long long used = number_in("/sys/fs/cgroup/memory.current");
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &left) == 1)
            left *= 1024;
    if (file != NULL)
        (void)fclose(file);
    if (most > used && most - used < left)
        left = most - used;
    return left;
}

static void look_at_memory(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    unsigned long long threads = (unsigned long long)(config->threads > 0 ? config->threads : cpu_count()),
                       left = memory_left();
    unsigned long long allowed = threads * (config->arena + config->decoder_memory) +
                                 (unsigned long long)config->queue * config->max_body + config->cache +
                                 config->async_memory;
    struct rlimit space;

    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        doctor_say(doctor, DOCTOR_FAIL, "memory",
                   "ulimit -v unlimited; limit memory by MemoryMax of the unit or the container",
                   "the address space is limited to %.0f MB: OpenBLAS would wait for ever where it cannot map memory",
                   megabytes(space.rlim_cur));
    else if (left > 0 && left < LEAST_MEMORY)
        doctor_say(doctor, DOCTOR_FAIL, "memory", "give it more", "%.0f MB are left", megabytes(left));
    else if (left > 0 && allowed > left)
        doctor_say(doctor, DOCTOR_WARN, "memory", "set arena, queue, max_body, cache or async_memory to less",
                   "%.0f MB are left, and the worst that the settings allow is %.0f MB", megabytes(left),
                   megabytes(allowed));
    else
        doctor_say(doctor, DOCTOR_OK, "memory", NULL, "%.0f MB are left; the worst that the settings allow is %.0f MB",
                   megabytes(left), megabytes(allowed));
}

void doctor_limits(struct doctor *doctor)
{
    look_at_files(doctor);
    look_at_memory(doctor);
}
