/* CSV (RFC 4180: quotes, doubled inside; also semicolons, tabs and upright strokes) as a grid of texts. */
#ifndef CLI_READ_CSV_H
#define CLI_READ_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct csv {
    size_t rows, columns; /* without the header */
    char **cells;         /* [rows][columns], without surrounding blanks; into text */
    char **header;        /* [columns], or NULL */
    uint32_t *lines;      /* [rows] in which line of the file each begins, from 1 */
    char separator;
    char **all, *text;    /* what is owned */
    uint32_t *all_lines;
};

/* text: malloc'ed and NUL-terminated; it is the csv's from then on, also on failure.  BAD_DATA names the line.
 * The first line is a header where no cell of it is a number, unless all of them come again in their columns; and one
 * with numbers, where a cell that is none is `wanted` (a column's name; may be NULL) and does not come again, or where
 * the numbers are those of two columns or more, 0, 1, ..., and some cell does not come again. */
enum infomask_status csv_parse(char *text, const char *wanted, struct csv *csv, struct infomask_error *err)
    __attribute__((warn_unused_result));
void csv_fini(struct csv *csv);

/* A whole cell as a finite number. */
bool csv_number(const char *cell, double *number);
/* Whether a cell says that there is nothing: empty, or one of the words that statistics programs write for it (NA, NaN,
 * NULL, None, N/A, ...). */
bool csv_missing(const char *cell);
/* Whether a cell is a day or a time of day as people write them: 2024-02-29, 29.2.2024, 2/29/24 7:30, 29-Feb-2024,
 * 07:30:00. */
bool csv_date(const char *cell);
/* The column that a name means: a header's, else a number from 0; csv->columns if there is none. */
size_t csv_find_column(const struct csv *csv, const char *name);
bool csv_named_twice(const struct csv *csv, const char *name); /* which of them it means nobody knows */
/* The name of a column, or its number in digits; text: storage for those. */
const char *csv_column_name(const struct csv *csv, size_t column, char text[24]);

#endif
