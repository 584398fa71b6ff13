#include "app/json/nearest.h"
#include "app/settings/params.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 60 /* bytes of a wrong value that a sentence repeats */

static const struct param_info table[PARAM_COUNT] = {
#define PARAM_ROW(id, name, type, low, high, words, value, groups, text) \
    {name, PARAM_##type, low, high, words, value, text, groups},
    PARAMS(PARAM_ROW)
#undef PARAM_ROW
};

const struct param_info *param_info(enum param_id id) { return &table[id]; }

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* All of text as a number; false for anything else, infinities and NANs included. */
static bool read_number(const char *text, double *value)
{
    char *end;

    if (*text == '\0' || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return *end == '\0' && end != text && isfinite(*value);
}

static bool read_integer(const char *text, int64_t *value)
{
    char *end;

    if (!isdigit((unsigned char)*text) && *text != '-')
        return false;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text;
}

/* Index of a word in "a|b|c"; -1.  A space stands for a plus: in a query string "infocam+" means "infocam ". */
static int find_word(const char *words, const char *text, size_t size)
{
    for (int index = 0;; index++) {
        size_t length = strcspn(words, "|"), i = 0;
        while (i < length && i < size && (words[i] == text[i] || (words[i] == '+' && text[i] == ' ')))
            i++;
        if (i == length && i == size)
            return index;
        if (words[length] == '\0')
            return -1;
        words += length + 1;
    }
}

static bool read_list(const char *words, const char *text, int64_t *bits)
{
    *bits = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        int index = find_word(words, text, size);
        if (index < 0)
            return false;
        *bits |= INT64_C(1) << index;
        if (text[size] == '\0')
            return true;
        text += size + 1;
    }
}

static bool read_bool(const char *text, int64_t *value)
{
    *value = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *value != 0 || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

/* Syntax only: train, uniform, or numbers with commas. */
static bool read_prior(const char *text)
{
    if (strcmp(text, "train") == 0 || strcmp(text, "uniform") == 0)
        return true;
    if (text[strspn(text, "+-.0123456789eE,")] != '\0') /* strtod would take hexadecimal, infinities and spaces too */
        return false;
    while (*text != '\0') {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !isfinite(value) || value <= 0)
            return false;
        if (*end == '\0')
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
    return false;
}

struct threshold {
    enum infomask_threshold_rule rule;
    double value;
    bool bits;
};

static bool read_threshold(const char *text, struct threshold *threshold)
{
    static const struct {
        const char *name;
        enum infomask_threshold_rule rule;
        double high; /* 0: the rule takes no value */
    } rules[] = {
        {"auto", INFOMASK_THRESHOLD_AUTO, 0},  {"otsu", INFOMASK_THRESHOLD_OTSU, 0},
        {"window", INFOMASK_THRESHOLD_WINDOW, 0}, {"max", INFOMASK_THRESHOLD_MAX, 1},
        {"share", INFOMASK_THRESHOLD_SHARE, 1}, {"nats", INFOMASK_THRESHOLD_NATS, 1000},
        {"bits", INFOMASK_THRESHOLD_NATS, 1000},
    };
    size_t size = strcspn(text, ":");

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strlen(rules[i].name) != size || memcmp(rules[i].name, text, size) != 0)
            continue;
        *threshold = (struct threshold){rules[i].rule, 0, rules[i].name[0] == 'b'};
        if (rules[i].high == 0)
            return text[size] == '\0';
        return text[size] == ':' && read_number(text + size + 1, &threshold->value) && threshold->value >= 0 &&
               threshold->value <= rules[i].high;
    }
    return false;
}

static bool read_color(const char *text, uint8_t color[3])
{
    if (*text != '#' || strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6)
        return false;
    unsigned long value = strtoul(text + 1, NULL, 16);
    color[0] = (uint8_t)(value >> 16);
    color[1] = (uint8_t)(value >> 8);
    color[2] = (uint8_t)value;
    return true;
}

static bool in_range(const struct param_info *info, double value) { return value >= info->low && value <= info->high; }

static bool read_value(const struct param_info *info, const char *text, struct param_value *value)
{
    struct threshold threshold;
    uint8_t color[3];

    switch (info->type) {
    case PARAM_INTEGER:
        value->number = 0;
        if (!read_integer(text, &value->integer) || !in_range(info, (double)value->integer))
            return false;
        value->number = (double)value->integer;
        return true;
    case PARAM_NUMBER:
        return read_number(text, &value->number) && in_range(info, value->number);
    case PARAM_BOOL:
        return read_bool(text, &value->integer);
    case PARAM_CHOICE:
        value->integer = find_word(info->words, text, strlen(text));
        return value->integer >= 0;
    case PARAM_LIST:
        return read_list(info->words, text, &value->integer);
    case PARAM_TEXT:
    case PARAM_CLASS:
        return in_range(info, (double)strlen(text));
    case PARAM_PRIOR:
        return read_prior(text);
    case PARAM_THRESHOLD:
        return read_threshold(text, &threshold);
    case PARAM_RESOLUTION:
        value->integer = -1;
        return strcmp(text, "native") == 0 ||
               (read_integer(text, &value->integer) && in_range(info, (double)value->integer));
    case PARAM_FILL:
        value->integer = find_word(info->words, text, strlen(text));
        return value->integer >= 0 || read_color(text, color);
    }
    return false;
}

