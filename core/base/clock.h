/* The one clock that times are taken from. */
#ifndef INFOMASK_BASE_CLOCK_H
#define INFOMASK_BASE_CLOCK_H

/* Milliseconds of the monotonic clock, since an arbitrary moment.  Thread rule: any thread. */
double clock_ms(void);

#endif
