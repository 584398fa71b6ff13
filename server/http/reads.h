/* A look at what the HTTP library reads from a socket, between the system (or TLS) and it: it has no hook for that.
 *
 * The program defines `recv` and `gnutls_record_recv` itself; the dynamic linker gives a program's own functions to the
 * libraries that it loads, as it does with an allocator of one's own.  Reads of other sockets pass through unseen.
 * Where a scanner (wire.h) finds a fault, the library reads an ending of ours instead of the rest, and then the end of
 * the connection.  The library also takes an end of file for a client that left, and gives it no answer: while a
 * request is answered it reads nothing.  Thread rule: one thread at a time for a descriptor, as the library has it.
 */
#ifndef SERVER_HTTP_READS_H
#define SERVER_HTTP_READS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "server/http/wire.h"

struct reads {
    struct wire wire;
    void (*begun)(void *context, int fd); /* told that a request's first byte came */
    void *context;
    bool tls;           /* what is looked at is what TLS carries */
    _Atomic bool held;  /* a request is being answered: what comes meanwhile, an end of file too, is read after that */
    _Atomic bool refused; /* nobody looks at the body of this request any more: its bytes need not be copied */
    const char *ending; /* what is still to be read of it, once there was a fault */
};

/* Looks at what is read from a descriptor from now on; reads: zeroed but for `begun` and `context`; the caller's until
 * reads_forget.  False where the number is too high to be looked at. */
bool reads_watch(int fd, struct reads *reads);
void reads_forget(int fd);

/* Whether libraries read through us: not so in a program that was linked statically. */
bool reads_work(void);

#endif
