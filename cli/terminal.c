#include "cli/terminal.h"

#include <sys/ioctl.h>

int terminal_columns(int fd, int otherwise)
{
    struct winsize size = {0};

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 8 ? size.ws_col : otherwise;
}
