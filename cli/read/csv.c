#include "cli/read/csv.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool csv_number(const char *cell, double *number)
{
    char *end;

    if (cell[strspn(cell, "0123456789+-.eE")] != '\0' || cell[0] == '\0') /* no "nan", "inf", hexadecimal */
        return false;
    *number = strtod(cell, &end);
    return *end == '\0' && end != cell && isfinite(*number);
}

bool csv_missing(const char *cell)
{
    /* what pandas.read_csv takes for a missing value */
    static const char *const words[] = {"",         "NA",     "N/A",     "n/a",     "NaN",     "nan",  "-NaN",
                                        "-nan",     "NULL",   "null",    "None",    "<NA>",    "#N/A", "#NA",
                                        "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(cell, words[i]) == 0)
            return true;
    return false;
}

/* Digits in groups with single marks between them, marks[i] after group i; *at moves behind the last group. */
static int digit_groups(const char **at, const char *marks, int most)
{
    int groups = 0;

    while (groups < most) {
        size_t digits = strspn(*at, "0123456789");
        if (digits == 0 || digits == 3 || digits > 4) /* three are thousands: 1.332.065 */
            return 0;
        *at += digits;
        groups++;
        if (groups == most || **at == '\0' || strchr(marks, **at) == NULL || (*at)[1] < '0' || (*at)[1] > '9')
            break;
        (*at)++;
    }
    return groups;
}

/* The name of a month, whole or its first three letters, moves *at behind it. */
static bool month_name(const char **at)
{
    static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                         "july",    "august",   "september", "october", "november", "december"};
    size_t length = 0;

    while (isalpha((unsigned char)(*at)[length]))
        length++;
    for (size_t i = 0; i < sizeof months / sizeof *months; i++)
        if ((length == 3 || length == strlen(months[i])) && strncasecmp(*at, months[i], length) == 0) {
            *at += length;
            return true;
        }
    return false;
}

/* A day with the name of its month: 29-Feb-2024, February 29, 2024. */
static bool named_day(const char *cell)
{
    int numbers = 0, months = 0;

    while (*cell != '\0') {
        size_t digits = strspn(cell, "0123456789");
        if (digits > 4)
            return false;
        if (digits > 0) {
            cell += digits;
            numbers++;
        } else if (month_name(&cell)) {
            months++;
        } else {
            return false;
        }
        cell += strspn(cell, " -/.,");
    }
    return numbers == 2 && months == 1;
}

bool csv_date(const char *cell)
{
    const char *at = cell;
    size_t first = strspn(cell, "0123456789");
    char mark = cell[first];
    const char marks[2] = {mark, '\0'};
    bool day;

    if (named_day(cell))
        return true;
    if (first == 0 || first > 4 || mark == '\0' || strchr("-/.:", mark) == NULL)
        return false;
    day = mark != ':';
    if (digit_groups(&at, marks, 3) < (day ? 3 : 2))
        return false;
    if (day && (*at == ' ' || *at == 'T') && at[1] >= '0' && at[1] <= '9') {
        at++;
        if (digit_groups(&at, ":", 3) < 2)
            return false;
    }
    if (*at == '.')
        at += 1 + strspn(at + 1, "0123456789");
    at += strspn(at, " Z+-:0123456789APMapm"); /* a zone, or the half of the day */
    return *at == '\0';
}

size_t csv_find_column(const struct csv *csv, const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    for (size_t j = 0; csv->header != NULL && j < csv->columns; j++)
        if (strcmp(csv->header[j], name) == 0)
            return j;
    return name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < csv->columns ? (size_t)number : csv->columns;
}

bool csv_named_twice(const struct csv *csv, const char *name)
{
    size_t count = 0;

    for (size_t j = 0; csv->header != NULL && j < csv->columns; j++)
        count += strcmp(csv->header[j], name) == 0;
    return count > 1;
}

