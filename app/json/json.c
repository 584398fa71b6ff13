/* The reader: one pass over the bytes that checks the grammar, then cJSON builds the tree, then a pass over the tree
 * for duplicate keys (which only show once escapes are decoded). */
#include "app/json/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json_scan.h"

#define DEEPEST 500        /* cJSON's own limit is 1,000; our recursion needs about 100 bytes a level */
#define FEW_KEYS 16        /* up to this many are compared pairwise, without memory */

struct json_limits json_default_limits(void)
{
    return (struct json_limits){.max_depth = 32, .max_values = 1000000};
}

static enum infomask_status duplicate_found(const char *key, struct infomask_error *err)
{
    return error_set(err, INFOMASK_BAD_DATA, "not valid JSON: duplicate key \"%.60s\"", key);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum infomask_status check_many_keys(const cJSON *object, size_t count, struct infomask_error *err)
{
    const char **keys = malloc(count * sizeof *keys);
    enum infomask_status status = INFOMASK_OK;
    size_t n = 0;

    if (keys == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (const cJSON *child = object->child; child != NULL; child = child->next)
        keys[n++] = child->string;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n && status == INFOMASK_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = duplicate_found(keys[i], err);
    free(keys);
    return status;
}

static enum infomask_status check_keys(const cJSON *object, struct infomask_error *err)
{
    size_t count = json_count((const struct json *)object);

    if (count > FEW_KEYS)
        return check_many_keys(object, count, err);
    for (const cJSON *a = object->child; a != NULL; a = a->next)
        for (const cJSON *b = a->next; b != NULL; b = b->next)
            if (strcmp(a->string, b->string) == 0)
                return duplicate_found(a->string, err);
    return INFOMASK_OK;
}

static enum infomask_status check_tree(const cJSON *node, struct infomask_error *err)
{
    enum infomask_status status = cJSON_IsObject(node) ? check_keys(node, err) : INFOMASK_OK;

    for (const cJSON *child = node->child; child != NULL && status == INFOMASK_OK; child = child->next)
        if (child->child != NULL)
            status = check_tree(child, err);
    return status;
}

/* The text with an empty array for what is apart. */
static char *text_of_tree(const struct json_scan *scan, size_t *size)
{
    size_t rest = scan->size - scan->to;
    char *text = malloc(scan->from + 2 + rest);

    if (text == NULL)
        return NULL;
    memcpy(text, scan->text, scan->from);
    memcpy(text + scan->from, "[]", 2);
    memcpy(text + scan->from + 2, scan->text + scan->to, rest);
    *size = scan->from + 2 + rest;
    return text;
}

/* Behind a string's opening quote: the next character after it. */
static const char *string_end(const char *at)
{
    for (; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* The checked text, with 17 digits for each number that cJSON cannot read: no longer than it was. */
static char *text_of_short_numbers(const char *text, size_t *size)
{
    const char *at = text, *end = text + *size, *next;
    char *copy = malloc(*size + 1), *to = copy;

    for (; copy != NULL && at < end; at = next) {
        size_t length = 1;
        if (*at == '"')
            length = (size_t)(string_end(at + 1) - at);
        else if (*at == '-' || (*at >= '0' && *at <= '9'))
            for (; at + length < end && strchr("+-.0123456789eE", at[length]) != NULL; length++)
                ;
        next = at + length;
        if (*at != '"' && length > JSON_LONGEST_NUMBER)
            to += snprintf(to, JSON_LONGEST_NUMBER, "%.17g", json_double_read(at, length));
        else
            to = mempcpy(to, at, length);
    }
    if (copy != NULL)
        *size = (size_t)(to - copy);
    return copy;
}

static enum infomask_status parse_tree(const char *text, size_t size, struct json **root, struct infomask_error *err)
{
    cJSON *tree = cJSON_ParseWithLength(text, size);
    enum infomask_status status;

    if (tree == NULL) /* the grammar was checked: nothing else is left */
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = check_tree(tree, err);
    if (status != INFOMASK_OK) {
        cJSON_Delete(tree);
        return status;
    }
    *root = (struct json *)tree;
    return INFOMASK_OK;
}

static enum infomask_status parse_text(const struct json_scan *scan, const char *text, size_t size, struct json **root,
                                       struct infomask_error *err)
{
    enum infomask_status status;
    char *shorter;

    if (!scan->long_number)
        return parse_tree(text, size, root, err);
    shorter = text_of_short_numbers(text, &size);
    if (shorter == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = parse_tree(shorter, size, root, err);
    free(shorter);
    return status;
}

enum infomask_status json_parse_apart(const char *text, size_t size, const struct json_limits *limits,
                                      const char *apart, struct json **root, struct json_numbers *numbers,
                                      struct infomask_error *err)
{
    struct json_limits used = limits != NULL ? *limits : json_default_limits();
    struct json_scan scan = {.text = (const unsigned char *)text,
                        .size = size,
                        .max_depth = used.max_depth < DEEPEST ? used.max_depth : DEEPEST,
                        .max_values = used.max_values,
                        .apart = apart,
                        .err = err};
    enum infomask_status status;
    char *rest;

    *numbers = (struct json_numbers){NULL, 0};
    if (!json_scan(&scan))
        return INFOMASK_BAD_DATA;
    if (scan.to == 0)
        return parse_text(&scan, text, size, root, err);
    *numbers = (struct json_numbers){text + scan.from, scan.to - scan.from};
    rest = text_of_tree(&scan, &size);
    if (rest == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = parse_text(&scan, rest, size, root, err);
    free(rest);
    return status;
}

enum infomask_status json_parse(const char *text, size_t size, const struct json_limits *limits, struct json **root,
                                struct infomask_error *err)
{
    struct json_numbers none;
    return json_parse_apart(text, size, limits, NULL, root, &none, err);
}

/* ---- Numbers apart ----------------------------------------------------------------------------------------------- */

/* Where the numbers of a checked array are read. */
struct reading {
    const char *at;
    float *values;
    size_t used, count;
};

static void skip_space(struct reading *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')
        r->at++;
}

static bool read_one(struct reading *r)
{
    size_t length = strspn(r->at, "+-.0123456789eE");

    if (r->used == r->count || length == 0)
        return false;
    r->values[r->used++] = (float)json_double_read(r->at, length);
    r->at += length;
    return true;
}

/* At an opening bracket: an array of shape[0] parts of the rest of the shape each; rank 1: of numbers. */
static bool read_array(struct reading *r, const int64_t *shape, int rank)
{
    int64_t parts = 0;

    if (*r->at++ != '[')
        return false;
    skip_space(r);
    while (*r->at != ']') {
        if (!(rank > 1 ? read_array(r, shape + 1, rank - 1) : read_one(r)))
            return false;
        parts++;
        skip_space(r);
        r->at += *r->at == ',';
        skip_space(r);
    }
    r->at++;
    return parts == shape[0];
}

bool json_numbers_read(const struct json_numbers *numbers, const int64_t *shape, int rank, float *values, size_t count)
{
    const int64_t flat[1] = {(int64_t)count};
    struct reading r = {numbers->text, values, 0, count};
    const char *inner = numbers->text + 1 + strspn(numbers->text + 1, " \t\n\r");

    return (*inner == '[' ? read_array(&r, shape, rank) : read_array(&r, flat, 1)) && r.used == count;
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)root);
}

enum json_kind json_kind(const struct json *node)
{
    const cJSON *item = (const cJSON *)node;
    if (cJSON_IsBool(item))
        return JSON_BOOL;
    if (cJSON_IsNumber(item))
        return JSON_NUMBER;
    if (cJSON_IsString(item))
        return JSON_STRING;
    if (cJSON_IsArray(item))
        return JSON_ARRAY;
    return cJSON_IsObject(item) ? JSON_OBJECT : JSON_NULL;
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null", "true or false", "a number", "a string", "an array", "an object"};
    return names[kind];
}

const struct json *json_get(const struct json *object, const char *key)
{
    const cJSON *item = (const cJSON *)object;
    return cJSON_IsObject(item) ? (const struct json *)cJSON_GetObjectItemCaseSensitive(item, key) : NULL;
}

const struct json *json_first(const struct json *node)
{
    return node != NULL ? (const struct json *)((const cJSON *)node)->child : NULL;
}

const struct json *json_next(const struct json *node)
{
    return (const struct json *)((const cJSON *)node)->next;
}

size_t json_count(const struct json *node)
{
    size_t count = 0;
    for (const struct json *child = json_first(node); child != NULL; child = json_next(child))
        count++;
    return count;
}

const char *json_key(const struct json *member)
{
    return ((const cJSON *)member)->string;
}

bool json_number(const struct json *node, double *value)
{
    const cJSON *item = (const cJSON *)node;
    if (!cJSON_IsNumber(item))
        return false;
    *value = item->valuedouble;
    return true;
}

bool json_integer(const struct json *node, int64_t *value)
{
    double number;
    if (!json_number(node, &number) || trunc(number) < number || trunc(number) > number ||
        fabs(number) > 9007199254740992.0)
        return false;
    *value = (int64_t)number;
    return true;
}

bool json_bool(const struct json *node, bool *value)
{
    const cJSON *item = (const cJSON *)node;
    if (!cJSON_IsBool(item))
        return false;
    *value = cJSON_IsTrue(item);
    return true;
}

const char *json_string(const struct json *node)
{
    return cJSON_GetStringValue((const cJSON *)node);
}
