/* CSV (RFC 4180: quotes, doubled inside; also semicolons and tabs) as a grid of texts. */
#ifndef CLI_READ_CSV_H
#define CLI_READ_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

struct csv {
    size_t rows, columns; /* without the header */
    char **cells;         /* [rows][columns], without surrounding blanks; into text */
    char **header;        /* [columns], or NULL */
    char **all, *text;    /* what is owned */
};

/* text: malloc'ed and NUL-terminated; it is the csv's from then on, also on failure.  BAD_DATA names the line. */
enum infomask_status csv_parse(char *text, struct csv *csv, struct infomask_error *err) __attribute__((warn_unused_result));
void csv_fini(struct csv *csv);

/* A whole cell as a finite number. */
bool csv_number(const char *cell, double *number);

#endif
