/* Who is connected, how long each may take, and who is cut: the deadlines and limits that the HTTP library lacks.
 *
 * The library's timeouts are idle timeouts, which one byte a second outlives.  Here every connection has a phase with a
 * total deadline; connections_reap shuts down the socket of those past it, which the library then sees as an end of
 * file.  A row is one descriptor; the library's notices come before it closes one, so that no row is ever shut down
 * under a new connection.  Thread rule: any thread.
 */
#ifndef SERVER_HTTP_CONNECTIONS_H
#define SERVER_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/status.h"
#include "server/observe/metrics.h"

struct connections;
struct proxies;

struct connection_limits {
    int total, per_address; /* connections; per_address 0: no limit */
    double head_ms;         /* for a request's head, the first one's from the connection's start, and between two */
    const struct proxies *proxies; /* whose connections are not counted by address, and may be idle for longer than
                                      proxies keep them: who closes first may close over a request on its way */
    double body_ms;
    double body_rate;       /* bytes per second that a body must come with, after the first 5 s; 0: any */
    double reply_ms;        /* for sending an answer */
};

enum infomask_status connections_create(struct connections **connections, const struct connection_limits *limits,
                                        struct metrics *metrics, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Closes what lingers. */
void connections_free(struct connections *connections);

enum admission { ADMIT, ADMIT_NOT_TOTAL, ADMIT_NOT_ADDRESS };
/* A socket was accepted.  Counts it if there is room.  tls: nothing may be written past the library.  loopback: only
 * this machine reaches the address that it came in by. */
enum admission connections_admit(struct connections *connections, int fd, const struct sockaddr *address, bool tls,
                                 bool loopback);
bool connections_loopback(struct connections *connections, int fd);

enum connection_phase {
    CONNECTION_FREE,
    CONNECTION_FRESH,  /* accepted; nothing came yet */
    CONNECTION_IDLE,   /* between two requests */
    CONNECTION_HEAD,   /* some of a request came */
    CONNECTION_BODY,
    CONNECTION_WORK,   /* computing: the job has the deadline */
    CONNECTION_DONE,   /* the answer is there: the library has still to take it */
    CONNECTION_REPLY
};
/* A head begins once: what comes of it later, or of the next one while this one is answered, changes nothing. */
void connections_phase(struct connections *connections, int fd, enum connection_phase phase);
void connections_received(struct connections *connections, int fd, size_t bytes); /* of the body */
/* The answer goes out before the body was read: when the library closes, what still comes is read and thrown away for a
 * while, because a socket closed over unread bytes takes the answer back (RST). */
void connections_linger(struct connections *connections, int fd);
/* The library is about to close it (or never took it over). */
void connections_closed(struct connections *connections, int fd);

/* Refuses a socket that was not admitted: writes the answer, lingers, closes. */
void connections_refuse(struct connections *connections, int fd, const char *answer, size_t size);

/* Cuts who is late and reads lingering sockets empty; call it every 100 ms or so, and soon again if it returns true:
 * somebody lingers, perhaps still sending. */
bool connections_reap(struct connections *connections);

/* What limits count by: a hash of an IPv4 address, or of the /64 of an IPv6 one (what one customer has); 0 for a local
 * socket, which is not limited. */
uint64_t connections_address(const struct sockaddr *address);

/* Makes the library look at those whose answer is there: it forgets to, where it had no memory when it was told. */
void connections_nudge(struct connections *connections);

struct connections_count {
    int open, fresh, busy; /* busy: from a request's first byte to an answer's end */
};
void connections_count(struct connections *connections, struct connections_count *count);

#endif
