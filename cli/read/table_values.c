/* One value a row of a table: labels, groups, weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/read/table_parts.h"

#define MOST_CLASSES 65536
#define MOST_SUBGROUPS 1000
#define FEW_NUMBERS 20 /* different ones that are taken for classes however they look */

const char *table_place(const uint32_t *lines, size_t row, char text[32])
{
    if (lines != NULL)
        (void)snprintf(text, 32, "line %u", lines[row]);
    else
        (void)snprintf(text, 32, "row %zu", row);
    return text;
}

/* ---- Texts to numbers -------------------------------------------------------------------------------------------- */

/* A text with its row, to be sorted by what it is. */
struct tag {
    char *text;
    double number;
    size_t row;
};

static int by_number(const void *left, const void *right)
{
    const struct tag *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

static int by_text(const void *left, const void *right)
{
    const struct tag *a = left, *b = right;

    return strcmp(a->text, b->text);
}

enum infomask_status table_number_texts(char *const *cells, size_t n, size_t stride, uint32_t *place, size_t *count,
                                        char **texts, struct infomask_error *err)
{
    struct tag *tags = malloc((n + 1) * sizeof *tags);
    int (*order)(const void *, const void *) = by_number;

    *count = 0;
    if (tags == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t i = 0; i < n; i++) {
        tags[i] = (struct tag){cells[i * stride], 0, i};
        if (!csv_number(tags[i].text, &tags[i].number) || fabs(tags[i].number) > TABLE_MOST_WHOLE)
            order = by_text;
    }
    qsort(tags, n, sizeof *tags, order);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order(&tags[i - 1], &tags[i]) != 0)
            texts[(*count)++] = tags[i].text;
        place[tags[i].row] = (uint32_t)(*count - 1);
    }
    free(tags);
    return INFOMASK_OK;
}

