/* Telling the service manager how we are (sd_notify(3)'s protocol): a datagram of NAME=VALUE lines to $NOTIFY_SOCKET.
 * Connected at the start, since a confined process makes no sockets.  Thread rule: one thread. */
#ifndef SERVER_DAEMON_NOTIFY_H
#define SERVER_DAEMON_NOTIFY_H

#include <stdbool.h>

struct notify {
    int fd;              /* -1: nobody asked to be told */
    double watchdog_ms;  /* how often the manager wants to hear; 0: never */
    double told_ms;
};

void notify_open(struct notify *notify);
void notify_close(struct notify *notify);
void notify_send(struct notify *notify, const char *text);
/* The sign of life, twice as often as asked for; to be called from the main loop. */
void notify_alive(struct notify *notify, double now_ms);

#endif
