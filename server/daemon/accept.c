#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/view/problem.h"
#include "app/view/views.h"
#include "server/daemon/one.h"
#include "server/http/connections.h"
#include "server/http/http.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"

static void refuse(struct server *server, int fd, enum admission admission)
{
    char answer[VIEW_PROBLEM_ANSWER];
    size_t size = view_problem_answer(VIEW_OVERLOADED, "Service Unavailable", "too many connections; try again in 1 s",
                                      1, answer);

    metrics_cut(server->context.metrics,
                admission == ADMIT_NOT_TOTAL ? METRICS_CUT_CONNECTIONS : METRICS_CUT_ADDRESS);
    connections_refuse(server->connections, fd, answer, size);
}

/* Out of descriptors: the spare one makes room to take one client and turn it away, then nothing is accepted for a
 * tick, because the socket stays ready and the loop would spin. */
static void shed(struct server *server, int listener)
{
    if (server->spare >= 0)
        (void)close(server->spare);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->paused = true;
    metrics_cut(server->context.metrics, METRICS_CUT_CONNECTIONS);
    log_event(server->context.log, LOG_WARNING, true, "message",
              &LOG_FIELD_TEXT("message", "out of file descriptors: a connection was turned away"), 1);
}

bool server_accept(struct server *server, const struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(listener->fd, (void *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    enum admission admission;

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            shed(server, listener->fd);
        return errno == EINTR || errno == ECONNABORTED;
    }
    admission = connections_admit(server->connections, fd, (void *)&address, listener->tls,
                                  listener->loopback && !listener->local);
    if (admission == ADMIT)
        http_add(listener->tls ? server->tls : server->http, fd, (void *)&address, size);
    else if (listener->tls)
        connections_refuse(server->connections, fd, NULL, 0); /* plain text would mean nothing to it */
    else
        refuse(server, fd, admission);
    return true;
}
