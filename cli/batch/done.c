#include "cli/batch/done.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/json/json.h"
#include "app/view/views.h"

/* Of the table of a folder that is filtered (filter_folder.c). */
enum { VERDICT_COLUMN = 2, UNTOUCHED_COLUMN, REASON_COLUMN = 12, TABLE_COLUMNS = 14 };

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the names that are done");
}

/* As the name stands in JSON, where bytes that are not UTF-8 are one sign; malloc'ed. */
static char *as_written(const char *file)
{
    struct json_writer writer;
    struct infomask_error ignored;
    char *text = NULL;
    size_t size;

    json_writer_init(&writer, 0);
    json_put_string(&writer, NULL, file);
    return json_writer_take(&writer, &text, &size, &ignored) == INFOMASK_OK ? text : NULL;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* Where `text` is, or would be. */
static char **slot_of(char **files, size_t capacity, const char *text)
{
    size_t at = hash_of(text) & (capacity - 1);

    while (files[at] != NULL && strcmp(files[at], text) != 0)
        at = (at + 1) & (capacity - 1);
    return &files[at];
}

static bool grow(struct done *done)
{
    size_t capacity = done->capacity > 0 ? 2 * done->capacity : 1024;
    char **files = calloc(capacity, sizeof *files);

    if (files == NULL)
        return false;
    for (size_t i = 0; i < done->capacity; i++)
        if (done->files[i] != NULL)
            *slot_of(files, capacity, done->files[i]) = done->files[i];
    free(done->files);
    done->files = files;
    done->capacity = capacity;
    return true;
}

/* The name as written, and behind its end what was said of the photo; malloc'ed. */
static char *entry_of(const char *file, const char *said)
{
    char *name = as_written(file);
    size_t length = name != NULL ? strlen(name) + 1 : 0;
    char *entry = name != NULL ? realloc(name, length + strlen(said) + 1) : NULL;

    if (entry == NULL)
        free(name);
    else
        memcpy(entry + length, said, strlen(said) + 1);
    return entry;
}

static bool add(struct done *done, const char *file, const char *said)
{
    char *text = entry_of(file, said), **slot;

    if (text == NULL || (2 * done->count >= done->capacity && !grow(done))) {
        free(text);
        return false;
    }
    slot = slot_of(done->files, done->capacity, text);
    if (*slot != NULL) {
        free(text);
    } else {
        *slot = text;
        done->count++;
    }
    return true;
}

const char *done_find(const struct done *done, const char *file)
{
    char *text = done->count > 0 ? as_written(file) : NULL;
    const char *entry = text != NULL ? *slot_of(done->files, done->capacity, text) : NULL;

    free(text);
    return entry != NULL ? entry + strlen(entry) + 1 : NULL;
}

void done_fini(struct done *done)
{
    for (size_t i = 0; i < done->capacity; i++)
        free(done->files[i]);
    free(done->files);
    *done = (struct done){0};
}

/* Lines of another question beside those of this one would pass for its answers. */
static enum infomask_status check_asked(const char *was, const char *asked, struct infomask_error *err)
{
    if (was == NULL || asked == NULL || strcmp(was, asked) == 0)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_BAD_DATA,
                     "what is there was asked %.200s, and now it is %.200s; give another folder, or remove that one",
                     was, asked);
}

struct reading {
    struct done *done;
    const char *key, *asked;
    FILE *lines, *kept; /* kept: those that hold an answer */
    size_t dropped;
};

static const char *said_of(const char *verdict, bool untouched, const char *reason)
{
    if (verdict != NULL && *verdict != '\0')
        return verdict;
    if (reason != NULL && strncmp(reason, VIEW_NO_ROOM, strlen(VIEW_NO_ROOM)) == 0)
        return DONE_NO_ROOM;
    return untouched ? DONE_UNTOUCHED : "";
}

static const char *said_in(const struct json *root)
{
    bool untouched = false;

    (void)json_bool(json_get(root, "untouched"), &untouched);
    return said_of(json_string(json_get(root, "verdict")), untouched, json_string(json_get(root, "reason")));
}

/* Keeps the line if it is an answer. */
static enum infomask_status take_line(struct reading *reading, const char *line, size_t size,
                                      struct infomask_error *err)
{
    struct json *root = NULL;
    const char *file;
    bool cut = line[size - 1] != '\n', problem;
    enum infomask_status status = cut ? INFOMASK_OK : json_parse(line, size, NULL, &root, err);

    if (status != INFOMASK_OK)
        return status;
    file = json_string(json_get(root, reading->key));
    problem = cut || json_get(root, "code") != NULL;
    if (!problem && file == NULL)
        status = error_set(err, INFOMASK_BAD_DATA, "no line of infomask --jsonl: it has no \"%s\"", reading->key);
    else if (!problem)
        status = check_asked(json_string(json_get(root, "asked")), reading->asked, err);
    if (status == INFOMASK_OK && problem)
        reading->dropped++;
    else if (status == INFOMASK_OK && !add(reading->done, file, said_in(root)))
        status = no_memory(err);
    else if (status == INFOMASK_OK && fwrite(line, 1, size, reading->kept) != size)
        status = error_set(err, INFOMASK_IO, "cannot be written again: %s", strerror(errno));
    json_free(root);
    return status;
}

