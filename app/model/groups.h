/* Groups of classes, as people name things: "dog" is 118 of a thousand.  groups.tsv of a model folder, a line each:
 *
 *     name<TAB>alias|alias<TAB>member,member,...      a member is a class's index or @group
 *
 * in any order; lines that begin with # are comments.  Names are unique; names and aliases are the same whatever their
 * case, and with spaces or underscores.  Immutable after class_groups_parse; any thread may read. */
#ifndef APP_MODEL_GROUPS_H
#define APP_MODEL_GROUPS_H

#include <stddef.h>

#include "core/infomask.h"

struct group_name {
    const char *name; /* a name or an alias */
    int group;
};

struct groups {
    int count;
    char *text;               /* all names, each with its NUL */
    const char **names;       /* [count] */
    const char **aliases;     /* of all groups */
    size_t *first_alias;      /* [count + 1] */
    int *members;             /* of all groups */
    struct infomask_group *sets; /* [count] members in rising order, @groups dissolved */
    struct group_name *by_name, *by_alias; /* [count], [first_alias[count]], sorted */
    int *of_class;            /* the groups of each class, smallest first */
    size_t *first_of_class;   /* [classes + 1] */
};

/* `size` bytes of groups.tsv (copied) for so many classes.  BAD_MODEL, with the line's number, for a line that is none,
 * a member that is no class or group, groups that hold each other in a circle, a name that was given before. */
enum infomask_status class_groups_parse(const char *text, size_t size, size_t classes, struct groups *groups,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
void class_groups_fini(struct groups *groups);

enum groups_status { GROUPS_FOUND, GROUPS_UNKNOWN, GROUPS_AMBIGUOUS };
/* By name, else by alias.  AMBIGUOUS: an alias of several groups, which err names; UNKNOWN: err has the nearest names.
 */
enum groups_status class_groups_find(const struct groups *groups, const char *name, int *group,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

/* The smallest group of which the photo is at least half, -1: none; of equals the likelier, then the first. */
int class_groups_surely(const struct groups *groups, const struct infomask_classification *classification, double *p);

#endif