/* ---- Sentences --------------------------------------------------------------------------------------------------- */

int param_range_text(enum param_id id, char *text, size_t size)
{
    const struct param_info *info = &table[id];
    char words[160] = "";
    size_t used = 0;

    for (const char *p = info->words; *p != '\0' && used + 3 < sizeof words; p++) {
        if (*p == '|')
            words[used++] = ',';
        words[used++] = *p == '|' ? ' ' : *p;
    }
    words[used] = '\0';
    switch (info->type) {
    case PARAM_INTEGER:
        return snprintf(text, size, "an integer from %.0f to %.0f", info->low, info->high);
    case PARAM_NUMBER:
        return snprintf(text, size, "a number from %g to %g", info->low, info->high);
    case PARAM_BOOL:
        return snprintf(text, size, "true or false");
    case PARAM_CHOICE:
        return snprintf(text, size, "one of %s", words);
    case PARAM_LIST:
        return snprintf(text, size, "one or more of %s, with commas between them", words);
    case PARAM_TEXT:
    case PARAM_CLASS:
        return snprintf(text, size, "%.0f to %.0f bytes long", info->low, info->high);
    case PARAM_PRIOR:
        return snprintf(text, size, "train, uniform, or one positive number for each class, with commas between them");
    case PARAM_THRESHOLD:
        return snprintf(text, size,
                        "auto, otsu, window, max:0..1, share:0..1, nats:0..1000 or bits:0..1000");
    case PARAM_RESOLUTION:
        return snprintf(text, size, "native or an integer from %.0f to %.0f", info->low, info->high);
    case PARAM_FILL:
        return snprintf(text, size, "one of %s, or #rrggbb", words);
    }
    return 0;
}

/* The names that a route takes, for the sentence about one that it does not. */
static void list_names(unsigned group, char *text, size_t size)
{
    size_t used = 0;

    (void)snprintf(text, size, "none");
    for (int i = 0; i < PARAM_COUNT; i++)
        if ((table[i].groups & group) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", table[i].name);
}

static enum infomask_status refuse_name(unsigned group, const char *name, struct infomask_error *err)
{
    char names[INFOMASK_ERROR_TEXT];

    struct nearest nearest = nearest_begin(name);

    for (int i = 0; i < PARAM_COUNT; i++)
        if (table[i].groups & group)
            nearest_offer(&nearest, table[i].name);
    list_names(group, names, sizeof names);
    if (nearest.name != NULL)
        return error_set(err, INFOMASK_ARGUMENT, "unknown parameter \"%.*s\": did you mean %s? There are: %s", 40, name,
                         nearest.name, names);
    return error_set(err, INFOMASK_ARGUMENT, "unknown parameter \"%.*s\"; there are: %s", 40, name, names);
}

static enum infomask_status refuse_value(enum param_id id, const char *value, struct infomask_error *err)
{
    char range[200];

    (void)param_range_text(id, range, sizeof range);
    return error_set(err, INFOMASK_ARGUMENT, "%s must be %s, not \"%.*s%s\"", table[id].name, range, SHOWN, value,
                     strlen(value) > SHOWN ? "..." : "");
}

/* ---- Collections ------------------------------------------------------------------------------------------------- */

void params_init(struct params *params)
{
    *params = (struct params){0};
    for (int i = 0; i < PARAM_COUNT; i++) {
        struct param_value *value = &params->value[i];
        value->number = NAN;
        if (*table[i].value == '\0' || !read_value(&table[i], table[i].value, value))
            continue;
        value->text = table[i].value;
    }
}

static enum infomask_status add_target(struct params *params, const char *value, struct infomask_error *err)
{
    if (params->target_count == PARAMS_MAX_TARGETS)
        return error_set(err, INFOMASK_ARGUMENT, "target may be given at most %d times", PARAMS_MAX_TARGETS);
    params->targets[params->target_count++] = value;
    return INFOMASK_OK;
}

enum infomask_status params_set(struct params *params, unsigned group, const char *name, const char *value,
                                struct infomask_error *err)
{
    for (int i = 0; i < PARAM_COUNT; i++) {
        struct param_value read = {.given = true, .text = value, .number = NAN};
        bool again = i == PARAM_ID_TARGET && (group & TAKES_TARGETS);
        if ((table[i].groups & group) == 0 || strcmp(table[i].name, name) != 0)
            continue;
        if (value == NULL)
            return INFOMASK_OK;
        if (params->value[i].given && !again)
            return error_set(err, INFOMASK_ARGUMENT, "%s is given more than once", table[i].name);
        if (!read_value(&table[i], value, &read))
            return refuse_value((enum param_id)i, value, err);
        params->value[i] = read;
        return i == PARAM_ID_TARGET ? add_target(params, value, err) : INFOMASK_OK;
    }
    return refuse_name(group, name, err);
}

bool param_threshold(const char *text, enum infomask_threshold_rule *rule, double *value)
{
    struct threshold threshold;

    if (!read_threshold(text, &threshold))
        return false;
    *rule = threshold.rule;
    *value = threshold.bits ? threshold.value * log(2) : threshold.value;
    return true;
}

bool param_color(const char *text, uint8_t color[3]) { return read_color(text, color); }