static enum infomask_status take_lines(struct reading *reading, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    size_t capacity = 0, number = 0;
    char *line = NULL;
    ssize_t size;

    while (status == INFOMASK_OK && (size = getline(&line, &capacity, reading->lines)) > 0) {
        number++;
        status = take_line(reading, line, (size_t)size, err);
        if (status != INFOMASK_OK)
            error_prefix(err, "line %zu", number);
    }
    free(line);
    return status;
}

/* Only a file that has lost lines is put in place of the old one. */
static enum infomask_status put_back(const struct reading *reading, const char *path, const char *temporary,
                                     enum infomask_status status, struct infomask_error *err)
{
    bool written = fflush(reading->kept) == 0 && fsync(fileno(reading->kept)) == 0;

    if (fclose(reading->kept) != 0)
        written = false;
    if (status == INFOMASK_OK && reading->dropped > 0 && (!written || rename(temporary, path) != 0))
        status = error_set(err, INFOMASK_IO, "cannot be written again: %s", strerror(errno));
    if (status != INFOMASK_OK || reading->dropped == 0)
        (void)unlink(temporary);
    return status;
}

enum infomask_status done_read(struct done *done, const char *path, const char *key, const char *asked,
                               struct infomask_error *err)
{
    struct reading reading = {.done = done, .key = key, .asked = asked, .lines = fopen(path, "re")};
    char *temporary = NULL;
    enum infomask_status status = INFOMASK_OK;

    *done = (struct done){0};
    if (reading.lines == NULL)
        return errno == ENOENT ? INFOMASK_OK : error_set(err, INFOMASK_IO, "%.200s: %s", path, strerror(errno));
    if (asprintf(&temporary, "%s.kept", path) < 0) {
        temporary = NULL;
        status = no_memory(err);
    } else if ((reading.kept = fopen(temporary, "we")) == NULL) {
        status = error_set(err, INFOMASK_IO, "cannot be written again: %s", strerror(errno));
    } else {
        status = take_lines(&reading, err);
        status = put_back(&reading, path, temporary, status, err);
    }
    (void)fclose(reading.lines);
    free(temporary);
    if (status != INFOMASK_OK) {
        error_prefix(err, "%.200s", path);
        done_fini(done);
    }
    return status;
}

/* A photo's row, its end cut off. */
static enum infomask_status take_row(struct done *done, char *line, const char *asked, struct infomask_error *err)
{
    const char *columns[TABLE_COLUMNS] = {0}, *untouched;
    char *rest = line;
    int count = 0;
    enum infomask_status status;

    while (rest != NULL && count < TABLE_COLUMNS)
        columns[count++] = strsep(&rest, "\t");
    status = check_asked(columns[count - 1], asked, err);
    untouched = columns[UNTOUCHED_COLUMN];
    if (status == INFOMASK_OK &&
        !add(done, line, said_of(columns[VERDICT_COLUMN], untouched != NULL && strcmp(untouched, "true") == 0,
                                 columns[REASON_COLUMN])))
        status = no_memory(err);
    return status;
}

static bool ends_in_asked(const char *head)
{
    const char *last = strrchr(head, '\t');
    return last != NULL && strcmp(last, "\tasked") == 0;
}

enum infomask_status done_read_table(struct done *done, const char *path, const char *asked, bool *begun,
                                     struct infomask_error *err)
{
    FILE *lines = fopen(path, "re");
    enum infomask_status status = INFOMASK_OK;
    size_t capacity = 0;
    char *line = NULL;
    ssize_t size;
    off_t whole = 0;

    *done = (struct done){0};
    *begun = false;
    if (lines == NULL)
        return errno == ENOENT ? INFOMASK_OK : error_set(err, INFOMASK_IO, "%.200s: %s", path, strerror(errno));
    while (status == INFOMASK_OK && (size = getline(&line, &capacity, lines)) > 0 && line[size - 1] == '\n') {
        line[size - 1] = '\0';
        if (!*begun && !ends_in_asked(line))
            asked = NULL;
        if (*begun)
            status = take_row(done, line, asked, err);
        *begun = true;
        whole += size;
    }
    free(line);
    (void)fclose(lines);
    if (status == INFOMASK_OK && truncate(path, whole) != 0)
        status = error_set(err, INFOMASK_IO, "cannot be written again: %s", strerror(errno));
    if (status != INFOMASK_OK) {
        error_prefix(err, "%.200s", path);
        done_fini(done);
    }
    return status;
}
