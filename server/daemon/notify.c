#include "server/daemon/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* $WATCHDOG_USEC, unless it is meant for another process. */
static double watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    double value = strtod(usec, NULL) / 1000;
    return value > 0 ? value : 0;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);

    *notify = (struct notify){.fd = -1};
    if (length < 2 || length >= sizeof name.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(name.sun_path, path, length);
    if (path[0] == '@') /* a name outside the file system */
        name.sun_path[0] = '\0';
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (connect(notify->fd, (void *)&name, size) != 0)
        notify_close(notify);
    else
        notify->watchdog_ms = watchdog_ms();
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        (void)close(notify->fd);
    *notify = (struct notify){.fd = -1};
}

void notify_send(struct notify *notify, const char *text)
{
    if (notify->fd >= 0) /* a manager that does not listen is its own problem */
        (void)send(notify->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_alive(struct notify *notify, double now_ms)
{
    if (notify->watchdog_ms <= 0 || now_ms - notify->told_ms < notify->watchdog_ms / 2)
        return;
    notify->told_ms = now_ms;
    notify_send(notify, "WATCHDOG=1");
}