const char *csv_column_name(const struct csv *csv, size_t column, char text[24])
{
    if (csv->header != NULL)
        return csv->header[column];
    (void)snprintf(text, 24, "%zu", column);
    return text;
}

/* ---- Cutting ----------------------------------------------------------------------------------------------------- */

/* The separator that the first line has most of. */
static char find_separator(const char *text)
{
    static const char candidates[] = ",;\t|";
    size_t count[sizeof candidates] = {0}, best = 0;
    bool quoted = false;

    for (; *text != '\0' && (quoted || *text != '\n'); text++) {
        const char *at = strchr(candidates, *text);
        quoted ^= *text == '"';
        if (!quoted && at != NULL)
            count[at - candidates]++;
    }
    for (size_t i = 1; i < sizeof candidates - 1; i++)
        best = count[i] > count[best] ? i : best;
    return candidates[best];
}

static char *trimmed(char *cell, char *end)
{
    while (end > cell && (end[-1] == ' ' || end[-1] == '\r'))
        end--;
    *end = '\0';
    return cell + strspn(cell, " ");
}

/* Cuts a cell off at *at, in place, and moves *at behind its separator.  What ended it: the separator, '\n' or '\0';
 * '"' for a quote that is never closed.  *line counts the line feeds. */
static char next_cell(char **at, char separator, char **cell, size_t *line)
{
    const char ends[] = {separator, '\n', '\0'};
    char *from = *at + strspn(*at, " "), *to, end;

    if (*from != '"') {
        to = from + strcspn(from, ends);
        end = *to;
        *at = to + (end != '\0');
        *line += end == '\n';
        *cell = trimmed(from, to);
        return end;
    }
    *cell = to = from;
    for (from++; *from != '\0' && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        *line += *from == '\n';
        *to++ = *from;
    }
    if (*from == '\0')
        return '"';
    from += 1 + strspn(from + 1, " \r");
    end = *from;
    *to = '\0';
    *at = from + (end != '\0');
    *line += end == '\n';
    return end == separator || end == '\n' || end == '\0' ? end : '"';
}

struct room {
    size_t cells, used, rows;
};

static bool grow_cells(struct csv *csv, struct room *room)
{
    char **all;

    if (room->used < room->cells)
        return true;
    room->cells = room->cells > 0 ? 2 * room->cells : 1024;
    all = reallocarray(csv->all, room->cells, sizeof *all);
    if (all == NULL)
        return false;
    csv->all = all;
    return true;
}

static bool grow_lines(struct csv *csv, struct room *room)
{
    uint32_t *lines;

    if (csv->rows < room->rows)
        return true;
    room->rows = room->rows > 0 ? 2 * room->rows : 256;
    lines = reallocarray(csv->all_lines, room->rows, sizeof *lines);
    if (lines == NULL)
        return false;
    csv->all_lines = lines;
    return true;
}

/* One row's cells; what ended it. */
static char split_row(struct csv *csv, char **at, struct room *room, size_t *line, size_t *width)
{
    char end;

    *width = 0;
    do {
        if (!grow_cells(csv, room))
            return '!';
        end = next_cell(at, csv->separator, &csv->all[room->used++], line);
        (*width)++;
    } while (end == csv->separator);
    return end;
}

/* line: that of the row, then of the next one. */
static enum infomask_status add_row(struct csv *csv, char **at, struct room *room, size_t *line,
                                    struct infomask_error *err)
{
    size_t width, first = *line;
    char end = split_row(csv, at, room, line, &width);

    if (end == '!' || !grow_lines(csv, room))
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    if (end == '"')
        return error_set(err, INFOMASK_BAD_DATA, "line %zu: a quotation mark without its partner", first);
    if (csv->columns == 0)
        csv->columns = width;
    if (width == csv->columns + 1 && csv->rows == 1)
        return error_set(err, INFOMASK_BAD_DATA,
                         "line %zu has %zu columns, the first one %zu; if its rows have names, as R writes them, leave "
                         "those out (write.csv(x, file, row.names = FALSE))",
                         first, width, csv->columns);
    if (width != csv->columns)
        return error_set(err, INFOMASK_BAD_DATA, "line %zu has %zu columns, the first one %zu", first, width,
                         csv->columns);
    csv->all_lines[csv->rows++] = (uint32_t)first;
    return INFOMASK_OK;
}

