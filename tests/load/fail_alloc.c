/* To be preloaded: makes one allocation of the process fail, or some in a row, as a test says through shared memory.
 *
 * INFOMASK_FAIL_ALLOC names a file of three int64: [0] how many allocations are still to succeed, [1] how many then
 * fail, [2] how many were asked for so far.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

struct control {
    _Atomic int64_t left, failing, asked;
};

static struct control *_Atomic control;

__attribute__((constructor)) static void attach(void)
{
    const char *name = getenv("INFOMASK_FAIL_ALLOC");
    int fd = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        (void)close(fd);
    if (memory != MAP_FAILED)
        control = memory;
}

static bool fails(void)
{
    struct control *c = control;
    int64_t left;

    if (c == NULL)
        return false;
    atomic_fetch_add(&c->asked, 1);
    left = atomic_fetch_sub(&c->left, 1);
    if (left > 0 || left <= -atomic_load(&c->failing))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails() ? NULL : __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : __libc_memalign(alignment, size);

    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}
