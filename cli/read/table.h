/* Labelled tables for `infomask estimate --data`: numbers, categories and labels from CSV and NumPy files. */
#ifndef CLI_READ_TABLE_H
#define CLI_READ_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* What is read.  COLUMN: a column of the CSV table by its name, or by its number from 0.
 * data: FILE.npy, real numbers [n, d] or [n]; anything else is CSV (comma, semicolon, tab or |; csv.h says what is
 * a header).
 * labels, groups, weights: COLUMN, or a file of their own: .npy [n] of whole numbers (weights: any) or texts, or CSV of
 * one column.  groups, weights and drop may be NULL. */
struct table_request {
    const char *data, *labels, *groups, *weights, *by; /* by: subgroups; as groups, but its column stays a feature */
    const char *drop; /* COLUMN[,COLUMN]...: columns that are not looked at; of a .npy table their numbers */
};

enum { TABLE_DOUBTS = 4 };

struct table_file {
    size_t rows, columns;
    float *x;           /* [rows][columns], NAN where there is none; owned, as the rest */
    uint32_t *levels;   /* [columns] 0: numbers; else of a category, whose values are 0 to levels - 1 in x */
    char **column_names; /* [columns] */
    uint32_t *labels;   /* [rows] < classes */
    int classes;
    char *names;        /* the classes' names, a line each */
    uint32_t *groups;   /* [rows] rows with the same number belong together; NULL: each is by itself */
    double *weights;    /* [rows] 0 or more, not all 0; NULL: all 1 */
    uint32_t *by;       /* [rows] < by_count; NULL: no subgroups were asked for */
    char *by_names;     /* [by_count] lines */
    size_t by_count;
    size_t missing;     /* cells of x that are NAN */
    char *doubts[TABLE_DOUBTS]; /* sentences about what may not be meant as it was read; NULL: there is none */
};

/* Columns of text become categories; in columns of numbers, cells that are empty or say NA, NaN, NULL, None or ? are
 * missing.  Dates, texts that hardly come twice, and texts in columns of numbers are refused by a sentence that names
 * the line.  Classes are the labels that occur, by size if all are numbers, else by the alphabet. */
enum infomask_status table_file_read(const struct table_request *request, struct table_file *table,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
void table_file_fini(struct table_file *table);

#endif
