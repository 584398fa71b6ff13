#include "cli/batch/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>

#define WAIT_MS 200 /* a signal may come between the look at it and the wait */

/* A handler has no other way to say what it saw. */
static volatile sig_atomic_t came;

static void note(int number)
{
    came = number;
}

static void watch(int number)
{
    struct sigaction before,
        action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND}; /* no SA_RESTART: reads end */

    (void)sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        (void)sigaction(number, &action, NULL);
}

void interrupt_watch(void)
{
    watch(SIGINT);
    watch(SIGTERM);
}

int interrupt_signal(void)
{
    return came;
}

bool interrupt_await_input(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};

    while (came == 0)
        if (poll(&ready, 1, WAIT_MS) > 0)
            return true;
    return false;
}

int interrupt_code(void)
{
    return 128 + came;
}
