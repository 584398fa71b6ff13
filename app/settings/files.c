#include "app/settings/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_CAPACITY 65536

char *file_join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static enum infomask_status read_fails(struct infomask_error *err)
{
    return error_set(err, INFOMASK_IO, "cannot be read: %s", strerror(errno));
}

/* A first guess: the file's own size, where it has one. */
static size_t expected_size(int fd, size_t limit)
{
    struct stat stat;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size >= 0 && (size_t)stat.st_size <= limit)
        return (size_t)stat.st_size + 1;
    return FIRST_CAPACITY;
}

enum infomask_status file_read_from(int fd, size_t limit, char **data, size_t *size, struct infomask_error *err)
{
    size_t capacity = expected_size(fd, limit), used = 0;
    char *buffer = malloc(capacity + 1);

    while (buffer != NULL) {
        ssize_t got = read(fd, buffer + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            enum infomask_status status = read_fails(err);
            free(buffer);
            return status;
        }
        if (got == 0) {
            buffer[used] = '\0';
            *data = buffer;
            *size = used;
            return INFOMASK_OK;
        }
        used += (size_t)got;
        if (used > limit) {
            free(buffer);
            return error_set(err, INFOMASK_LIMIT, "is larger than %zu bytes, the most that is read", limit);
        }
        if (used == capacity) {
            char *more = capacity < SIZE_MAX / 4 ? realloc(buffer, capacity * 2 + 1) : NULL;
            if (more == NULL)
                break;
            buffer = more;
            capacity *= 2;
        }
    }
    free(buffer);
    return error_set(err, INFOMASK_MEMORY, "out of memory");
}

enum infomask_status file_read(const char *path, size_t limit, char **data, size_t *size, struct infomask_error *err)
{
    bool input = strcmp(path, "-") == 0;
    int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum infomask_status status;

    if (fd < 0)
        return read_fails(err);
    status = file_read_from(fd, limit, data, size, err);
    if (!input)
        (void)close(fd);
    return status;
}

enum infomask_status file_read_regular(const char *path, size_t limit, char **data, size_t *size,
                                       struct infomask_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum infomask_status status;
    struct stat at;

    if (fd < 0)
        return read_fails(err);
    if (fstat(fd, &at) == 0 && S_ISREG(at.st_mode))
        status = file_read_from(fd, limit, data, size, err);
    else
        status = error_set(err, INFOMASK_IO, "cannot be read: it is not a regular file");
    (void)close(fd);
    return status;
}

static enum infomask_status write_fails(struct infomask_error *err)
{
    int code = errno;
    enum infomask_status status = error_set(err, INFOMASK_IO, "cannot be written: %s", strerror(code));

    errno = code;
    return status;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* /dev/stdout, wherever it leads: opened anew, a file that it is appended to would begin again. */
static bool is_stdout(const char *path)
{
    struct stat at, out;
    return stat(path, &at) == 0 && fstat(STDOUT_FILENO, &out) == 0 && at.st_dev == out.st_dev &&
           at.st_ino == out.st_ino;
}

/* Devices, pipes (/dev/null, a FIFO) and links are written in place: a rename would put a file in their stead. */
static bool is_special(const char *path)
{
    struct stat at;
    return lstat(path, &at) == 0 && !S_ISREG(at.st_mode);
}

static bool write_in_place(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done = fd >= 0 && write_all(fd, data, size);
    int code = errno;

    if (fd >= 0)
        done = close(fd) == 0 && done;
    errno = code;
    return done;
}

/* A new file with a name of its own beside `path`, with the mode of any new file; *name is malloc'ed. */
static int open_beside(const char *path, char **name)
{
    uint32_t random;
    int fd = -1;

    *name = NULL;
    for (int i = 0; i < 100 && fd < 0; i++) {
        free(*name);
        *name = NULL;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random ||
            asprintf(name, "%s.%08x", path, (unsigned)random) < 0) {
            *name = NULL;
            return -1;
        }
        fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

static bool write_beside(const char *path, const void *data, size_t size)
{
    char *temporary;
    int fd = open_beside(path, &temporary), code;
    bool done = fd >= 0 && write_all(fd, data, size);

    code = errno;
    if (fd >= 0 && close(fd) != 0 && done) {
        code = errno;
        done = false;
    }
    if (done && rename(temporary, path) != 0) {
        code = errno;
        done = false;
    }
    if (fd >= 0 && !done)
        (void)unlink(temporary);
    free(temporary);
    errno = code;
    return done;
}

enum infomask_status file_write(const char *path, const void *data, size_t size, struct infomask_error *err)
{
    if (strcmp(path, "-") == 0 || is_stdout(path))
        return write_all(STDOUT_FILENO, data, size) ? INFOMASK_OK : write_fails(err);
    if (is_special(path))
        return write_in_place(path, data, size) ? INFOMASK_OK : write_fails(err);
    return write_beside(path, data, size) ? INFOMASK_OK : write_fails(err);
}

enum infomask_status file_make_parents(const char *path, struct infomask_error *err)
{
    char *copy = strdup(path);
    enum infomask_status status = copy == NULL ? error_set(err, INFOMASK_MEMORY, "out of memory") : INFOMASK_OK;

    for (char *slash = copy; status == INFOMASK_OK && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = error_set(err, INFOMASK_IO, "%.200s: cannot be made: %s", copy, strerror(errno));
    }
    free(copy);
    return status;
}

const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}
