/* Answers for people: rows with bars.  Names from outside are cleaned of what would steer a terminal. */
#ifndef CLI_BATCH_PLAIN_H
#define CLI_BATCH_PLAIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "app/view/views.h"

/* Columns of a text on a terminal. */
int plain_width(const char *text);
/* The text in `width` columns at least (0: as it is), signs that a terminal would obey as '?'. */
void plain_put(FILE *out, const char *text, int width);
/* A formatted sentence, or lines of them, cleaned in the same way but for its line ends. */
void plain_say(FILE *out, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* The classes of a photo: one line that names the best, or (rows over 1) a block of so many, the photo's name above;
 * under them the target where there is one, what the photo says in all, and that it abstains where it does. name_width:
 * columns for the photo's name on a line. */
struct plain_classify_options {
    const struct view_classify_options *view;
    int rows, name_width;
};
void plain_classify(FILE *out, const char *path, const struct view_head *head,
                    const struct infomask_classification *classification, const struct plain_classify_options *options);

#endif
