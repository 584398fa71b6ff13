#include "server/message/multipart.h"

#include <string.h>
#include <strings.h>

#include "app/json/text.h"

/* ---- Header fields with parameters: value; name=token; name="quoted" --------------------------------------------- */

struct field {
    char *name, *value; /* NUL-terminated in place */
};

/* A quoted string at *at (behind its first quote), unescaped in place; moves *at behind it.  NULL: it does not end.
 * Browsers write %22 for a quote and leave backslashes alone, others escape: only \" and \\ are unescaped. */
static char *read_quoted(char **at)
{
    char *p = *at, *start = p, *out = p;

    while (*p != '"') {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        if (*p == '\0')
            return NULL;
        *out++ = *p++;
    }
    *out = '\0';
    *at = p + 1;
    return start;
}

/* Reads one name=value; *at is behind its semicolon and is moved behind the next one, to NULL at the end.  0: nothing
 * there, 1: read, -1: malformed.  Changes the text. */
static int next_parameter(char **at, struct field *field)
{
    char *p = *at, last;

    if (p == NULL)
        return 0;
    p += strspn(p, " \t");
    if (*p == '\0') /* after a trailing semicolon */
        return 0;
    field->name = p;
    p += strcspn(p, "=; \t\"");
    if (*p != '=' || p == field->name)
        return -1;
    *p++ = '\0';
    if (*p == '"') {
        p++;
        field->value = read_quoted(&p);
        if (field->value == NULL)
            return -1;
    } else {
        field->value = p;
        p += strcspn(p, "; \t\"");
    }
    last = *p;
    *p = '\0';
    if (last == ' ' || last == '\t') {
        p += 1 + strspn(p + 1, " \t");
        last = *p;
    }
    *at = last == ';' ? p + 1 : NULL;
    return last == ';' || last == '\0' ? 1 : -1;
}

/* Where the first parameter of a field value begins; NULL: it has none. */
static char *first_parameter(char *value)
{
    char *semicolon = strchr(value, ';');
    return semicolon == NULL ? NULL : semicolon + 1;
}

static bool type_is(const char *value, const char *type)
{
    size_t size = strlen(type);
    return strncasecmp(value, type, size) == 0 && strchr("; \t", value[size]) != NULL;
}

bool multipart_is_form(const char *content_type)
{
    return content_type != NULL && type_is(content_type + strspn(content_type, " \t"), "multipart/form-data");
}

static enum infomask_status find_boundary(const char *content_type, char boundary[MULTIPART_BOUNDARY_SIZE],
                                          struct infomask_error *err)
{
    char text[512], *at;
    struct field field;
    size_t size = strlen(content_type);
    int got, found = 0;

    if (size >= sizeof text)
        return error_set(err, INFOMASK_ARGUMENT, "the Content-Type is longer than %zu bytes", sizeof text - 1);
    memcpy(text, content_type, size + 1);
    at = first_parameter(text);
    while ((got = next_parameter(&at, &field)) > 0) {
        if (strcasecmp(field.name, "boundary") != 0)
            continue;
        size = strlen(field.value);
        if (size == 0 || size >= MULTIPART_BOUNDARY_SIZE || found++ > 0)
            return error_set(err, INFOMASK_ARGUMENT, "multipart/form-data needs one boundary of 1 to 70 characters");
        memcpy(boundary, field.value, size + 1);
    }
    if (got < 0)
        return error_set(err, INFOMASK_ARGUMENT, "the parameters of the Content-Type cannot be read");
    if (found == 0)
        return error_set(err, INFOMASK_ARGUMENT, "multipart/form-data needs a boundary in the Content-Type");
    return INFOMASK_OK;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

static enum infomask_status read_disposition(char *value, struct part *part, struct infomask_error *err)
{
    char *at = first_parameter(value);
    struct field field;
    int got;

    if (!type_is(value, "form-data"))
        return error_set(err, INFOMASK_ARGUMENT, "a part of the form is not form-data");
    while ((got = next_parameter(&at, &field)) > 0) {
        bool name = strcasecmp(field.name, "name") == 0, file = strcasecmp(field.name, "filename") == 0;
        if ((name && part->name != NULL) || (file && part->file_name != NULL))
            return error_set(err, INFOMASK_ARGUMENT, "a part of the form has two names");
        if ((name || file) && !text_is_utf8(field.value, strlen(field.value)))
            return error_set(err, INFOMASK_ARGUMENT, "the name of a part of the form is not UTF-8");
        if (name)
            part->name = field.value;
        if (file)
            part->file_name = field.value;
    }
    if (got < 0)
        return error_set(err, INFOMASK_ARGUMENT, "the Content-Disposition of a part of the form cannot be read");
    return INFOMASK_OK;
}

static enum infomask_status read_header(char *line, struct part *part, struct infomask_error *err)
{
    char *colon = strchr(line, ':'), *value;

