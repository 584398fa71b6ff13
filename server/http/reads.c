#include "server/http/reads.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#define MOST 131072 /* above the largest max_connections */

/* By descriptor.  The functions below get no context but its number. */
static struct reads *_Atomic watched[MOST];

ssize_t reads_recv(int fd, void *buffer, size_t size, int flags) __asm__("recv") __attribute__((visibility("default")));
ssize_t reads_recv_tls(gnutls_session_t session, void *buffer, size_t size) __asm__("gnutls_record_recv")
    __attribute__((visibility("default")));

static struct reads *find(int fd)
{
    return fd >= 0 && fd < MOST ? atomic_load(&watched[fd]) : NULL;
}

bool reads_watch(int fd, struct reads *reads)
{
    if (fd < 0 || fd >= MOST)
        return false;
    atomic_store(&watched[fd], reads);
    return true;
}

void reads_forget(int fd)
{
    if (fd >= 0 && fd < MOST)
        atomic_store(&watched[fd], NULL);
}

bool reads_work(void)
{
    return dlsym(RTLD_DEFAULT, "recv") == (void *)(uintptr_t)reads_recv;
}

/* The next bytes of the ending, and then the end. */
static ssize_t read_ending(struct reads *reads, void *buffer, size_t size)
{
    size_t step = strnlen(reads->ending, size);

    memcpy(buffer, reads->ending, step);
    reads->ending += step;
    return (ssize_t)step;
}

/* Looks at what was read; returns how many bytes the reader sees. */
static ssize_t look(struct reads *reads, int fd, char *buffer, ssize_t got, size_t size)
{
    bool between = wire_between(&reads->wire);
    size_t fine;

    if (got <= 0)
        return got;
    fine = wire_scan(&reads->wire, buffer, (size_t)got);
    if (between && !wire_between(&reads->wire))
        reads->begun(reads->context, fd);
    if (reads->wire.fault == NULL)
        return got;
    reads->ending = wire_ending(&reads->wire);
    (void)shutdown(fd, SHUT_RD); /* from now on there is something to read for whoever waits for the socket */
    return (ssize_t)fine + read_ending(reads, buffer + fine, size - fine);
}

/* Throws bytes of a refused body away in the kernel: what of them the buffer should hold nobody looks at. */
static ssize_t skip(struct reads *reads, int fd, void *buffer, size_t size, int flags)
{
    size_t step = reads->wire.left < size ? (size_t)reads->wire.left : size;
    ssize_t got = recvfrom(fd, buffer, step, flags | MSG_TRUNC, NULL, NULL);

    return look(reads, fd, buffer, got, size);
}

ssize_t reads_recv(int fd, void *buffer, size_t size, int flags)
{
    struct reads *reads = (flags & MSG_PEEK) ? NULL : find(fd);

    if (reads != NULL && reads->tls) /* the library of TLS reads its records */
        reads = NULL;
    if (reads != NULL && atomic_load(&reads->held)) {
        errno = EAGAIN;
        return -1;
    }
    if (reads != NULL && reads->ending != NULL)
        return read_ending(reads, buffer, size);
    if (reads != NULL && reads->wire.state == WIRE_BODY && atomic_load(&reads->refused))
        return skip(reads, fd, buffer, size, flags);
    ssize_t got = recvfrom(fd, buffer, size, flags, NULL, NULL);
    return reads == NULL ? got : look(reads, fd, buffer, got, size);
}

ssize_t reads_recv_tls(gnutls_session_t session, void *buffer, size_t size)
{
    static ssize_t (*_Atomic next)(gnutls_session_t, void *, size_t);
    ssize_t (*read)(gnutls_session_t, void *, size_t) = atomic_load(&next);
    int fd = gnutls_transport_get_int(session);
    struct reads *reads = find(fd);

    if (reads != NULL && !reads->tls)
        reads = NULL;
    if (read == NULL) {
        read = (ssize_t(*)(gnutls_session_t, void *, size_t))(uintptr_t)dlsym(RTLD_NEXT, "gnutls_record_recv");
        atomic_store(&next, read);
    }
    if (reads != NULL && atomic_load(&reads->held))
        return GNUTLS_E_AGAIN;
    if (reads != NULL && reads->ending != NULL)
        return read_ending(reads, buffer, size);
    ssize_t got = read(session, buffer, size);
    return reads == NULL ? got : look(reads, fd, buffer, got, size);
}
