/* The parts of reading a table.  Private to table*.c. */
#ifndef CLI_READ_TABLE_PARTS_H
#define CLI_READ_TABLE_PARTS_H

#include "cli/read/csv.h"
#include "app/settings/npy.h"
#include "cli/read/table.h"

/* Refuses what is no text in UTF-8, by a sentence that says what it is and what becomes a table of it. */
enum infomask_status table_refuse_format(const char *path, const char *text, size_t size, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* One value a row: labels, groups, weights. */
struct table_values {
    size_t n;
    char **cells;    /* [n] */
    size_t stride;   /* cells[i * stride] */
    const uint32_t *lines; /* [n] of the file; NULL: it has none, and rows are counted from 0 */
    const char *of;  /* "labels", "groups", "weights" */
};
/* "line 7" or "row 5"; text: storage. */
const char *table_place(const uint32_t *lines, size_t row, char text[32]);

/* Beyond it a double does not tell one whole number from the next. */
#define TABLE_MOST_WHOLE 9007199254740992.0

/* The distinct texts among n cells, and each cell's place among them, sorted; numbers that are equal are one text ("1",
 * "1.0"), unless one is larger than TABLE_MOST_WHOLE.  texts [n + 1] and place [n] are the caller's. */
enum infomask_status table_number_texts(char *const *cells, size_t n, size_t stride, uint32_t *place, size_t *count,
                                        char **texts, struct infomask_error *err) __attribute__((warn_unused_result));

/* Into labels, classes and names; groups; by, by_count and by_names; weights. */
enum infomask_status table_take_labels(const struct table_values *values, struct table_file *table,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status table_take_groups(const struct table_values *values, struct table_file *table,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status table_take_by(const struct table_values *values, struct table_file *table,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status table_take_weights(const struct table_values *values, struct table_file *table,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

/* The columns of a CSV table that are not `taken` [csv->columns], into x [rows][columns] (malloc'ed), levels and
 * column_names. */
enum infomask_status table_take_columns(const struct csv *csv, const bool *taken, struct table_file *table, double **x,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
/* Sentences about what may not be meant as it was read, into doubts: of columns x [rows][columns]; of the classes'
 * names, and of columns that say no more and no less than them. */
enum infomask_status table_doubt_columns(const double *x, struct table_file *table, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status table_doubt_classes(struct table_file *table, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The names of a CSV file's columns, as far as they have room. */
void table_list_columns(const struct csv *csv, char *text, size_t size);

#endif