    if (colon == NULL || !text_is_token(line, (size_t)(colon - line)))
        return error_set(err, INFOMASK_ARGUMENT, "a header field of a part of the form is malformed");
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    if (strcasecmp(line, "Content-Disposition") == 0)
        return read_disposition(value, part, err);
    if (strcasecmp(line, "Content-Transfer-Encoding") == 0 && strcasecmp(value, "binary") != 0 &&
        strcasecmp(value, "8bit") != 0 && strcasecmp(value, "7bit") != 0)
        return error_set(err, INFOMASK_ARGUMENT, "a part of the form is encoded; only binary is understood");
    return INFOMASK_OK;
}

/* The header fields at *at, up to and with the empty line; moves *at to the content. */
static enum infomask_status read_headers(char **at, char *end, struct part *part, struct infomask_error *err)
{
    const char *limit = *at + MULTIPART_MAX_HEADER;

    for (;;) {
        char *line = *at, *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (stop == NULL)
            return error_set(err, INFOMASK_ARGUMENT, "the multipart body ends inside a part's header fields");
        if (stop > limit)
            return error_set(err, INFOMASK_ARGUMENT, "the header fields of a part of the form are over %d bytes",
                             MULTIPART_MAX_HEADER);
        *at = stop + 2;
        if (stop == line)
            break;
        *stop = '\0';
        if (strlen(line) != (size_t)(stop - line))
            return error_set(err, INFOMASK_ARGUMENT, "a header field of a part of the form holds a NUL");
        enum infomask_status status = read_header(line, part, err);
        if (status != INFOMASK_OK)
            return status;
    }
    if (part->name == NULL)
        return error_set(err, INFOMASK_ARGUMENT, "a part of the form has no name");
    return INFOMASK_OK;
}

/* What follows "--boundary": 1: another part at *at, 0: the end of the form, -1: no delimiter after all. */
static int after_boundary(char **at, const char *end)
{
    char *p = *at;

    if (end - p >= 2 && p[0] == '-' && p[1] == '-')
        return 0;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return -1;
    *at = p + 2;
    return 1;
}

/* The first delimiter at or after `from`, "\r\n--boundary" and its padding.  Returns where the "\r\n" is, NULL: none;
 * *kind as after_boundary says, *next where the delimiter ends. */
static char *find_delimiter(char *from, char *end, const char *mark, size_t mark_size, int *kind, char **next)
{
    for (;;) {
        char *found = memmem(from, (size_t)(end - from), mark, mark_size);
        if (found == NULL)
            return NULL;
        *next = found + mark_size;
        *kind = after_boundary(next, end);
        if (*kind >= 0)
            return found;
        from = found + 1;
    }
}

enum infomask_status multipart_parse(const char *content_type, char *body, size_t size, struct part *parts,
                                     int max_parts, int *count, struct infomask_error *err)
{
    char mark[MULTIPART_BOUNDARY_SIZE + 4] = "\r\n--", *end = body + size, *at, *found;
    enum infomask_status status = find_boundary(content_type, mark + 4, err);
    size_t mark_size = strlen(mark);
    int kind;

    if (status != INFOMASK_OK)
        return status;
    *count = 0;
    at = body + mark_size - 2;
    if (size < mark_size || memcmp(body, mark + 2, mark_size - 2) != 0 || (kind = after_boundary(&at, end)) < 0) {
        /* a preamble is allowed before the first delimiter */
        found = find_delimiter(body, end, mark, mark_size, &kind, &at);
        if (found == NULL)
            return error_set(err, INFOMASK_ARGUMENT, "the body does not hold the boundary that the Content-Type names");
    }
    while (kind == 1) {
        struct part part = {0};
        if (*count == max_parts)
            return error_set(err, INFOMASK_ARGUMENT, "the form has more than %d parts", max_parts);
        status = read_headers(&at, end, &part, err);
        if (status != INFOMASK_OK)
            return status;
        part.data = at;
        /* an empty part's delimiter begins with the line end of its header */
        found = find_delimiter(at - 2, end, mark, mark_size, &kind, &at);
        if (found == NULL)
            return error_set(err, INFOMASK_ARGUMENT, "the multipart body is cut short: its last boundary is missing");
        part.size = found < part.data ? 0 : (size_t)(found - part.data);
        part.data[part.size] = '\0';
        parts[(*count)++] = part;
    }
    return INFOMASK_OK;
}