static enum infomask_status split(struct csv *csv, struct infomask_error *err)
{
    char *at = csv->text;
    size_t line = 1;
    struct room room = {0};

    if (strncmp(at, "sep=", 4) == 0 && at[4] != '\0' && strcspn(at + 5, "\r\n") == 0) /* how Excel names it */
        at += 5;
    csv->separator = find_separator(at + strspn(at, "\r\n"));
    while (*at != '\0') {
        enum infomask_status status = INFOMASK_OK;
        if (*at == '\n' || (at[0] == '\r' && at[1] == '\n')) { /* an empty line */
            at += 1 + (*at == '\r');
            line++;
            continue;
        }
        status = add_row(csv, &at, &room, &line, err);
        if (status != INFOMASK_OK)
            return status;
    }
    return csv->rows > 0 ? INFOMASK_OK : error_set(err, INFOMASK_BAD_DATA, "there is nothing in it");
}

/* Whether the first line's cell stands in its column once more. */
static bool comes_again(const struct csv *csv, size_t column)
{
    for (size_t i = 1; i < csv->rows; i++)
        if (strcmp(csv->all[i * csv->columns + column], csv->all[column]) == 0)
            return true;
    return false;
}

static bool all_come_again(const struct csv *csv)
{
    for (size_t j = 0; j < csv->columns; j++)
        if (!comes_again(csv, j))
            return false;
    return true;
}

/* Its numbers are those of their columns, as pandas names columns without names. */
static bool counts_columns(const struct csv *csv)
{
    double number;

    for (size_t j = 0; j < csv->columns; j++)
        if (csv_number(csv->all[j], &number) &&
            (csv->all[j][strspn(csv->all[j], "0123456789")] != '\0' || strtoul(csv->all[j], NULL, 10) != j))
            return false;
    return csv->columns > 1 && !all_come_again(csv);
}

static bool has_header(const struct csv *csv, const char *wanted)
{
    bool numbers = false, named = false, named_once = false;
    double number;

    for (size_t j = 0; j < csv->columns; j++) {
        bool is_number = csv_number(csv->all[j], &number);
        bool is_wanted = wanted != NULL && strcmp(csv->all[j], wanted) == 0;
        numbers = numbers || is_number;
        named = named || is_wanted;
        named_once = named_once || (is_wanted && !is_number && !comes_again(csv, j));
    }
    return numbers ? named_once || counts_columns(csv) : named || csv->rows == 1 || !all_come_again(csv);
}

enum infomask_status csv_parse(char *text, const char *wanted, struct csv *csv, struct infomask_error *err)
{
    enum infomask_status status;
    bool header;

    *csv = (struct csv){.text = text};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        memmove(text, text + 3, strlen(text + 3) + 1);
    for (char *c = strchr(text, '\n') == NULL ? strchr(text, '\r') : NULL; c != NULL; c = strchr(c, '\r'))
        *c = '\n'; /* lines as old Macs end them */
    status = split(csv, err);
    if (status != INFOMASK_OK) {
        csv_fini(csv);
        return status;
    }
    csv->cells = csv->all;
    csv->lines = csv->all_lines;
    header = has_header(csv, wanted);
    if (header && csv->rows == 1) {
        csv_fini(csv);
        return error_set(err, INFOMASK_BAD_DATA, "there is nothing in it below the names of its columns");
    }
    if (header) {
        csv->header = csv->all;
        csv->cells += csv->columns;
        csv->lines++;
        csv->rows--;
    }
    return INFOMASK_OK;
}

void csv_fini(struct csv *csv)
{
    free(csv->all);
    free(csv->all_lines);
    free(csv->text);
    *csv = (struct csv){0};
}
