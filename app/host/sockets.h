/* Listening sockets: TCP over IPv4 and IPv6, and local ones. */
#ifndef APP_HOST_SOCKETS_H
#define APP_HOST_SOCKETS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/base/status.h"

#define SOCKETS_MAX 16
#define SOCKET_ADDRESS_SIZE 128

struct listener {
    int fd;
    bool local, loopback, tls; /* tls: set by the caller, says how it is announced */
    bool handed; /* opened by the service manager, which keeps it: its name is not ours to remove */
    char address[SOCKET_ADDRESS_SIZE]; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/infomask.sock" */
};

/* addresses: with commas or spaces between them; each HOST, HOST:PORT, [IPV6], [IPV6]:PORT or unix:PATH.  port: where
 * none is given; 0 takes a free one.  Where a service manager handed sockets over (LISTEN_FDS and LISTEN_PID, as by
 * systemd's socket units), those are taken and the addresses are not looked at.  ARGUMENT for what is no address, IO
 * for one that is busy, both naming it. */
enum infomask_status sockets_open(const char *addresses, int port, struct listener listeners[SOCKETS_MAX], int *count,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
/* Closes them and removes local ones' names. */
void sockets_close(struct listener *listeners, int count);

/* "192.0.2.1", "2001:db8::1", "local". */
void socket_peer_text(const struct sockaddr *address, char *text, size_t size);

#endif
