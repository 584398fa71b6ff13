/* Labelled tables for `infomask estimate --data`: numbers and labels from CSV and NumPy files. */
#ifndef CLI_READ_TABLE_H
#define CLI_READ_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct table_file {
    size_t rows, columns;
    float *x;           /* [rows][columns]; owned */
    uint32_t *labels;   /* [rows] < classes; owned */
    int classes;
    char *names;        /* the classes' names, a line each; owned */
};

/* data: FILE.npy, real numbers [n, d] or [n]; anything else is CSV (comma, semicolon or tab; a first line without any
 * number in it is a header; columns of text become one column of 0 and 1 for each of their texts).
 * labels: FILE.npy [n] of whole numbers, a CSV file of one column, or, for a CSV table, the name or number (from 0) of
 * its column of labels.  Classes are the labels that occur, by size if all are numbers, else by the alphabet. */
enum infomask_status table_file_read(const char *data, const char *labels, struct table_file *table,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
void table_file_fini(struct table_file *table);

#endif
