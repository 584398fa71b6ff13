/* The state folder, the disk, and the limits of the process and the machine. */
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "app/state/estimates.h"
#include "core/base/cpu.h"

#define SPARE_FILES 64              /* descriptors beside those of connections: models, state, log */
#define LEAST_DISK (64u << 20)      /* bytes: journals and temporary files of what is written */
#define LEAST_MEMORY (256u << 20)   /* bytes that the default model needs with some photos at work */

static double megabytes(unsigned long long bytes) { return (double)bytes / 1e6; }

/* ---- State ------------------------------------------------------------------------------------------------------- */

/* The folder itself, or the nearest above it that is there; malloc'ed. */
static char *existing(const char *path)
{
    char *at = strdup(path);

    while (at != NULL && access(at, F_OK) != 0) {
        char *slash = strrchr(at, '/');
        if (slash == NULL)
            return free(at), strdup(".");
        slash[slash == at] = '\0';
    }
    return at;
}

static void look_at_disk(struct doctor *doctor, const char *folder)
{
    unsigned long long limit = doctor->cli->config.state_limit, spare;
    struct statvfs disk;

    if (statvfs(folder, &disk) != 0)
        return;
    spare = (unsigned long long)disk.f_bavail * disk.f_frsize;
    if (spare < LEAST_DISK)
        doctor_say(doctor, DOCTOR_FAIL, "disk", "make room, or set state_dir to another disk", "%.0f MB are free at %s",
                   megabytes(spare), folder);
    else if (spare < limit)
        doctor_say(doctor, DOCTOR_WARN, "disk", "make room, or set state_limit to less",
                   "%.0f MB are free at %s, and the state may grow to %.0f MB", megabytes(spare), folder,
                   megabytes(limit));
    else
        doctor_say(doctor, DOCTOR_OK, "disk", NULL, "%.0f MB are free at %s", megabytes(spare), folder);
}

/* Does the file of estimates open?  Another process may have it open too. */
static void look_at_estimates(struct doctor *doctor, const char *folder)
{
    const struct config *config = &doctor->cli->config;
    const struct estimates_options options = {
        .max_bytes = config->state_limit, .logit_bytes = UINT64_MAX, .relaxed = true};
    struct estimates *estimates = NULL;
    struct infomask_error err;
    char *path = file_join(folder, "estimates.db");

    if (path != NULL && access(path, F_OK) == 0) {
        if (estimates_open(path, &options, &estimates, &err) == INFOMASK_OK)
            doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s can be written, and its estimates read", folder);
        else
            doctor_say(doctor, DOCTOR_FAIL, "state", "put back a copy of estimates.db, or move it away", "%s: %s",
                       folder, err.text);
        estimates_close(estimates);
    } else if (path != NULL) {
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s can be written; there are no estimates yet", folder);
    }
    free(path);
}

static bool can_write(const char *folder)
{
    char *name = file_join(folder, ".doctor-XXXXXX");
    int fd = name != NULL ? mkostemp(name, O_CLOEXEC) : -1, code = errno;

    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(name);
    }
    free(name);
    errno = code;
    return fd >= 0;
}

void doctor_state_folder(struct doctor *doctor)
{
    char *path = place_of_state_path(doctor->cli->config.state_dir), *there = path != NULL ? existing(path) : NULL;
    struct stat at;

    if (there == NULL) {
        doctor_say(doctor, DOCTOR_WARN, "state", "set state_dir",
                   "there is no place for state: estimates will be refused");
    } else if (stat(there, &at) != 0 || !S_ISDIR(at.st_mode)) {
        doctor_say(doctor, DOCTOR_FAIL, "state", "set state_dir to a folder", "%s is not a folder", there);
    } else if (!can_write(there)) {
        doctor_say(doctor, DOCTOR_FAIL, "state", "give it to the user of the service, or set state_dir", "%s: %s",
                   there, strerror(errno));
    } else if (strcmp(path, there) != 0) {
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s will be made", path);
    } else {
        look_at_estimates(doctor, path);
        if ((at.st_mode & S_IWOTH) != 0)
            doctor_say(doctor, DOCTOR_WARN, "state", "chmod o-w it", "%s can be written by everybody", path);
    }
    if (there != NULL)
        look_at_disk(doctor, there);
    free(there);
    free(path);
}

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
