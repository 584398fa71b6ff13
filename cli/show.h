/* A picture on the terminal: by kitty's graphics protocol, as sixels, else as half blocks of colour. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "core/infomask.h"

/* Draws an encoded picture on standard output, at most as wide as the terminal.  The way is chosen by what the
 * environment says of the terminal; with NO_COLOR (no-color.org) it is grey levels in letters. */
enum infomask_status show_picture(const struct infomask_encoded *encoded, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
