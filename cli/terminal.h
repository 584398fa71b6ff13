/* How wide the terminal is that somebody looks at. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

/* Columns of the terminal behind a descriptor, 8 at least; `otherwise`: there is none, or it does not say. */
int terminal_columns(int fd, int otherwise);

#endif
