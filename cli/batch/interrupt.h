/* Ctrl-C and SIGTERM during a long run: the first is noted, so that what is done can be kept; the second ends the
 * process. */
#ifndef CLI_BATCH_INTERRUPT_H
#define CLI_BATCH_INTERRUPT_H

#include <stdbool.h>

/* From here on the signals are noted; those that are ignored (nohup, a background job of a script) stay ignored. */
void interrupt_watch(void);
/* The signal that came, 0: none.  From any thread. */
int interrupt_signal(void);
/* Waits until something can be read from fd, or its end is there.  False: a signal came first. */
bool interrupt_await_input(int fd);
/* What the shell makes of it: 128 + the signal. */
int interrupt_code(void);

#endif
