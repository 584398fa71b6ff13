#include "app/model/labels.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/json/json_utf8.h"
#include "app/json/nearest.h"
#include "app/json/text.h"
#include "core/base/checked.h"

#define MOST_CLASSES 1000000
#define NEAREST 3

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static enum infomask_status bad_line(struct infomask_error *err, size_t line, const char *what)
{
    return error_set(err, INFOMASK_BAD_MODEL, "line %zu: %s", line, what);
}

static enum infomask_status check_name(const char *name, size_t length, size_t line, struct infomask_error *err)
{
    const unsigned char *text = (const unsigned char *)name;

    if (length == 0)
        return bad_line(err, line, "a class without a name, or an empty alias");
    if (length > LABELS_LONGEST)
        return bad_line(err, line, "a name of more than 255 bytes");
    for (size_t at = 0; at < length;) {
        size_t step = json_utf8_length(text + at, length - at);
        if (step == 0)
            return bad_line(err, line, "not UTF-8");
        if (text[at] < 0x20 || text[at] == 0x7F)
            return bad_line(err, line, "a control character");
        at += step;
    }
    return INFOMASK_OK;
}

static enum infomask_status take_memory(struct labels *labels, size_t size, size_t classes, size_t names,
                                        struct infomask_error *err)
{
    labels->text = malloc(size + 1);
    labels->names = calloc(names, sizeof *labels->names);
    labels->first = calloc(classes + 1, sizeof *labels->first);
    labels->order = calloc(names, sizeof *labels->order);
    if (labels->text == NULL || labels->names == NULL || labels->first == NULL || labels->order == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    return INFOMASK_OK;
}

/* The names of one line, [start, end) of labels->text: tabs become NULs. */
static enum infomask_status split_line(struct labels *labels, char *start, char *end, size_t *used,
                                       struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    while (status == INFOMASK_OK) {
        char *tab = memchr(start, '\t', (size_t)(end - start)), *stop = tab != NULL ? tab : end;
        status = check_name(start, (size_t)(stop - start), labels->count + 1, err);
        *stop = '\0';
        labels->names[(*used)++] = start;
        if (tab == NULL)
            break;
        start = tab + 1;
    }
    labels->first[++labels->count] = *used;
    return status;
}

static enum infomask_status split_lines(struct labels *labels, size_t size, struct infomask_error *err)
{
    char *at = labels->text, *end = labels->text + size;
    enum infomask_status status = INFOMASK_OK;
    size_t used = 0;

    while (at < end && status == INFOMASK_OK) {
        char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline != NULL ? newline + 1 : end;
        char *stop = newline != NULL ? newline : end;
        if (stop > at && stop[-1] == '\r')
            stop--;
        status = split_line(labels, at, stop, &used, err);
        at = next;
    }
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct label_name *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

static void sort_names(struct labels *labels)
{
    for (size_t c = 0; c < labels->count; c++)
        for (size_t n = labels->first[c]; n < labels->first[c + 1]; n++)
            labels->order[n] = (struct label_name){.name = labels->names[n], .index = c};
    qsort(labels->order, labels->first[labels->count], sizeof *labels->order, compare_names);
}

enum infomask_status labels_parse(const char *text, size_t size, struct labels *labels, struct infomask_error *err)
{
    size_t lines = text_count(text, size, '\n') + (size > 0 && text[size - 1] != '\n');
    enum infomask_status status;

    *labels = (struct labels){0};
    if (lines == 0)
        return error_set(err, INFOMASK_BAD_MODEL, "has no line");
    if (lines > MOST_CLASSES)
        return error_set(err, INFOMASK_BAD_MODEL, "has %zu lines; at most %d", lines, MOST_CLASSES);
    status = take_memory(labels, size, lines, lines + text_count(text, size, '\t'), err);
    if (status == INFOMASK_OK) {
        memcpy(labels->text, text, size);
        labels->text[size] = '\0';
        status = split_lines(labels, size, err);
    }
    if (status == INFOMASK_OK)
        sort_names(labels);
    else
        labels_fini(labels);
    return status;
}

enum infomask_status labels_number(size_t count, struct labels *labels, struct infomask_error *err)
{
    size_t room = count * 8, used = 0;
    enum infomask_status status;
    char *text;

