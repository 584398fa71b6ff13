#include "app/settings/config.h"

#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/json/json_utf8.h"
#include "app/settings/files.h"

#define MOST_FILE (1 << 20)
#define PREFIX "INFOMASK_"

enum type { TYPE_STRING, TYPE_INT, TYPE_SIZE, TYPE_REAL, TYPE_BOOL, TYPE_CHOICE };

/* One line of the table.  text: the default of STRING and CHOICE; number: that of the others. */
struct row {
    const char *section, *name;
    enum type type;
    size_t offset;
    const char *text;
    double number, low, high;
    const char *words;
    const char *description;
};

#define ROW_TEXT(type, section, name, value, low, high, words, about) \
    {section, #name, type, offsetof(struct config, name), value, 0, low, high, words, about}
#define ROW_NUMBER(type, section, name, value, low, high, about) \
    {section, #name, type, offsetof(struct config, name), NULL, value, low, high, NULL, about}
#define ROW_STRING(section, name, value, low, high, about) \
    ROW_TEXT(TYPE_STRING, section, name, value, low, high, NULL, about)
#define ROW_CHOICE(section, name, value, low, high, about) \
    ROW_TEXT(TYPE_CHOICE, section, name, value, 0, high, low, about)
#define ROW_INT(section, name, value, low, high, about) ROW_NUMBER(TYPE_INT, section, name, value, low, high, about)
#define ROW_SIZE(section, name, value, low, high, about) ROW_NUMBER(TYPE_SIZE, section, name, value, low, high, about)
#define ROW_REAL(section, name, value, low, high, about) ROW_NUMBER(TYPE_REAL, section, name, value, low, high, about)
#define ROW_BOOL(section, name, value, low, high, about) ROW_NUMBER(TYPE_BOOL, section, name, value, low, high, about)

static const struct row rows[CONFIG_COUNT] = {
#define ROW(section, type, name, value, low, high, about) ROW_##type(section, name, value, low, high, about),
    CONFIG_SETTINGS(ROW)
#undef ROW
};

static void *field(const struct config *config, enum config_key key)
{
    return (char *)(uintptr_t)config + rows[key].offset;
}

/* ---- One value --------------------------------------------------------------------------------------------------- */

/* A sentence about the value's form; the caller says where it stands. */
static enum infomask_status wrong(const struct row *row, const char *value, struct infomask_error *err)
{
    switch (row->type) {
    case TYPE_INT:
        return error_set(err, INFOMASK_ARGUMENT, "%s must be an integer from %.0f to %.0f, not \"%.60s\"", row->name,
                         row->low, row->high, value);
    case TYPE_SIZE:
        return error_set(err, INFOMASK_ARGUMENT,
                         "%s must be an integer from %.0f to %.0f (K, M or G may follow), not \"%.60s\"", row->name,
                         row->low, row->high, value);
    case TYPE_REAL:
        return error_set(err, INFOMASK_ARGUMENT, "%s must be a number from %g to %g, not \"%.60s\"", row->name,
                         row->low, row->high, value);
    case TYPE_BOOL:
        return error_set(err, INFOMASK_ARGUMENT, "%s must be true or false, not \"%.60s\"", row->name, value);
    case TYPE_CHOICE:
        return error_set(err, INFOMASK_ARGUMENT, "%s must be one of %s, not \"%.60s\"", row->name, row->words, value);
    case TYPE_STRING:
        break;
    }
    return error_set(err, INFOMASK_ARGUMENT, "%s must be UTF-8 text of %.0f to %.0f bytes without control characters",
                     row->name, row->low, row->high);
}

/* "12", "32M": -1 if it is neither */
static double parse_size(const char *value)
{
    static const char suffixes[] = "KMG";
    size_t digits = strspn(value, "0123456789");
    const char *suffix = value[digits] != '\0' ? strchr(suffixes, value[digits] & ~0x20) : NULL;
    double number = strtod(value, NULL);

    if (digits == 0 || digits > 18 || (value[digits] != '\0' && (suffix == NULL || value[digits + 1] != '\0')))
        return -1;
    for (int i = 0; suffix != NULL && i <= suffix - suffixes; i++)
        number *= 1024;
    return number;
}

/* decimal only: strtod would take "inf", "nan" and hexadecimal too */
static bool parse_real(const char *value, double *number)
{
    char *end;
    if (value[0] == '\0' || value[strspn(value, "0123456789+-.eE")] != '\0')
        return false;
    *number = strtod(value, &end);
    return *end == '\0' && isfinite(*number);
}

static bool parse_bool(const char *value, bool *truth)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) {
            *truth = i % 2 == 1;
            return true;
        }
    return false;
}

