/* Which rows of a table belong together, and folds that do not part them.
 *
 * Equal rows are copies of one another where equality is no accident: where some column has so many values that two
 * rows hardly share one, and theirs is none of the few that many rows have (a 0 where most rows have 0), nor missing.
 * Whole numbers and categories may be codes, of which equal ones are the rule: it takes three such columns.  A copy in
 * another fold is a row whose label has been seen.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/train/table/table.h"

#define LOOKED_AT 4096 /* values of a column */
#define FEW_VALUES 20
#define SHARE 20 /* a column has many values if there is one for so many rows; a value is frequent if more have it */

#define CODES 3        /* columns of whole numbers that tell rows apart together */

/* A column that tells rows apart. */
struct telling {
    size_t column, count;
    bool whole;            /* numbers, or a category */
    float frequent[SHARE]; /* [count] */
};

static int by_number(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* Whether a column tells rows apart; values [LOOKED_AT] is scratch. */
static bool look_at(const struct infomask_table *table, size_t column, float *values, struct telling *telling)
{
    size_t step = (table->rows + LOOKED_AT - 1) / LOOKED_AT, n = 0, distinct = 0;

    *telling = (struct telling){.column = column, .whole = true};
    for (size_t i = 0; i < table->rows; i += step)
        if (!isnan(table->x[i * table->columns + column]))
            values[n++] = table->x[i * table->columns + column];
    qsort(values, n, sizeof *values, by_number);
    for (size_t from = 0, to; from < n; from = to, distinct++) {
        for (to = from + 1; to < n && values[to] <= values[from]; to++)
            continue;
        telling->whole = telling->whole && fabsf(values[from] - rintf(values[from])) <= 0;
        if ((to - from) * SHARE > n && telling->count < SHARE)
            telling->frequent[telling->count++] = values[from];
    }
    return distinct > FEW_VALUES && distinct * SHARE > n;
}

/* Those columns; NULL where there is no memory. */
static struct telling *find_telling(const struct infomask_table *table, size_t *count)
{
    float *values = malloc((LOOKED_AT + 1) * sizeof *values);
    struct telling *list = calloc(table->columns, sizeof *list);

    *count = 0;
    for (size_t j = 0; values != NULL && list != NULL && j < table->columns; j++)
        *count += look_at(table, j, values, &list[*count]);
    if (values == NULL) {
        free(list);
        list = NULL;
    }
    free(values);
    return list;
}

static bool tells(const struct telling *telling, const float *x)
{
    float v = x[telling->column];

    for (size_t i = 0; i < telling->count; i++)
        if (v >= telling->frequent[i] && v <= telling->frequent[i])
            return false;
    return !isnan(v);
}

static bool stands_apart(const struct telling *telling, size_t count, const float *x)
{
    int codes = 0;

    for (size_t t = 0; t < count && codes < CODES; t++)
        if (tells(&telling[t], x))
            codes += telling[t].whole ? 1 : CODES;
    return codes >= CODES;
}

/* ---- Equal rows -------------------------------------------------------------------------------------------------- */

struct hashed_row {
    uint64_t hash;
    uint32_t row;
};

static int by_hash(const void *left, const void *right)
{
    const struct hashed_row *a = left, *b = right;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* FNV-1a over the values; -0 is 0, and a missing value is like any other one. */
static uint64_t hash_row(const float *x, size_t columns)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t j = 0; j < columns; j++) {
        float value = x[j] + 0.0f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits = isnan(value) ? UINT32_MAX : bits;
        h = (h ^ bits) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static bool equal_rows(const struct infomask_table *table, size_t a, size_t b)
{
    for (size_t j = 0; j < table->columns; j++) {
        float x = table->x[a * table->columns + j], y = table->x[b * table->columns + j];
        if (x < y || x > y || isnan(x) != isnan(y))
            return false;
    }
    return true;
}

/* Joins equal neighbours of the rows [n], sorted by their hashes; returns how many are copies. */
static size_t join_equal(const struct infomask_table *table, const struct hashed_row *rows, size_t n, uint32_t *group)
{
    size_t copies = 0;

    for (size_t i = 1; i < n; i++) {
        size_t first = group[rows[i - 1].row];
        if (rows[i].hash != rows[i - 1].hash || !equal_rows(table, first, rows[i].row))
            continue;
        group[rows[i].row] = (uint32_t)first;
        copies++;
    }
    return copies;
}

enum infomask_status table_groups(const struct infomask_table *table, uint32_t *group, size_t *copies,
                                  struct infomask_error *err)
{
    size_t count, n = 0;
    struct telling *telling = find_telling(table, &count);
    struct hashed_row *rows = telling != NULL && count > 0 ? malloc(table->rows * sizeof *rows) : NULL;

    *copies = 0;
    for (size_t i = 0; i < table->rows; i++)
        group[i] = (uint32_t)i;
    if (telling == NULL || (count > 0 && rows == NULL)) {
        free(telling);
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", table->rows);
    }
    for (size_t i = 0; rows != NULL && i < table->rows; i++) {
        const float *x = table->x + i * table->columns;
        if (stands_apart(telling, count, x))
            rows[n++] = (struct hashed_row){hash_row(x, table->columns), (uint32_t)i};
    }
    if (n > 1) {
        qsort(rows, n, sizeof *rows, by_hash);
        *copies = join_equal(table, rows, n, group);
    }
    free(rows);
    free(telling);
    return INFOMASK_OK;
}

/* ---- Folds ------------------------------------------------------------------------------------------------------- */

/* Groups in the order of their first rows, rows of one in their own: a counting sort. */
enum infomask_status table_gather(const uint32_t *group, size_t rows, uint32_t *order, struct infomask_error *err)
{
    uint32_t *rank = malloc(3 * rows * sizeof *rank), *next, *sorted;

    if (rank == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", rows);
    next = rank + rows;
    sorted = next + rows;
    for (size_t i = 0; i < rows; i++)
        rank[i] = UINT32_MAX;
    memset(next, 0, rows * sizeof *next);
    for (size_t i = 0; i < rows; i++) { /* next: sizes, then starts */
        uint32_t *of_group = &rank[group[order[i]]];
        if (*of_group == UINT32_MAX)
            *of_group = (uint32_t)i;
        next[*of_group]++;
    }
    for (size_t i = 0, start = 0; i < rows; i++) {
        size_t size = next[i];
        next[i] = (uint32_t)start;
        start += size;
    }
    for (size_t i = 0; i < rows; i++)
        sorted[next[rank[group[order[i]]]]++] = order[i];
    memcpy(order, sorted, rows * sizeof *order);
    free(rank);
    return INFOMASK_OK;
}

/* ---- Groups that are given --------------------------------------------------------------------------------------- */

static uint32_t root_of(uint32_t *group, uint32_t row)
{
    while (group[row] != row)
        row = group[row] = group[group[row]];
    return row;
}

size_t table_join(uint32_t *group, const uint32_t *with, size_t rows)
{
    uint32_t most = 0, *first;
    size_t count = 0;

    for (size_t i = 0; i < rows; i++)
        most = with[i] > most ? with[i] : most;
    first = malloc(((size_t)most + 1) * sizeof *first);
    if (first == NULL)
        return 0;
    for (size_t g = 0; g <= most; g++)
        first[g] = UINT32_MAX;
    for (size_t i = 0; i < rows; i++) {
        uint32_t a = root_of(group, (uint32_t)i), b;
        if (first[with[i]] == UINT32_MAX)
            first[with[i]] = a;
        b = root_of(group, first[with[i]]);
        group[a > b ? a : b] = a < b ? a : b; /* the first row of all stays the root */
    }
    free(first);
    for (size_t i = 0; i < rows; i++) {
        group[i] = root_of(group, (uint32_t)i);
        count += group[i] == i;
    }
    return count;
}

struct dealt {
    uint32_t group, size, place; /* place: of its first row in the order that was shuffled */
    int fold;
};

static int by_size(const void *left, const void *right)
{
    const struct dealt *a = left, *b = right;

    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* The groups in `order`, with their sizes; at [rows]: scratch. */
static size_t list_groups(const uint32_t *group, size_t rows, const uint32_t *order, uint32_t *at, struct dealt *list)
{
    size_t count = 0;

    memset(at, 0xff, rows * sizeof *at);
    for (size_t i = 0; i < rows; i++) {
        uint32_t g = group[order[i]];
        if (at[g] == UINT32_MAX) {
            at[g] = (uint32_t)count;
            list[count++] = (struct dealt){g, 0, (uint32_t)i, 0};
        }
        list[at[g]].size++;
    }
    return count;
}

enum infomask_status table_deal(const uint32_t *group, size_t rows, int folds, uint32_t *order, size_t *start,
                                struct infomask_error *err)
{
    struct dealt *list = malloc(rows * sizeof *list);
    uint32_t *at = malloc(rows * sizeof *at), *sorted = malloc(rows * sizeof *sorted);
    size_t filled[TABLE_MOST_FOLDS] = {0}, count, used = 0;

    if (list == NULL || at == NULL || sorted == NULL) {
        free(list);
        free(at);
        free(sorted);
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", rows);
    }
    count = list_groups(group, rows, order, at, list);
    qsort(list, count, sizeof *list, by_size);
    for (size_t g = 0; g < count; g++) {
        int least = 0;
        for (int f = 1; f < folds; f++)
            least = filled[f] < filled[least] ? f : least;
        filled[least] += list[g].size;
        list[g].fold = least;
        at[list[g].group] = (uint32_t)least;
    }
    for (int f = 0; f < folds; f++) {
        start[f] = used;
        for (size_t i = 0; i < rows; i++)
            if (at[group[order[i]]] == (uint32_t)f)
                sorted[used++] = order[i];
    }
    start[folds] = used;
    memcpy(order, sorted, rows * sizeof *order);
    free(list);
    free(at);
    free(sorted);
    return INFOMASK_OK;
}
