/* JSON (RFC 8259): a strict reader, and a writer that cannot write anything wrong.
 *
 * The reader refuses what parsers usually let through: bytes that are not UTF-8, a BOM, lone surrogates, \u0000, bare
 * control characters, sloppy numbers, numbers that overflow a double, duplicate keys, text after the value, and more
 * nesting or more values than the limits say.  The tree belongs to the root; everything handed out borrows from it.
 * The writer appends text to one growing buffer and keeps its first failure until json_writer_take: a picture in
 * base64 is written once, where a tree of nodes would hold it twice.
 * This file's .c is the only one that sees cJSON.  Thread rule: a tree or a writer belongs to one thread at a time; a
 * tree may be read by several.
 */
#ifndef APP_JSON_JSON_H
#define APP_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

struct json_limits {
    int max_depth;     /* arrays and objects inside each other; at most 500 */
    size_t max_values; /* nodes of the tree, each 64 bytes beside its text */
};
/* 32 deep, 1,000,000 values. */
struct json_limits json_default_limits(void);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json; /* a node */

/* One value of `size` bytes (no NUL needed).  limits: NULL for the default ones.  BAD_DATA with a sentence that names
 * what was wrong and the byte where ("duplicate key \"a\"", "not UTF-8 at byte 17"); MEMORY. */
enum infomask_status json_parse(const char *text, size_t size, const struct json_limits *limits, struct json **root,
                                struct infomask_error *err) __attribute__((warn_unused_result));
/* As json_parse, but the first array under a key `apart` that holds nothing but numbers (in arrays of any depth)
 * becomes no nodes, which would take 64 bytes a number, and counts as one value: an empty array stands in its place,
 * and *numbers is its text, borrowed; {NULL, 0}: there was none. */
struct json_numbers {
    const char *text;
    size_t size;
};
enum infomask_status json_parse_apart(const char *text, size_t size, const struct json_limits *limits,
                                      const char *apart, struct json **root, struct json_numbers *numbers,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
/* Its numbers in their order.  False: they are not `count`, or the arrays are neither flat nor of the shape [rank]. */
bool json_numbers_read(const struct json_numbers *numbers, const int64_t *shape, int rank, float *values, size_t count);

void json_free(struct json *root); /* json_free(NULL) does nothing */

enum json_kind json_kind(const struct json *node);
const char *json_kind_name(enum json_kind kind); /* "an object", "a number", ... for sentences */
/* The member `key` (exact bytes) of an object, NULL if there is none or the node is no object (NULL included). */
const struct json *json_get(const struct json *object, const char *key);
/* Children of an array or object in order: for (c = json_first(n); c != NULL; c = json_next(c)). */
const struct json *json_first(const struct json *node);
const struct json *json_next(const struct json *node);
size_t json_count(const struct json *node); /* children */
const char *json_key(const struct json *member); /* NULL for what is no member of an object */

/* The value, or false and *value untouched when the node is NULL or of another kind. */
bool json_number(const struct json *node, double *value);
bool json_integer(const struct json *node, int64_t *value); /* a number without a fraction within +-2^53 */
bool json_bool(const struct json *node, bool *value);
const char *json_string(const struct json *node); /* UTF-8 without NULs; NULL for another kind */

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

struct json_writer {
    char *data;
    size_t size, capacity;
    int depth, indent;   /* spaces a level; 0: everything on one line */
    bool empty;          /* nothing yet in the open object or array */
    bool nested;         /* what was written last is an object or an array */
    enum infomask_status status;
    const char *reason;
};

/* indent: 0 for one line without spaces at line ends (the service), 2 for reading. */
void json_writer_init(struct json_writer *writer, int indent);
void json_writer_fini(struct json_writer *writer);
/* The finished text (malloc'ed, NUL-terminated, `size` without the NUL), ending in a newline; the writer is then empty.
 * INTERNAL if a number was not finite or something was left open; MEMORY. */
enum infomask_status json_writer_take(struct json_writer *writer, char **text, size_t *size,
                                      struct infomask_error *err) __attribute__((warn_unused_result));

/* key: the member's name inside an object; NULL inside an array and at the top. */
void json_object_open(struct json_writer *writer, const char *key);
void json_object_close(struct json_writer *writer);
void json_array_open(struct json_writer *writer, const char *key);
void json_array_close(struct json_writer *writer);

void json_put_null(struct json_writer *writer, const char *key);
/* `text` is a JSON value already, of a writer without indentation. */
void json_put_raw(struct json_writer *writer, const char *key, const char *text, size_t size);
void json_put_bool(struct json_writer *writer, const char *key, bool value);
void json_put_int(struct json_writer *writer, const char *key, int64_t value);
void json_put_uint(struct json_writer *writer, const char *key, uint64_t value);
/* The shortest decimal that reads back as the same double.  A value that is not finite fails the writer. */
void json_put_double(struct json_writer *writer, const char *key, double value);
/* As json_put_double, null where the value is not finite: for values that may not exist. */
void json_put_double_or_null(struct json_writer *writer, const char *key, double value);
/* NULL becomes null; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(struct json_writer *writer, const char *key, const char *value);
void json_put_base64(struct json_writer *writer, const char *key, const void *data, size_t size);
void json_put_node(struct json_writer *writer, const char *key, const struct json *node); /* a copy of a tree */

/* The text of one double, as json_put_double writes it; returns its length. */
#define JSON_DOUBLE_TEXT 32
int json_double_text(double finite, char text[JSON_DOUBLE_TEXT]);
/* The double nearest to a number in JSON's grammar of `size` characters (no NUL needed), ties to even; plus or minus
 * HUGE_VAL where it is too large. */
double json_double_read(const char *number, size_t size);

#endif
