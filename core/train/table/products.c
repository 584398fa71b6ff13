/* Products of a table's columns, and the rows of matrices that are not stored. */
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/train/table/table.h"

#define MOST_CROSSED 24    /* columns of which every product is taken */
#define MOST_SQUARED 256

/* Whether column j takes two values only: its square is then no news. */
static int two_valued(const struct table_matrix *plain, size_t j)
{
    float a = plain->x[j], b = a;

    for (size_t i = 1; i < plain->n; i++) {
        float v = plain->x[i * plain->width + j];
        if ((v < a || v > a) && (v < b || v > b)) {
            if (b < a || b > a)
                return 0;
            b = v;
        }
    }
    return 1;
}

struct product {
    size_t i, j;
};

static size_t list_products(const struct table_matrix *plain, struct product *list)
{
    size_t count = 0;

    for (size_t i = 0; i < plain->width; i++) {
        if (!two_valued(plain, i))
            list[count++] = (struct product){i, i};
        for (size_t j = i + 1; plain->width <= MOST_CROSSED && j < plain->width; j++)
            if (!(plain->category[i] && plain->source[i] == plain->source[j])) /* never both 1 */
                list[count++] = (struct product){i, j};
    }
    return count;
}

enum infomask_status table_squares(const struct table_matrix *plain, struct table_matrix *squares,
                                   struct infomask_error *err)
{
    struct product *list;
    size_t count, bytes;
    enum infomask_status status = INFOMASK_OK;

    *squares = (struct table_matrix){.n = plain->n, .plain = plain};
    if (plain->width == 0 || plain->width > MOST_SQUARED)
        return INFOMASK_OK;
    list = malloc((MOST_SQUARED + MOST_CROSSED * MOST_CROSSED) * sizeof *list);
    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for products of columns");
    count = list_products(plain, list);
    squares->width = count > 0 ? plain->width + count : 0;
    squares->factors = malloc((2 * count + 1) * sizeof *squares->factors);
    if (checked_mul3(plain->n, squares->width, sizeof *squares->x, &bytes))
        squares->x = aligned_new(bytes + 1);
    if (squares->factors == NULL || squares->x == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for products of columns");
    for (size_t c = 0; status == INFOMASK_OK && c < count; c++) {
        squares->factors[2 * c] = (uint32_t)list[c].i;
        squares->factors[2 * c + 1] = (uint32_t)list[c].j;
    }
    for (size_t i = 0; status == INFOMASK_OK && count > 0 && i < plain->n; i++)
        table_multiply(squares, plain->width, plain->x + i * plain->width, squares->x + i * squares->width);
    free(list);
    return status;
}

void table_multiply(const struct table_matrix *squares, size_t width, const float *x, float *out)
{
    memmove(out, x, width * sizeof *x);
    for (size_t c = 0; c < squares->width - width; c++)
        out[width + c] = 0.5f * x[squares->factors[2 * c]] * x[squares->factors[2 * c + 1]];
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static void make_row(const struct table_data *data, const struct table_matrix *matrix, size_t row, float *out)
{
    if (matrix->plain == NULL)
        table_make_row(matrix, row, out);
    else
        table_multiply(matrix, matrix->plain->width, table_rows(data, matrix->plain, row, 1, out), out);
}

const float *table_rows(const struct table_data *data, const struct table_matrix *matrix, size_t first, size_t rows,
                        float *scratch)
{
    size_t at;
    int f = 0;

    if (matrix->columns == NULL && matrix->plain == NULL)
        return matrix->x + first * matrix->width;
    while (first >= data->start[f + 1])
        f++;
    at = data->stored[f] + first - data->start[f];
    if (at + rows <= data->stored[f + 1])
        return matrix->x + at * matrix->width;
    for (size_t i = 0; i < rows; i++)
        make_row(data, matrix, first + i, scratch + i * matrix->width);
    return scratch;
}