    *labels = (struct labels){0};
    if (count == 0 || count > MOST_CLASSES)
        return error_set(err, INFOMASK_BAD_MODEL, "%zu classes; 1 to %d are possible", count, MOST_CLASSES);
    text = malloc(room + 1);
    if (text == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, room + 1 - used, "%zu\n", i);
    status = labels_parse(text, used, labels, err);
    free(text);
    return status;
}

void labels_fini(struct labels *labels)
{
    free(labels->text);
    free(labels->names);
    free(labels->first);
    free(labels->order);
    *labels = (struct labels){0};
}

/* ---- Finding ----------------------------------------------------------------------------------------------------- */

/* The first of `order` that is not below name. */
static size_t lower_bound(const struct labels *labels, const char *name)
{
    size_t low = 0, high = labels->first[labels->count];

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(labels->order[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The distance to the nearest of the name's words. */
static int word_distance(const char *asked, const char *name)
{
    int least_so_far = INT_MAX;

    while (*name != '\0') {
        size_t length = strcspn(name, " ");
        char word[LABELS_LONGEST + 1];
        int distance;
        memcpy(word, name, length);
        word[length] = '\0';
        distance = nearest_edits(asked, word);
        least_so_far = distance < least_so_far ? distance : least_so_far;
        name += length + strspn(name + length, " ");
    }
    return least_so_far;
}

/* How far a name is from what was asked for: one of several words ("tabby cat" for "cat") counts as one edit more. */
static int name_distance(const char *asked, const char *name)
{
    int whole = nearest_edits(asked, name), word;

    if (strchr(name, ' ') == NULL)
        return asked[0] != '\0' && strcasestr(name, asked) != NULL && whole > 2 ? 2 : whole;
    word = word_distance(asked, name) + 1;
    return word < whole ? word : whole;
}

struct near {
    int distance;
    const char *name;
};

static void keep_nearest(struct near *nearest, int distance, const char *name)
{
    int at = NEAREST;

    while (at > 0 && distance < nearest[at - 1].distance)
        at--;
    for (int i = 0; i < at; i++)
        if (nearest[i].name != NULL && strcmp(nearest[i].name, name) == 0)
            return;
    if (at == NEAREST)
        return;
    memmove(nearest + at + 1, nearest + at, (size_t)(NEAREST - 1 - at) * sizeof *nearest);
    nearest[at] = (struct near){distance, name};
}

void labels_nearest(const char *const *names, size_t count, const char *asked, char *list, size_t size)
{
    struct near nearest[NEAREST] = {{INT_MAX, NULL}, {INT_MAX, NULL}, {INT_MAX, NULL}};
    size_t used = 0;

    *list = '\0';
    for (size_t n = 0; n < count && strlen(asked) <= LABELS_LONGEST; n++)
        keep_nearest(nearest, name_distance(asked, names[n]), names[n]);
    for (int i = 0; i < NEAREST && nearest[i].name != NULL && used < size; i++)
        used += (size_t)snprintf(list + used, size - used, "%s\"%.50s\"", i > 0 ? ", " : "", nearest[i].name);
}

static enum labels_status not_found(const struct labels *labels, const char *name, struct infomask_error *err)
{
    char list[LABELS_LIST];

    if (strlen(name) > LABELS_LONGEST) {
        (void)error_set(err, INFOMASK_ARGUMENT, "a class name has at most %d bytes", LABELS_LONGEST);
        return LABELS_UNKNOWN;
    }
    labels_nearest(labels->names, labels->first[labels->count], name, list, sizeof list);
    (void)error_set(err, INFOMASK_ARGUMENT, "no class is named \"%.60s\"; the nearest names are %s", name, list);
    return LABELS_UNKNOWN;
}

/* order[from] ... order[to - 1] have the name; they are sorted by index. */
static enum labels_status several_found(const struct labels *labels, size_t from, size_t to, struct infomask_error *err)
{
    char list[120] = "";
    size_t used = 0;

    for (size_t n = from; n < to; n++) {
        if (n > from && labels->order[n].index == labels->order[n - 1].index)
            continue;
        if (used > sizeof list - 16) {
            (void)snprintf(list + used, sizeof list - used, ", ...");
            break;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%zu", n > from ? ", " : "",
                                 labels->order[n].index);
    }
    (void)error_set(err, INFOMASK_ARGUMENT, "\"%.60s\" names several classes: ask for one of the indices %s",
                    labels->order[from].name, list);
    return LABELS_AMBIGUOUS;
}

static enum labels_status find_name(const struct labels *labels, const char *name, int *index,
                                    struct infomask_error *err)
{
    size_t from = lower_bound(labels, name), to = from;

    while (to < labels->first[labels->count] && strcmp(labels->order[to].name, name) == 0)
        to++;
    if (to == from)
        return not_found(labels, name, err);
    if (labels->order[from].index != labels->order[to - 1].index)
        return several_found(labels, from, to, err);
    *index = (int)labels->order[from].index;
    return LABELS_FOUND;
}

static bool all_digits(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
}

enum labels_status labels_find(const struct labels *labels, const char *name, int *index, struct infomask_error *err)
{
    static const char prefix[] = "label:";
    unsigned long long number;

    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        return find_name(labels, name + sizeof prefix - 1, index, err);
    if (!all_digits(name))
        return find_name(labels, name, index, err);
    number = strtoull(name, NULL, 10); /* too many digits give the largest number, which is no index either */
    if (number >= labels->count) {
        (void)error_set(err, INFOMASK_ARGUMENT, "no class has the index %.40s; the indices are 0 to %zu "
                        "(label:%.40s for a label made of digits)", name, labels->count - 1, name);
        return LABELS_UNKNOWN;
    }
    *index = (int)number;
    return LABELS_FOUND;
}