static bool is_word(const char *words, const char *value)
{
    size_t length = strlen(value);

    for (const char *at = words; at[0] != '\0'; at += at[0] == '|') {
        size_t step = strcspn(at, "|");
        if (step == length && strncmp(at, value, length) == 0)
            return true;
        at += step;
    }
    return false;
}

static bool is_clean(const char *value, double low, double high)
{
    const unsigned char *text = (const unsigned char *)value;
    size_t length = strlen(value);

    for (size_t at = 0; at < length;) {
        size_t step = json_utf8_length(text + at, length - at);
        if (step == 0 || text[at] < 0x20 || text[at] == 0x7F)
            return false;
        at += step;
    }
    return (double)length >= low && (double)length <= high;
}

static enum infomask_status set_text(char **at, const char *value, struct infomask_error *err)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    free(*at);
    *at = copy;
    return INFOMASK_OK;
}

static bool in_range(const struct row *row, double number)
{
    return number >= row->low && number <= row->high;
}

static enum infomask_status set_number(void *at, const struct row *row, const char *value, struct infomask_error *err)
{
    double number = row->type == TYPE_SIZE ? parse_size(value) : 0;
    bool truth;

    if (row->type == TYPE_BOOL) {
        if (!parse_bool(value, &truth))
            return wrong(row, value, err);
        *(bool *)at = truth;
        return INFOMASK_OK;
    }
    if (row->type != TYPE_SIZE && !parse_real(value, &number))
        return wrong(row, value, err);
    if (!in_range(row, number) || (row->type == TYPE_INT && value[strspn(value, "0123456789-")] != '\0'))
        return wrong(row, value, err);
    if (row->type == TYPE_INT)
        *(int *)at = (int)number;
    else if (row->type == TYPE_SIZE)
        *(size_t *)at = (size_t)number;
    else
        *(double *)at = number;
    return INFOMASK_OK;
}

enum infomask_status config_set(struct config *config, enum config_key key, const char *value,
                                enum config_source source, struct infomask_error *err)
{
    const struct row *row = &rows[key];
    enum infomask_status status;

    if (row->type == TYPE_STRING || row->type == TYPE_CHOICE) {
        if (row->type == TYPE_STRING ? !is_clean(value, row->low, row->high) : !is_word(row->words, value))
            return wrong(row, value, err);
        status = set_text(field(config, key), value, err);
    } else {
        status = set_number(field(config, key), row, value, err);
    }
    if (status == INFOMASK_OK)
        config->source[key] = source;
    return status;
}

enum infomask_status config_init(struct config *config, struct infomask_error *err)
{
    *config = (struct config){0};
    for (int key = 0; key < CONFIG_COUNT; key++) {
        const struct row *row = &rows[key];
        void *at = field(config, (enum config_key)key);
        enum infomask_status status = INFOMASK_OK;
        if (row->type == TYPE_STRING || row->type == TYPE_CHOICE)
            status = set_text(at, row->text, err);
        else if (row->type == TYPE_INT)
            *(int *)at = (int)row->number;
        else if (row->type == TYPE_SIZE)
            *(size_t *)at = (size_t)row->number;
        else if (row->type == TYPE_REAL)
            *(double *)at = row->number;
        else
            *(bool *)at = row->number > 0;
        if (status != INFOMASK_OK) {
            config_fini(config);
            return status;
        }
    }
    return INFOMASK_OK;
}

void config_fini(struct config *config)
{
    for (int key = 0; key < CONFIG_COUNT; key++)
        if (rows[key].type == TYPE_STRING || rows[key].type == TYPE_CHOICE)
            free(*(char **)field(config, (enum config_key)key));
    free(config->file);
    *config = (struct config){0};
}

