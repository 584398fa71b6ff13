#include "app/model/groups.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json_utf8.h"
#include "app/json/text.h"
#include "app/model/labels.h"

#define MOST_GROUPS 10000
#define DEEPEST 1000 /* groups within groups */
#define MOST_MEMBERS (1 << 24)
#define SURELY 0.5

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static unsigned char folded(char c)
{
    return (unsigned char)(c == '_' ? ' ' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int compare(const char *a, const char *b)
{
    while (*a != '\0' && folded(*a) == folded(*b)) {
        a++;
        b++;
    }
    return (folded(*a) > folded(*b)) - (folded(*a) < folded(*b));
}

static int by_name(const void *a, const void *b)
{
    const struct group_name *x = a, *y = b;
    int order = compare(x->name, y->name);

    return order != 0 ? order : (x->group > y->group) - (x->group < y->group);
}

/* The first of `list` [count] that is not below name. */
static size_t lower_bound(const struct group_name *list, size_t count, const char *name)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(list[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int find_name(const struct groups *groups, const char *name)
{
    size_t at = lower_bound(groups->by_name, (size_t)groups->count, name);

    return at < (size_t)groups->count && compare(groups->by_name[at].name, name) == 0 ? groups->by_name[at].group : -1;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

struct line {
    int number;
    char *members; /* the third field */
};

struct reader {
    struct groups *groups;
    size_t classes;
    struct line *lines; /* [count] */
    unsigned char *state; /* [count] of the dissolving: NEW, OPEN, DONE */
    size_t used, room;    /* of groups->members */
    size_t *first;        /* [count] where a group's members begin */
    int depth;
    struct infomask_error *err;
};
enum { NEW, OPEN, DONE };

__attribute__((format(printf, 3, 4)))
static enum infomask_status bad_line(const struct reader *reader, int number, const char *format, ...)
{
    char what[INFOMASK_ERROR_TEXT - 40];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(reader->err, INFOMASK_BAD_MODEL, "line %d: %s", number, what);
}

static enum infomask_status check_name(const struct reader *reader, int number, const char *name)
{
    const unsigned char *text = (const unsigned char *)name;
    size_t length = strlen(name);

    if (length == 0 || length > LABELS_LONGEST)
        return bad_line(reader, number, "a name or alias must have 1 to %d bytes", LABELS_LONGEST);
    for (size_t at = 0; at < length;) {
        size_t step = json_utf8_length(text + at, length - at);
        if (step == 0 || text[at] < 0x20 || text[at] == 0x7F)
            return bad_line(reader, number, "a name must be UTF-8 without control characters");
        at += step;
    }
    return INFOMASK_OK;
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "out of memory");
}

static enum infomask_status split_aliases(struct reader *reader, int number, char *aliases)
{
    struct groups *groups = reader->groups;
    enum infomask_status status = INFOMASK_OK;

    while (status == INFOMASK_OK && *aliases != '\0') {
        char *bar = strchr(aliases, '|');
        if (bar != NULL)
            *bar = '\0';
        status = check_name(reader, number, aliases);
        groups->aliases[groups->first_alias[groups->count + 1]++] = aliases;
        if (bar == NULL)
            break;
        aliases = bar + 1;
    }
    return status;
}

/* One line, its end a NUL. */
static enum infomask_status read_line(struct reader *reader, char *line, int number)
{
    struct groups *groups = reader->groups;
    char *aliases = strchr(line, '\t'), *members = aliases != NULL ? strchr(aliases + 1, '\t') : NULL;
    enum infomask_status status;

    if (members == NULL || strchr(members + 1, '\t') != NULL)
        return bad_line(reader, number, "must be a name, aliases with | between them, and members with commas, "
                                        "with two tabs in all");
    *aliases++ = '\0';
    *members++ = '\0';
    groups->names[groups->count] = line;
    groups->first_alias[groups->count + 1] = groups->first_alias[groups->count];
    reader->lines[groups->count] = (struct line){number, members};
    status = check_name(reader, number, line);
    if (status == INFOMASK_OK && *members == '\0')
        status = bad_line(reader, number, "the group \"%.60s\" has no member", line);
    if (status == INFOMASK_OK)
        status = split_aliases(reader, number, aliases);
    groups->count++;
    return status;
}

static enum infomask_status read_lines(struct reader *reader, size_t size)
{
    char *at = reader->groups->text, *end = at + size;
    enum infomask_status status = INFOMASK_OK;

    for (int number = 1; at < end && status == INFOMASK_OK; number++) {
        char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline != NULL ? newline : end;
        if (memchr(at, '\0', (size_t)(stop - at)) != NULL)
            return bad_line(reader, number, "a control character");
        *stop = '\0';
        if (stop > at && stop[-1] == '\r')
            stop[-1] = '\0';
        if (*at != '\0' && *at != '#')
            status = read_line(reader, at, number);
        at = newline != NULL ? newline + 1 : end;
    }
    return status;
}

static enum infomask_status sort_names(struct reader *reader)
{
    struct groups *groups = reader->groups;
    size_t count = (size_t)groups->count;

    for (int g = 0; g < groups->count; g++) {
        groups->by_name[g] = (struct group_name){groups->names[g], g};
        for (size_t a = groups->first_alias[g]; a < groups->first_alias[g + 1]; a++)
            groups->by_alias[a] = (struct group_name){groups->aliases[a], g};
    }
    qsort(groups->by_name, count, sizeof *groups->by_name, by_name);
    qsort(groups->by_alias, groups->first_alias[count], sizeof *groups->by_alias, by_name);
    for (size_t i = 1; i < count; i++)
        if (compare(groups->by_name[i].name, groups->by_name[i - 1].name) == 0)
            return bad_line(reader, reader->lines[groups->by_name[i].group].number,
                            "the name \"%.60s\" was already given in line %d", groups->by_name[i].name,
                            reader->lines[groups->by_name[i - 1].group].number);
    return INFOMASK_OK;
}

/* ---- Members ----------------------------------------------------------------------------------------------------- */

static enum infomask_status dissolve(struct reader *reader, int group);

static enum infomask_status take_member(struct reader *reader, const struct line *line, const char *member,
                                        unsigned char *taken)
{
    char *end;
    unsigned long index;
    int other;
    enum infomask_status status;

    if (*member != '@') {
        index = *member >= '0' && *member <= '9' ? strtoul(member, &end, 10) : reader->classes;
        if (index >= reader->classes || *end != '\0')
            return bad_line(reader, line->number, "the member \"%.60s\" is neither a class (0 to %zu) nor a @group",
                            member, reader->classes - 1);
        taken[index] = 1;
        return INFOMASK_OK;
    }
    other = find_name(reader->groups, member + 1);
    if (other < 0)
        return bad_line(reader, line->number, "the member \"%.60s\" is not a group of this file", member);
    status = dissolve(reader, other);
    for (int i = 0; status == INFOMASK_OK && i < reader->groups->sets[other].count; i++)
        taken[reader->groups->members[reader->first[other] + (size_t)i]] = 1;
    return status;
}

static enum infomask_status store_members(struct reader *reader, int group, const unsigned char *taken)
{
    struct groups *groups = reader->groups;

    if (reader->used + reader->classes > reader->room) {
        size_t room = 2 * reader->room + reader->classes;
        int *members = room <= MOST_MEMBERS ? realloc(groups->members, room * sizeof *members) : NULL;
        if (members == NULL)
            return no_memory(reader->err);
        groups->members = members;
        reader->room = room;
    }
    reader->first[group] = reader->used;
    for (size_t c = 0; c < reader->classes; c++)
        if (taken[c])
            groups->members[reader->used++] = (int)c;
    groups->sets[group].count = (int)(reader->used - reader->first[group]);
    return INFOMASK_OK;
}

/* The members of a group, those of its groups first. */
static enum infomask_status dissolve(struct reader *reader, int group)
{
    const struct line *line = &reader->lines[group];
    unsigned char *taken;
    enum infomask_status status = INFOMASK_OK;

    if (reader->state[group] == DONE)
        return INFOMASK_OK;
    if (reader->state[group] == OPEN)
        return bad_line(reader, line->number, "the group \"%.60s\" holds itself, by way of its groups",
                        reader->groups->names[group]);
    if (reader->depth == DEEPEST)
        return bad_line(reader, line->number, "groups lie more than %d deep in each other", DEEPEST);
    reader->depth++;
    reader->state[group] = OPEN;
    taken = calloc(reader->classes, 1);
    if (taken == NULL)
        return no_memory(reader->err);
    for (char *member = line->members; member != NULL && status == INFOMASK_OK;) {
        char *comma = strchr(member, ',');
        if (comma != NULL)
            *comma = '\0';
        status = take_member(reader, line, member, taken);
        member = comma != NULL ? comma + 1 : NULL;
    }
    if (status == INFOMASK_OK)
        status = store_members(reader, group, taken);
    free(taken);
    reader->state[group] = DONE;
    reader->depth--;
    return status;
}

/* ---- The groups of a class --------------------------------------------------------------------------------------- */

struct sized {
    int size, group;
};

static int by_size(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    int order = (x->size > y->size) - (x->size < y->size);

    return order != 0 ? order : (x->group > y->group) - (x->group < y->group);
}

static enum infomask_status index_classes(struct groups *groups, size_t classes, struct infomask_error *err)
{
    struct sized *order = malloc(((size_t)groups->count + 1) * sizeof *order);
    size_t total = 0, *next = calloc(classes + 1, sizeof *next);

    groups->first_of_class = calloc(classes + 1, sizeof *groups->first_of_class);
    for (int g = 0; g < groups->count; g++)
        total += (size_t)groups->sets[g].count;
    groups->of_class = malloc((total + 1) * sizeof *groups->of_class);
    if (order == NULL || next == NULL || groups->first_of_class == NULL || groups->of_class == NULL) {
        free(order);
        free(next);
        return no_memory(err);
    }
    for (int g = 0; g < groups->count; g++) {
        order[g] = (struct sized){groups->sets[g].count, g};
        for (int i = 0; i < groups->sets[g].count; i++)
            groups->first_of_class[groups->sets[g].members[i] + 1]++;
    }
    for (size_t c = 0; c < classes; c++)
        groups->first_of_class[c + 1] += groups->first_of_class[c];
    memcpy(next, groups->first_of_class, (classes + 1) * sizeof *next);
    qsort(order, (size_t)groups->count, sizeof *order, by_size);
    for (int o = 0; o < groups->count; o++)
        for (int i = 0; i < groups->sets[order[o].group].count; i++)
            groups->of_class[next[groups->sets[order[o].group].members[i]]++] = order[o].group;
    free(order);
    free(next);
    return INFOMASK_OK;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status take_memory(struct reader *reader, const char *text, size_t size)
{
    struct groups *groups = reader->groups;
    size_t lines = text_count(text, size, '\n') + 1, aliases = text_count(text, size, '|') + lines;

    if (lines > MOST_GROUPS)
        return error_set(reader->err, INFOMASK_BAD_MODEL, "has %zu lines; at most %d", lines, MOST_GROUPS);
    groups->text = malloc(size + 1);
    groups->names = calloc(lines, sizeof *groups->names);
    groups->aliases = calloc(aliases, sizeof *groups->aliases);
    groups->first_alias = calloc(lines + 1, sizeof *groups->first_alias);
    groups->sets = calloc(lines, sizeof *groups->sets);
    groups->by_name = calloc(lines, sizeof *groups->by_name);
    groups->by_alias = calloc(aliases, sizeof *groups->by_alias);
    reader->lines = calloc(lines, sizeof *reader->lines);
    reader->state = calloc(lines, 1);
    reader->first = calloc(lines, sizeof *reader->first);
    if (groups->text == NULL || groups->names == NULL || groups->aliases == NULL || groups->first_alias == NULL ||
        groups->sets == NULL || groups->by_name == NULL || groups->by_alias == NULL || reader->lines == NULL ||
        reader->state == NULL || reader->first == NULL)
        return no_memory(reader->err);
    memcpy(groups->text, text, size);
    groups->text[size] = '\0';
    return INFOMASK_OK;
}

enum infomask_status class_groups_parse(const char *text, size_t size, size_t classes, struct groups *groups,
                                  struct infomask_error *err)
{
    struct reader reader = {.groups = groups, .classes = classes, .err = err};
    enum infomask_status status;

    *groups = (struct groups){0};
    if (classes == 0)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "needs \"labels\" in model.json, which say how many classes there are");
    status = take_memory(&reader, text, size);
    if (status == INFOMASK_OK)
        status = read_lines(&reader, size);
    if (status == INFOMASK_OK)
        status = sort_names(&reader);
    for (int g = 0; g < groups->count && status == INFOMASK_OK; g++)
        status = dissolve(&reader, g);
    for (int g = 0; g < groups->count && status == INFOMASK_OK; g++)
        groups->sets[g].members = groups->members + reader.first[g];
    if (status == INFOMASK_OK)
        status = index_classes(groups, classes, err);
    free(reader.lines);
    free(reader.state);
    free(reader.first);
    if (status != INFOMASK_OK)
        class_groups_fini(groups);
    return status;
}

void class_groups_fini(struct groups *groups)
{
    free(groups->text);
    free(groups->names);
    free(groups->aliases);
    free(groups->first_alias);
    free(groups->members);
    free(groups->sets);
    free(groups->by_name);
    free(groups->by_alias);
    free(groups->of_class);
    free(groups->first_of_class);
    *groups = (struct groups){0};
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

/* by_alias[from] ... by_alias[to - 1] have the name. */
static enum groups_status several_found(const struct groups *groups, size_t from, size_t to, struct infomask_error *err)
{
    char list[160] = "";
    size_t used = 0;

    for (size_t i = from; i < to && used + 70 < sizeof list; i++)
        if (i == from || groups->by_alias[i].group != groups->by_alias[i - 1].group)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%.60s\"", used > 0 ? ", " : "",
                                     groups->names[groups->by_alias[i].group]);
    (void)error_set(err, INFOMASK_ARGUMENT, "\"%.60s\" is another name of several groups: ask for %s",
                    groups->by_alias[from].name, list);
    return GROUPS_AMBIGUOUS;
}

enum groups_status class_groups_find(const struct groups *groups, const char *name, int *group,
                                     struct infomask_error *err)
{
    size_t aliases = groups->count > 0 ? groups->first_alias[groups->count] : 0, from, to;
    char list[LABELS_LIST];

    *group = find_name(groups, name);
    if (*group >= 0)
        return GROUPS_FOUND;
    from = to = lower_bound(groups->by_alias, aliases, name);
    while (to < aliases && compare(groups->by_alias[to].name, name) == 0)
        to++;
    if (to > from && groups->by_alias[from].group != groups->by_alias[to - 1].group)
        return several_found(groups, from, to, err);
    if (to > from) {
        *group = groups->by_alias[from].group;
        return GROUPS_FOUND;
    }
    labels_nearest(groups->names, (size_t)groups->count, name, list, sizeof list);
    if (groups->count == 0)
        (void)error_set(err, INFOMASK_ARGUMENT, "this model has no groups");
    else
        (void)error_set(err, INFOMASK_ARGUMENT, "no group is named \"%.60s\"; the nearest names are %s", name, list);
    return GROUPS_UNKNOWN;
}

int class_groups_surely(const struct groups *groups, const struct infomask_classification *classification, double *p)
{
    double *probability = malloc(classification->classes * sizeof *probability), likeliest = 0;
    int found = -1;

    if (probability == NULL)
        return -1;
    for (size_t c = 0; c < classification->classes; c++)
        probability[c] = exp(classification->log_probability[c]);
    for (int g = 0; g < groups->count; g++) {
        const struct infomask_group *set = &groups->sets[g];
        double sum = 0;
        if (found >= 0 && set->count > groups->sets[found].count)
            continue;
        for (int i = 0; i < set->count; i++)
            sum += probability[set->members[i]];
        if (sum >= SURELY && (found < 0 || set->count < groups->sets[found].count || sum > likeliest)) {
            found = g;
            likeliest = sum;
        }
    }
    free(probability);
    *p = fmin(likeliest, 1);
    return found;
}