/* The same with memory of its own for the places and the texts. */
static enum infomask_status number_values(const struct table_values *values, uint32_t **place, size_t *count,
                                          char ***texts, struct infomask_error *err)
{
    *place = malloc((values->n + 1) * sizeof **place);
    *texts = malloc((values->n + 1) * sizeof **texts);
    if (*place == NULL || *texts == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the %s", values->of);
    return table_number_texts(values->cells, values->n, values->stride, *place, count, *texts, err);
}

static enum infomask_status refuse_missing(const struct table_values *values, const char *sentence,
                                           struct infomask_error *err)
{
    char place[32];

    for (size_t i = 0; i < values->n; i++)
        if (csv_missing(values->cells[i * values->stride]))
            return error_set(err, INFOMASK_BAD_DATA, "%s: %s %s", values->of, table_place(values->lines, i, place),
                             sentence);
    return INFOMASK_OK;
}

/* ---- Labels ------------------------------------------------------------------------------------------------------ */

/* Texts as lines of one text; malloc'ed, NULL where there is no memory. */
static char *join_lines(char **texts, size_t count)
{
    size_t bytes = 1, used = 0;
    char *lines;

    for (size_t y = 0; y < count; y++)
        bytes += strlen(texts[y]) + 1;
    lines = malloc(bytes);
    for (size_t y = 0; lines != NULL && y < count; y++)
        for (const char *c = texts[y]; used < bytes; c++) {
            lines[used++] = *c == '\0' || *c == '\n' ? '\n' : *c;
            if (*c == '\0')
                break;
        }
    if (lines != NULL)
        lines[used > 0 ? used - 1 : 0] = '\0';
    return lines;
}

static enum infomask_status name_classes(char **texts, size_t count, struct table_file *table,
                                         struct infomask_error *err)
{
    if (count < 2 || count > MOST_CLASSES)
        return error_set(err, INFOMASK_BAD_DATA, "labels: %zu different ones; a table has 2 to %d classes", count,
                         MOST_CLASSES);
    table->classes = (int)count;
    table->names = join_lines(texts, count);
    return table->names != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the classes");
}

/* Labels that are a quantity: numbers with fractions, or numbers of which most occur once. */
static enum infomask_status refuse_quantities(const struct table_values *values, char *const *texts, size_t count,
                                              const uint32_t *place, struct infomask_error *err)
{
    uint32_t *sizes = count > FEW_NUMBERS ? calloc(count, sizeof *sizes) : NULL;
    size_t single = 0;
    bool numbers = true, whole = true;

    if (count <= FEW_NUMBERS)
        return INFOMASK_OK;
    if (sizes == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    for (size_t i = 0; i < values->n; i++)
        sizes[place[i]]++;
    for (size_t y = 0; y < count; y++) {
        double v = 0;
        numbers = numbers && csv_number(texts[y], &v);
        whole = whole && fabs(v - rint(v)) <= 0;
        single += sizes[y] == 1;
    }
    free(sizes);
    if (!numbers || (whole && 2 * single < count))
        return INFOMASK_OK;
    return error_set(
        err, INFOMASK_BAD_DATA,
        "labels: %zu different numbers in %zu rows look like a quantity (regression), but labels are classes; "
        "cut it into ranges first (pandas: pd.qcut(y, 5, labels=False)), or name another column",
        count, values->n);
}

enum infomask_status table_take_labels(const struct table_values *values, struct table_file *table,
                                       struct infomask_error *err)
{
    char **texts = NULL;
    size_t count = 0;
    enum infomask_status status = refuse_missing(values, "has no label; give it one, or leave the row out", err);

    if (status == INFOMASK_OK)
        status = number_values(values, &table->labels, &count, &texts, err);
    if (status == INFOMASK_OK)
        status = refuse_quantities(values, texts, count, table->labels, err);
    if (status == INFOMASK_OK)
        status = name_classes(texts, count, table, err);
    free(texts);
    return status;
}

/* ---- Groups, weights --------------------------------------------------------------------------------------------- */

enum infomask_status table_take_groups(const struct table_values *values, struct table_file *table,
                                       struct infomask_error *err)
{
    char **texts = NULL;
    size_t count = 0;
    enum infomask_status status = refuse_missing(values, "has no group; give it one, or leave the row out", err);

    if (status == INFOMASK_OK)
        status = number_values(values, &table->groups, &count, &texts, err);
    free(texts);
    if (status == INFOMASK_OK && count < 2)
        status = error_set(err, INFOMASK_BAD_DATA,
                           "groups: all rows are of one group, so that nothing is left to hold out; "
                           "name a column with a value for each person, video or place");
    return status;
}

enum infomask_status table_take_by(const struct table_values *values, struct table_file *table,
                                   struct infomask_error *err)
{
    char **texts = NULL;
    enum infomask_status status = number_values(values, &table->by, &table->by_count, &texts, err);

    if (status == INFOMASK_OK && table->by_count > MOST_SUBGROUPS)
        status = error_set(err, INFOMASK_BAD_DATA, "--by: %zu different values; at most %d subgroups are reported",
                           table->by_count, MOST_SUBGROUPS);
    if (status == INFOMASK_OK && (table->by_names = join_lines(texts, table->by_count)) == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the subgroups");
    free(texts);
    return status;
}

enum infomask_status table_take_weights(const struct table_values *values, struct table_file *table,
                                        struct infomask_error *err)
{
    double sum = 0;
    char place[32];

    table->weights = malloc((values->n + 1) * sizeof *table->weights);
    if (table->weights == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the weights");
    for (size_t i = 0; i < values->n; i++) {
        const char *cell = values->cells[i * values->stride];
        double *w = &table->weights[i];
        if (csv_missing(cell))
            return error_set(err, INFOMASK_BAD_DATA, "weights: %s has none; give it one, or leave the row out",
                             table_place(values->lines, i, place));
        if (!csv_number(cell, w))
            return error_set(err, INFOMASK_BAD_DATA, "weights: %s: \"%.40s\" is not a finite number",
                             table_place(values->lines, i, place), cell);
        if (*w < 0)
            return error_set(err, INFOMASK_BAD_DATA, "weights: %s: %.40s is negative; a weight is 0 or more",
                             table_place(values->lines, i, place), cell);
        sum += *w;
    }
    if (!(sum > 0))
        return error_set(err, INFOMASK_BAD_DATA, "weights: all of them are 0");
    return INFOMASK_OK;
}
