#include "app/json/json_scan.h"

#include <math.h>
#include <string.h>

#include "app/json/json.h"
#include "app/json/json_utf8.h"

static bool scan_value(struct json_scan *scan);
static bool scan_apart(struct json_scan *scan);

static bool scan_fails(struct json_scan *scan, const char *what)
{
    (void)error_set(scan->err, INFOMASK_BAD_DATA, "not valid JSON: %s at byte %zu", what, scan->at);
    return false;
}

static bool scan_exceeds(struct json_scan *scan, const char *what, size_t limit)
{
    (void)error_set(scan->err, INFOMASK_BAD_DATA, "the JSON has more than %zu %s, the most that is taken, at byte %zu",
                    limit, what, scan->at);
    return false;
}

/* the next byte, or -1 at the end */
static int scan_peek(const struct json_scan *scan)
{
    return scan->at < scan->size ? scan->text[scan->at] : -1;
}

static void scan_space(struct json_scan *scan)
{
    int c;
    while (c = scan_peek(scan), c == ' ' || c == '\t' || c == '\n' || c == '\r')
        scan->at++;
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    size_t length = strlen(word);
    if (scan->size - scan->at < length || memcmp(scan->text + scan->at, word, length) != 0)
        return scan_fails(scan, "unknown word");
    scan->at += length;
    return true;
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* the four digits after \u at `at`, or -1 */
static int hex_unit(const struct json_scan *scan, size_t at)
{
    int unit = 0;
    if (scan->size - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_value(scan->text[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* at the `u` of \uXXXX */
static bool scan_unicode_escape(struct json_scan *scan)
{
    int unit = hex_unit(scan, scan->at + 1), low;

    if (unit < 0)
        return scan_fails(scan, "\\u without four hexadecimal digits");
    if (unit == 0)
        return scan_fails(scan, "a NUL character in a string");
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return scan_fails(scan, "half of a surrogate pair");
    scan->at += 5;
    if (unit < 0xD800 || unit > 0xDBFF)
        return true;
    low = scan->size - scan->at >= 6 && scan->text[scan->at] == '\\' && scan->text[scan->at + 1] == 'u'
              ? hex_unit(scan, scan->at + 2)
              : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return scan_fails(scan, "half of a surrogate pair");
    scan->at += 6;
    return true;
}

static bool scan_escape(struct json_scan *scan)
{
    int c;
    scan->at++;
    c = scan_peek(scan);
    if (c == 'u')
        return scan_unicode_escape(scan);
    if (c < 0 || strchr("\"\\/bfnrt", c) == NULL)
        return scan_fails(scan, "unknown escape");
    scan->at++;
    return true;
}

/* at the opening quote */
static bool scan_string(struct json_scan *scan)
{
    scan->at++;
    for (;;) {
        int c = scan_peek(scan);
        if (c < 0)
            return scan_fails(scan, "string without an end");
        if (c == '"') {
            scan->at++;
            return true;
        }
        if (c < 0x20)
            return scan_fails(scan, "a control character in a string");
        if (c == '\\') {
            if (!scan_escape(scan))
                return false;
        } else {
            size_t length = json_utf8_length(scan->text + scan->at, scan->size - scan->at);
            if (length == 0)
                return scan_fails(scan, "not UTF-8");
            scan->at += length;
        }
    }
}

static bool scan_digits(struct json_scan *scan)
{
    size_t start = scan->at;
    int c;
    while (c = scan_peek(scan), c >= '0' && c <= '9')
        scan->at++;
    return scan->at > start || scan_fails(scan, "a number without a digit");
}

static bool number_is_finite(struct json_scan *scan, size_t start)
{
    size_t length = scan->at - start;

    scan->long_number = scan->long_number || length > JSON_LONGEST_NUMBER;
    return isfinite(json_double_read((const char *)scan->text + start, length)) ||
           scan_fails(scan, "a number too large for a double");
}

static bool scan_number(struct json_scan *scan)
{
    size_t start = scan->at;
    int c;

    if (scan_peek(scan) == '-')
        scan->at++;
    if (scan_peek(scan) == '0') {
        scan->at++;
        c = scan_peek(scan);
        if (c >= '0' && c <= '9')
            return scan_fails(scan, "a number with a leading zero");
    } else if (!scan_digits(scan)) {
        return false;
    }
    if (scan_peek(scan) == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    c = scan_peek(scan);
    if (c == 'e' || c == 'E') {
        scan->at++;
        c = scan_peek(scan);
        if (c == '+' || c == '-')
            scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    return number_is_finite(scan, start);
}

/* *apart: it is the key whose numbers are left out of the tree, if they are nothing but numbers. */
static bool scan_member_name(struct json_scan *scan, bool *apart)
{
    size_t start, length = scan->apart != NULL ? strlen(scan->apart) : 0;

    scan_space(scan);
    start = scan->at + 1;
    if (scan_peek(scan) != '"')
        return scan_fails(scan, "a member without a quoted name");
    if (!scan_string(scan))
        return false;
    *apart = length > 0 && scan->at == start + length + 1 && memcmp(scan->text + start, scan->apart, length) == 0;
    scan_space(scan);
    if (scan_peek(scan) != ':')
        return scan_fails(scan, "a member without ':'");
    scan->at++;
    return true;
}

/* The value of such a member: its numbers are not counted, if it holds nothing else. */
static bool scan_apart(struct json_scan *scan)
{
    size_t before = scan->values, start;
    bool fine, numbers;

    scan_space(scan);
    start = scan->at;
    scan->counted = scan_peek(scan) != '[';
    scan->numeric = !scan->counted;
    fine = scan_value(scan);
    scan->counted = true;
    numbers = fine && scan->numeric;
    scan->numeric = false;
    if (numbers) {
        scan->values = before + 1;
        scan->from = start;
        scan->to = scan->at;
        scan->apart = NULL;
    }
    return fine && (scan->values <= scan->max_values || scan_exceeds(scan, "values", scan->max_values));
}

/* at the opening bracket; close is the bracket that ends it */
static bool scan_container(struct json_scan *scan, int close)
{
    if (++scan->depth > scan->max_depth)
        return scan_exceeds(scan, "arrays and objects inside each other", (size_t)scan->max_depth);
    scan->at++;
    scan_space(scan);
    if (scan_peek(scan) == close) {
        scan->at++;
        scan->depth--;
        return true;
    }
    for (;;) {
        bool apart = false;
        int c;
        if (close == '}' && !scan_member_name(scan, &apart))
            return false;
        if (!(apart ? scan_apart(scan) : scan_value(scan)))
            return false;
        scan_space(scan);
        c = scan_peek(scan);
        if (c != ',' && c != close)
            return scan_fails(scan, close == '}' ? "',' or '}' is missing" : "',' or ']' is missing");
        scan->at++;
        if (c == close) {
            scan->depth--;
            return true;
        }
    }
}

static bool scan_value(struct json_scan *scan)
{
    int c;

    scan_space(scan);
    if (++scan->values > scan->max_values && scan->counted)
        return scan_exceeds(scan, "values", scan->max_values);
    c = scan_peek(scan);
    scan->numeric = scan->numeric && (c == '[' || c == '-' || (c >= '0' && c <= '9'));
    switch (c) {
    case '{':
        return scan_container(scan, '}');
    case '[':
        return scan_container(scan, ']');
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return scan_number(scan);
        return scan_fails(scan, c < 0 ? "a value is missing" : "unexpected character");
    }
}

bool json_scan(struct json_scan *scan)
{
    scan->counted = true;
    if (!scan_value(scan))
        return false;
    scan_space(scan);
    return scan->at == scan->size || scan_fails(scan, "text after the value");
}
