#include "cli/read/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool csv_number(const char *cell, double *number)
{
    char *end;

    if (cell[strspn(cell, "0123456789+-.eE")] != '\0' || cell[0] == '\0') /* no "nan", "inf", hexadecimal */
        return false;
    *number = strtod(cell, &end);
    return *end == '\0' && end != cell && isfinite(*number);
}

/* The separator that the first line has most of. */
static char find_separator(const char *text)
{
    static const char candidates[] = ",;\t";
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
 * '"' for a quote that is never closed. */
static char next_cell(char **at, char separator, char **cell)
{
    char *from = *at + strspn(*at, " "), *to = from, end;

    if (*from != '"') {
        to = from + strcspn(from, separator == ',' ? ",\n" : separator == ';' ? ";\n" : "\t\n");
        end = *to;
        *at = to + (end != '\0');
        *cell = trimmed(from, to);
        return end;
    }
    *cell = to = from;
    for (from++; *from != '\0' && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        *to++ = *from;
    }
    if (*from == '\0')
        return '"';
    from += 1 + strspn(from + 1, " \r");
    end = *from;
    *to = '\0';
    *at = from + (end != '\0');
    return end == separator || end == '\n' || end == '\0' ? end : '"';
}

/* Room for one more cell. */
static bool grow(struct csv *csv, size_t used, size_t *room)
{
    char **all;

    if (used < *room)
        return true;
    *room = *room > 0 ? 2 * *room : 1024;
    all = reallocarray(csv->all, *room, sizeof *all);
    if (all == NULL)
        return false;
    csv->all = all;
    return true;
}

static enum infomask_status split(struct csv *csv, struct infomask_error *err)
{
    char separator = find_separator(csv->text), *at = csv->text, end = '\n';
    size_t used = 0, room = 0, width = 0, line = 1;

    for (; *at != '\0' || end == separator; line++) {
        width = 0;
        if (*at == '\n' || (at[0] == '\r' && at[1] == '\n')) { /* an empty line */
            at += 1 + (*at == '\r');
            end = '\n';
            continue;
        }
        do {
            if (!grow(csv, used, &room))
                return error_set(err, INFOMASK_MEMORY, "no memory for the table");
            end = next_cell(&at, separator, &csv->all[used++]);
            width++;
        } while (end == separator);
        if (end == '"')
            return error_set(err, INFOMASK_BAD_DATA, "line %zu: a quotation mark without its partner", line);
        if (csv->columns == 0)
            csv->columns = width;
        if (width != csv->columns)
            return error_set(err, INFOMASK_BAD_DATA, "line %zu has %zu columns, the first one %zu", line, width,
                             csv->columns);
        csv->rows++;
    }
    return csv->rows > 0 ? INFOMASK_OK : error_set(err, INFOMASK_BAD_DATA, "there is nothing in it");
}

static bool has_header(const struct csv *csv)
{
    double number;

    for (size_t j = 0; j < csv->columns; j++)
        if (csv_number(csv->all[j], &number))
            return false;
    return csv->rows > 1;
}

enum infomask_status csv_parse(char *text, struct csv *csv, struct infomask_error *err)
{
    enum infomask_status status;

    *csv = (struct csv){.text = text};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        memmove(text, text + 3, strlen(text + 3) + 1);
    status = split(csv, err);
    if (status != INFOMASK_OK) {
        csv_fini(csv);
        return status;
    }
    csv->cells = csv->all;
    if (has_header(csv)) {
        csv->header = csv->all;
        csv->cells += csv->columns;
        csv->rows--;
    }
    return INFOMASK_OK;
}

void csv_fini(struct csv *csv)
{
    free(csv->all);
    free(csv->text);
    *csv = (struct csv){0};
}
