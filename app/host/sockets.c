#include "app/host/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define UNSENT \
    (128 * 1024) /* of an answer that the system may hold for a client that does not read: it would hold 4 MiB */

void socket_peer_text(const struct sockaddr *address, char *text, size_t size)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    (void)snprintf(text, size, "local");
    if (address != NULL && address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &v4->sin_addr, text, (socklen_t)size);
    else if (address != NULL && address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
}

static enum infomask_status fail(struct infomask_error *err, const char *address, const char *port)
{
    enum infomask_status status = INFOMASK_IO;
    char reason[128];

    if (errno == EADDRINUSE)
        return error_set(err, status, "%s%s%s is in use by another process; choose another port", address,
                         *port != '\0' ? ":" : "", port);
    return error_set(err, status, "cannot listen on %s%s%s: %s", address, *port != '\0' ? ":" : "", port,
                     strerror_r(errno, reason, sizeof reason));
}

/* A name left by a process that ended is taken over; one that answers is in use. */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat info;
    int fd;
    bool stale;

    if (stat(name->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stale = fd >= 0 && connect(fd, (const void *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        (void)close(fd);
    return stale;
}

static enum infomask_status open_local(const char *path, struct listener *listener, struct infomask_error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof name.sun_path || *path == '\0')
        return error_set(err, INFOMASK_ARGUMENT, "the path of a local socket must be 1 to %zu bytes long",
                         sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, strlen(path) + 1);
    if (is_stale(&name))
        (void)unlink(path);
    listener->local = listener->loopback = true;
    (void)snprintf(listener->address, sizeof listener->address, "unix:%s", path);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd >= 0 && bind(listener->fd, (void *)&name, sizeof name) == 0 && listen(listener->fd, BACKLOG) == 0)
        return INFOMASK_OK;
    enum infomask_status status = fail(err, listener->address, "");
    if (listener->fd >= 0)
        (void)close(listener->fd);
    listener->fd = -1; /* the name is not ours to remove */
    return status;
}

static void name_listener(struct listener *listener)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    char host[64];
    int port = 0;

    (void)getsockname(listener->fd, (void *)&name, &size);
    socket_peer_text((void *)&name, host, sizeof host);
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)&name;
        port = ntohs(v4->sin_port);
        listener->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
        (void)snprintf(listener->address, sizeof listener->address, "%s:%d", host, port);
    } else {
        const struct sockaddr_in6 *v6 = (const void *)&name;
        port = ntohs(v6->sin6_port);
        listener->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        (void)snprintf(listener->address, sizeof listener->address, "[%s]:%d", host, port);
    }
}

static enum infomask_status open_tcp(const char *host, const char *port, struct listener *listener,
                                     struct infomask_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int one = 1, unsent = UNSENT;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return error_set(err, INFOMASK_ARGUMENT, "\"%.100s\" is not an address to listen on", host);
    listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = listener->fd >= 0 && setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                 bind(listener->fd, found->ai_addr, found->ai_addrlen) == 0 && listen(listener->fd, BACKLOG) == 0;
    freeaddrinfo(found);
    if (!bound)
        return fail(err, host, port);
    (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent); /* connections inherit it */
    name_listener(listener);
    return INFOMASK_OK;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT, IPV6, unix:PATH.  Changes the text. */
static enum infomask_status open_one(char *text, int port, struct listener *listener, struct infomask_error *err)
{
    char default_port[8], *host = text, *colon;

    *listener = (struct listener){.fd = -1};
    (void)snprintf(default_port, sizeof default_port, "%d", port);
    if (strncmp(text, "unix:", 5) == 0)
        return open_local(text + 5, listener, err);
    if (*text == '[') {
        char *end = strchr(++host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return error_set(err, INFOMASK_ARGUMENT, "\"%.100s\" is not an address to listen on", text);
        *end = '\0';
        colon = end[1] == ':' ? end + 1 : NULL;
    } else {
        colon = strchr(text, ':');
        if (colon != NULL && strchr(colon + 1, ':') != NULL)
            colon = NULL; /* an IPv6 address without brackets */
    }
    if (colon == NULL)
        return open_tcp(host, default_port, listener, err);
    *colon = '\0';
    if (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return error_set(err, INFOMASK_ARGUMENT, "the port of \"%.100s\" must be a number from 0 to 65535", host);
    return open_tcp(host, colon + 1, listener, err);
}

/* ---- Sockets that a service manager opened (sd_listen_fds(3)) ---------------------------------------------------- */

#define FIRST_HANDED 3

/* How many descriptors were handed to this very process; 0: none. */
static int count_handed(void)
{
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long number;

    if (process == NULL || count == NULL || strtol(process, NULL, 10) != (long)getpid())
        return 0;
    number = strtol(count, NULL, 10);
    return number > 0 && number <= SOCKETS_MAX ? (int)number : 0;
}

static enum infomask_status take_handed(int fd, struct listener *listener, struct infomask_error *err)
{
    struct sockaddr_un name = {0};
    socklen_t size = sizeof name, length = sizeof(int);
    int accepts = 0, unsent = UNSENT;

    *listener = (struct listener){.fd = fd, .handed = true};
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) != 0 || accepts == 0)
        return error_set(err, INFOMASK_ARGUMENT,
                         "descriptor %d, which the service manager handed over, is not a listening socket", fd);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (getsockname(fd, (void *)&name, &size) == 0 && name.sun_family == AF_UNIX) {
        listener->local = listener->loopback = true;
        (void)snprintf(listener->address, sizeof listener->address, "unix:%.*s", (int)sizeof name.sun_path - 1,
                       name.sun_path);
        return INFOMASK_OK;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    name_listener(listener);
    return INFOMASK_OK;
}

static enum infomask_status take_all_handed(struct listener listeners[SOCKETS_MAX], int count,
                                            struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < count && status == INFOMASK_OK; i++)
        status = take_handed(FIRST_HANDED + i, &listeners[i], err);
    (void)unsetenv("LISTEN_PID"); /* they are ours, and nobody's after us */
    (void)unsetenv("LISTEN_FDS");
    return status;
}

enum infomask_status sockets_open(const char *addresses, int port, struct listener listeners[SOCKETS_MAX], int *count,
                                  struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    char *text, *at, *one;

    *count = count_handed();
    if (*count > 0)
        return take_all_handed(listeners, *count, err);
    at = text = strdup(addresses);
    if (text == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the addresses to listen on");
    while (status == INFOMASK_OK && (one = strsep(&at, ", ")) != NULL) {
        if (*one == '\0')
            continue;
        if (*count == SOCKETS_MAX)
            status = error_set(err, INFOMASK_ARGUMENT, "at most %d addresses to listen on", SOCKETS_MAX);
        else
            status = open_one(one, port, &listeners[(*count)++], err);
    }
    if (status == INFOMASK_OK && *count == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "there is no address to listen on");
    free(text);
    if (status != INFOMASK_OK) {
        sockets_close(listeners, *count);
        *count = 0;
    }
    return status;
}

void sockets_close(struct listener *listeners, int count)
{
    for (int i = 0; i < count; i++) {
        if (listeners[i].fd < 0)
            continue;
        (void)close(listeners[i].fd);
        listeners[i].fd = -1;
        if (listeners[i].local && !listeners[i].handed)
            (void)unlink(listeners[i].address + 5);
    }
}
