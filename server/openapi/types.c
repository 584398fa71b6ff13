#include "server/openapi/types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_words(struct json_writer *w, const char *words)
{
    json_array_open(w, "enum");
    while (*words != '\0') {
        size_t size = strcspn(words, "|");
        char word[32];
        (void)snprintf(word, sizeof word, "%.*s", (int)size, words);
        json_put_string(w, NULL, word);
        words += size + (words[size] == '|');
    }
    json_array_close(w);
}

/* Names for variables, where a word is none: infocam+ beside infocam. */
static void put_variables(struct json_writer *w, const char *words)
{
    if (strchr(words, '+') == NULL)
        return;
    json_array_open(w, "x-enum-varnames");
    while (*words != '\0') {
        char name[64];
        size_t used = 0;
        for (; *words != '\0' && *words != '|' && used + 6 < sizeof name; words++) {
            if (*words == '+')
                used += (size_t)snprintf(name + used, sizeof name - used, "_PLUS");
            else
                name[used++] = (char)(*words >= 'a' && *words <= 'z' ? *words - 'a' + 'A' : *words);
        }
        name[used] = '\0';
        json_put_string(w, NULL, name);
        words += *words == '|';
    }
    json_array_close(w);
}

static void put_text_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "string");
    json_put_int(w, "minLength", (int64_t)info->low);
    json_put_int(w, "maxLength", (int64_t)info->high);
}

static void put_pattern(struct json_writer *w, const char *pattern)
{
    json_put_string(w, "type", "string");
    json_put_string(w, "pattern", pattern);
}

static void put_number_type(struct json_writer *w, const struct param_info *info)
{
    bool integer = info->type == PARAM_INTEGER;

    json_put_string(w, "type", integer ? "integer" : "number");
    json_put_double(w, "minimum", info->low);
    json_put_double(w, "maximum", info->high);
    if (*info->value != '\0')
        json_put_double(w, "default", strtod(info->value, NULL));
}

static void put_fill_type(struct json_writer *w, const struct param_info *info)
{
    char pattern[160];

    (void)snprintf(pattern, sizeof pattern, "^(%s|#[0-9a-fA-F]{6})$", info->words);
    put_pattern(w, pattern);
}

static void put_list_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "array");
    json_put_int(w, "minItems", 1);
    json_object_open(w, "items");
    json_put_string(w, "type", "string");
    put_words(w, info->words);
    json_object_close(w);
}

/* `target` where several are allowed. */
static void put_targets_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "array");
    json_put_int(w, "maxItems", PARAMS_MAX_TARGETS);
    json_object_open(w, "items");
    put_text_type(w, info);
    json_object_close(w);
}

static bool takes_several(const struct param_info *info, unsigned group)
{
    return strcmp(info->name, "target") == 0 && (group & TAKES_TARGETS);
}

void openapi_type(struct json_writer *w, const struct param_info *info, unsigned group)
{
    json_object_open(w, "schema");
    switch (info->type) {
    case PARAM_INTEGER:
    case PARAM_NUMBER:
        put_number_type(w, info);
        break;
    case PARAM_BOOL:
        json_put_string(w, "type", "boolean");
        json_put_bool(w, "default", strcmp(info->value, "true") == 0);
        break;
    case PARAM_CHOICE:
        json_put_string(w, "type", "string");
        put_words(w, info->words);
        put_variables(w, info->words);
        if (*info->value != '\0')
            json_put_string(w, "default", info->value);
        break;
    case PARAM_LIST:
        put_list_type(w, info);
        break;
    case PARAM_CLASS:
    case PARAM_TEXT:
        if (takes_several(info, group))
            put_targets_type(w, info);
        else
            put_text_type(w, info);
        break;
    case PARAM_PRIOR:
        put_pattern(w, "^(train|uniform|[0-9.eE+-]+(,[0-9.eE+-]+)*)$");
        break;
    case PARAM_THRESHOLD:
        put_pattern(w, "^(auto|otsu|window|(max|share|nats|bits):[0-9.eE+-]+)$");
        break;
    case PARAM_RESOLUTION:
        put_pattern(w, "^(native|[0-9]+)$");
        break;
    case PARAM_FILL:
        put_fill_type(w, info);
        break;
    }
    json_object_close(w);
}

void openapi_reference(struct json_writer *w, const char *key, const char *kind, const char *name, size_t size)
{
    char text[96];

    (void)snprintf(text, sizeof text, "#/components/%s/%.*s", kind, (int)size, name);
    json_object_open(w, key);
    json_put_string(w, "$ref", text);
    json_object_close(w);
}

void openapi_bytes(struct json_writer *w, const char *key, const char *description)
{
    json_object_open(w, key);
    json_put_string(w, "type", "string");
    json_put_string(w, "format", "binary");
    if (description != NULL)
        json_put_string(w, "description", description);
    json_object_close(w);
}