enum config_key config_find(const char *name)
{
    for (int key = 0; key < CONFIG_COUNT; key++) {
        const char *a = rows[key].name, *b = name;
        while (*a != '\0' && (*a == *b || (*a == '_' && *b == '-')))
            a++, b++;
        if (*a == '\0' && *b == '\0')
            return (enum config_key)key;
    }
    return CONFIG_COUNT;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* libinih is read through a reader of ours: Debian's build does not tell the line, joins lines that begin with a space
 * to the one before, and cuts long ones in two. */
struct source {
    const char *text;
    size_t size, at;
    int line;
    struct config *config;
    struct infomask_error *err;
    enum infomask_status status;
};

__attribute__((format(printf, 2, 3)))
static void source_fails(struct source *source, const char *format, ...)
{
    char what[200];
    va_list args;

    if (source->status != INFOMASK_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    source->status = error_set(source->err, INFOMASK_ARGUMENT, "line %d: %s", source->line, what);
}

static char *next_line(char *line, int room, void *context)
{
    struct source *source = context;
    const char *start = source->text + source->at, *end;
    size_t left = source->size - source->at, length;

    if (left == 0 || source->status != INFOMASK_OK)
        return NULL;
    end = memchr(start, '\n', left);
    length = end != NULL ? (size_t)(end - start) : left;
    source->at += length + (end != NULL);
    source->line++;
    while (length > 0 && (*start == ' ' || *start == '\t'))
        start++, length--;
    if (length > 0 && (*start == '#' || *start == ';'))
        length = 0;
    if (memchr(start, '\0', length) != NULL)
        source_fails(source, "a NUL character");
    else if (length + 2 > (size_t)room)
        source_fails(source, "longer than %d bytes", room - 2);
    else {
        memcpy(line, start, length);
        line[length] = '\0';
        return line;
    }
    return NULL;
}

static int take_pair(void *context, const char *section, const char *name, const char *value)
{
    struct source *source = context;
    enum config_key key = config_find(name);
    struct config *config = source->config;

    if (source->status != INFOMASK_OK)
        return 1;
    if (key == CONFIG_COUNT || strcmp(rows[key].name, name) != 0) {
        source_fails(source, "\"%.60s\" is not a setting", name);
    } else if (strcmp(rows[key].section, section) != 0) {
        source_fails(source, "%s belongs under [%s], not [%.40s]", name, rows[key].section, section);
    } else if (config->line[key] > 0) {
        source_fails(source, "%s is set a second time (first on line %d)", name, config->line[key]);
    } else {
        source->status = config_set(config, key, value, CONFIG_FILE, source->err);
        config->line[key] = source->line;
        if (source->status != INFOMASK_OK)
            error_prefix(source->err, "line %d", source->line);
    }
    return 1;
}

enum infomask_status config_read_text(struct config *config, const char *text, size_t size, struct infomask_error *err)
{
    struct source source = {.text = text, .size = size, .config = config, .err = err, .status = INFOMASK_OK};
    int bad;

    memset(config->line, 0, sizeof config->line);
    bad = ini_parse_stream(next_line, &source, take_pair, &source);
    if (source.status == INFOMASK_OK && bad < 0)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (bad > 0 && (source.status == INFOMASK_OK || bad < source.line)) { /* what comes first is told */
        source.line = bad;
        source.status = INFOMASK_OK;
        source_fails(&source, "neither [section] nor key = value");
    }
    return source.status;
}

enum infomask_status config_read_file(struct config *config, const char *path, struct infomask_error *err)
{
    char *text = NULL, *copy = strdup(path);
    size_t size = 0;
    enum infomask_status status;

    if (copy == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    free(config->file);
    config->file = copy;
    status = file_read(path, MOST_FILE, &text, &size, err);
    if (status == INFOMASK_OK)
        status = config_read_text(config, text, size, err);
    free(text);
    return status;
}

/* ---- The environment --------------------------------------------------------------------------------------------- */

/* "PORT" of "PORT=1" -> "port"; false if it is too long to be a setting */
static bool lower_name(const char *variable, size_t length, char *name, size_t room)
{
    if (length >= room)
        return false;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)(variable[i] >= 'A' && variable[i] <= 'Z' ? variable[i] - 'A' + 'a' : '-');
    for (size_t i = 0; i < length; i++)
        if (name[i] == '-' && variable[i] != '_')
            return false;
    name[length] = '\0';
    return true;
}

enum infomask_status config_read_environment(struct config *config, char *const *environment,
                                             void (*warn)(void *context, const char *sentence), void *context,
                                             struct infomask_error *err)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *variable = *environment, *equals = strchr(variable, '=');
        char name[64];
        size_t length;
        enum config_key key = CONFIG_COUNT;

        if (equals == NULL || strncmp(variable, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        length = (size_t)(equals - variable) - (sizeof PREFIX - 1);
        if (lower_name(variable + sizeof PREFIX - 1, length, name, sizeof name)) {
            if (strcmp(name, "config") == 0)
                continue;
            key = config_find(name);
        }
        if (key == CONFIG_COUNT) {
            char sentence[128];
            (void)snprintf(sentence, sizeof sentence, "environment: %.*s is not a setting",
                           equals - variable > 80 ? 80 : (int)(equals - variable), variable);
            if (warn != NULL)
                warn(context, sentence);
            continue;
        }
        if (config_set(config, key, equals + 1, CONFIG_ENVIRONMENT, err) != INFOMASK_OK) {
            error_prefix(err, "environment: %.*s", (int)(equals - variable), variable);
            return INFOMASK_ARGUMENT;
        }
    }
    return INFOMASK_OK;
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

struct config_setting config_setting(enum config_key key)
{
    static const char *const types[] = {"text", "integer", "bytes", "number", "true or false", "choice"};
    const struct row *row = &rows[key];
    return (struct config_setting){.section = row->section,
                                   .name = row->name,
                                   .type = types[row->type],
                                   .description = row->description,
                                   .words = row->words,
                                   .low = row->low,
                                   .high = row->high};
}

static int size_text(size_t value, char *text, size_t size)
{
    static const char suffixes[] = "\0KMG";
    int power = 0;

    while (power < 3 && value >= 1024 && value % 1024 == 0) {
        value /= 1024;
        power++;
    }
    return power > 0 ? snprintf(text, size, "%zu%c", value, suffixes[power]) : snprintf(text, size, "%zu", value);
}

int config_value_text(const struct config *config, enum config_key key, char *text, size_t size)
{
    const void *at = field(config, key);

    switch (rows[key].type) {
    case TYPE_INT:
        return snprintf(text, size, "%d", *(const int *)at);
    case TYPE_SIZE:
        return size_text(*(const size_t *)at, text, size);
    case TYPE_REAL:
        return snprintf(text, size, "%.15g", *(const double *)at);
    case TYPE_BOOL:
        return snprintf(text, size, "%s", *(const bool *)at ? "true" : "false");
    case TYPE_STRING:
    case TYPE_CHOICE:
        break;
    }
    return snprintf(text, size, "%s", *(char *const *)at);
}

/* upper: INFOMASK_MAX_BODY; else --max-body */
static int spell(const char *before, const char *name, bool upper, char *text, size_t size)
{
    int length = snprintf(text, size, "%s%s", before, name);

    for (size_t i = strlen(before); i < size && text[i] != '\0'; i++) {
        if (upper && text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - 'a' + 'A');
        else if (!upper && text[i] == '_')
            text[i] = '-';
    }
    return length;
}

int config_source_text(const struct config *config, enum config_key key, char *text, size_t size)
{
    switch (config->source[key]) {
    case CONFIG_FILE:
        return snprintf(text, size, "%s:%d", config->file != NULL ? config->file : "file", config->line[key]);
    case CONFIG_ENVIRONMENT:
        return spell(PREFIX, rows[key].name, true, text, size);
    case CONFIG_FLAG:
        return spell("--", rows[key].name, false, text, size);
    case CONFIG_DEFAULT:
        break;
    }
    return snprintf(text, size, "default");
}

static void write_setting(FILE *stream, const struct config *config, enum config_key key)
{
    const struct row *row = &rows[key];
    char value[64];

    (void)config_value_text(config, key, value, sizeof value);
    (void)fprintf(stream, "\n# %s", row->description);
    if (row->type == TYPE_CHOICE)
        (void)fprintf(stream, " (%s)", row->words);
    else if (row->type == TYPE_INT || row->type == TYPE_REAL)
        (void)fprintf(stream, " (%.16g to %.16g)", row->low, row->high);
    else if (row->type == TYPE_SIZE)
        (void)fprintf(stream, " (%.0f to %.0f; K, M, G may follow)", row->low, row->high);
    else if (row->type == TYPE_BOOL)
        (void)fprintf(stream, " (true or false)");
    (void)fprintf(stream, "\n#%s =%s%s\n", row->name, value[0] != '\0' ? " " : "", value);
}

char *config_template(void)
{
    struct config config;
    char *text = NULL;
    size_t size;
    FILE *stream;

    if (config_init(&config, NULL) != INFOMASK_OK)
        return NULL;
    stream = open_memstream(&text, &size);
    if (stream != NULL) {
        (void)fprintf(stream,
                      "# Settings of infomask; each line is commented out and shows the default.\n"
                      "# An environment variable INFOMASK_NAME is stronger than this file, a flag --name stronger "
                      "than both.\n# What is in force, and from where: infomask config\n");
        for (int key = 0; key < CONFIG_COUNT; key++) {
            if (key == 0 || strcmp(rows[key].section, rows[key - 1].section) != 0)
                (void)fprintf(stream, "\n[%s]\n", rows[key].section);
            write_setting(stream, &config, (enum config_key)key);
        }
        if (fclose(stream) != 0) {
            free(text);
            text = NULL;
        }
    }
    config_fini(&config);
    return text;
}
