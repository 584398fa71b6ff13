/* Who is meant by a target: a class or a group. */
#include <string.h>

#include "app/model/labels.h"
#include "app/model/models.h"

/* Neither a class nor a group: the nearest of both. */
static enum model_target_status not_found(const struct model *model, const char *name, struct infomask_error *err)
{
    const struct labels *labels = model_labels(model);
    const struct groups *groups = model_groups(model);
    char classes[LABELS_LIST], kinds[LABELS_LIST];

    labels_nearest(labels->names, labels->first[labels->count], name, classes, sizeof classes);
    labels_nearest(groups->names, (size_t)groups->count, name, kinds, sizeof kinds);
    (void)error_set(err, INFOMASK_ARGUMENT, "no class or group is named \"%.60s\"; the nearest classes are %s; "
                    "the nearest groups %s", name, classes, kinds);
    return MODEL_TARGET_NO_CLASS;
}

enum model_target_status model_find_target(const struct model *model, const char *name, int *target,
                                           struct infomask_error *err)
{
    static const char group[] = "group:", label[] = "label:";
    bool forced = strncmp(name, group, sizeof group - 1) == 0, any = model_groups(model)->count > 0;
    struct infomask_error why;
    int index;

    if (!forced)
        switch (labels_find(model_labels(model), name, target, err)) {
        case LABELS_FOUND: return MODEL_TARGET_FOUND;
        case LABELS_AMBIGUOUS: return MODEL_TARGET_AMBIGUOUS;
        case LABELS_UNKNOWN: break;
        }
    if (!forced && (!any || strncmp(name, label, sizeof label - 1) == 0 || name[strspn(name, "0123456789")] == '\0'))
        return MODEL_TARGET_NO_CLASS;
    switch (class_groups_find(model_groups(model), forced ? name + sizeof group - 1 : name, &index, &why)) {
    case GROUPS_FOUND:
        *target = (int)model_classes(model) + index;
        return MODEL_TARGET_FOUND;
    case GROUPS_AMBIGUOUS:
        *err = why;
        return MODEL_TARGET_AMBIGUOUS;
    default:
        if (!forced)
            return strlen(name) > LABELS_LONGEST ? MODEL_TARGET_NO_CLASS : not_found(model, name, err);
        *err = why;
        return MODEL_TARGET_NO_GROUP;
    }
}
