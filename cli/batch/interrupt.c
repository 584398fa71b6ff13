#include "cli/batch/interrupt.h"

#include <signal.h>
#include <stddef.h>

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

int interrupt_code(void)
{
    return 128 + came;
}
