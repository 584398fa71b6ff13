/* Models and their classes. */
#include <stdio.h>

#include "app/view/views_head.h"

static const char *const colors[] = {"RGB", "BGR", "GRAY"};

static void view_input(struct json_writer *writer, const struct model *model)
{
    const struct infomask_model_spec *spec = model_spec(model);
    const struct infomask_model_info *info = model_info(model);

    json_object_open(writer, "input");
    json_put_int(writer, "width", info->width);
    json_put_int(writer, "height", info->height);
    json_put_int(writer, "channels", info->channels);
    json_put_string(writer, "color", colors[spec->color]);
    json_put_string(writer, "fit", spec->fit == INFOMASK_SQUASH ? "squash" : "crop");
    json_put_double(writer, "crop", spec->crop);
    json_put_string(writer, "resize", spec->resize);
    json_put_string(writer, "layout", spec->nhwc ? "NHWC" : "NCHW");
    json_put_bool(writer, "fixed_size", info->fixed_size);
    json_object_close(writer);
}

/* The names that the parameter `method` takes for this model. */
static void view_methods(struct json_writer *writer, const struct infomask_model_info *info)
{
    static const char *const kinds[] = {[INFOMASK_NO_MAP] = NULL,
                                        [INFOMASK_MAP_LINEAR] = "linear",
                                        [INFOMASK_MAP_PIECEWISE] = "piecewise",
                                        [INFOMASK_MAP_FIRST_ORDER] = "first-order"};
    bool all = true;

    json_put_string(writer, "map", kinds[info->map]);
    json_array_open(writer, "methods");
    for (int i = 0; i < INFOMASK_METHODS; i++) {
        if (infomask_why_not(info, (enum infomask_method)i) == NULL)
            json_put_string(writer, NULL, infomask_method_name((enum infomask_method)i));
        else
            all = false;
    }
    json_array_close(writer);
    if (all) {
        json_put_null(writer, "why_not");
        return;
    }
    json_object_open(writer, "why_not");
    for (int i = 0; i < INFOMASK_METHODS; i++)
        if (infomask_why_not(info, (enum infomask_method)i) != NULL)
            json_put_string(writer, infomask_method_name((enum infomask_method)i),
                            infomask_why_not(info, (enum infomask_method)i));
    json_object_close(writer);
}

/* ready, loading, unloaded or failed; the last two with a reason. */
static enum model_state view_state(struct json_writer *writer, const struct model *model)
{
    static const char *const names[] = {[MODEL_READY] = "ready",       [MODEL_LOADING] = "loading",
                                        [MODEL_UNLOADED] = "unloaded", [MODEL_STOPPED] = "unloaded",
                                        [MODEL_FAILED] = "failed"};
    char reason[VIEW_STATE_REASON];
    enum model_state state = view_model_reason(model, reason);

    json_put_string(writer, "status", names[state]);
    if (reason[0] != '\0')
        json_put_string(writer, "reason", reason);
    json_put_bool(writer, "usable", state != MODEL_STOPPED);
    return state;
}

enum model_state view_model_reason(const struct model *model, char reason[VIEW_STATE_REASON])
{
    struct infomask_error why;
    enum model_state state = model_state(model, &why);
    const char *text = state == MODEL_FAILED     ? why.text
                       : state == MODEL_UNLOADED ? "unloaded: it gave its memory to other models, and is loaded when "
                                                   "it is asked (models_memory)"
                       : state == MODEL_STOPPED  ? "unloaded, until it is loaded or the folders are looked at again"
                       : state == MODEL_LOADING  ? "loading"
                                                 : "";

    (void)snprintf(reason, VIEW_STATE_REASON, "%s", text);
    return state;
}

enum model_state view_model(struct json_writer *writer, const char *key, const struct model *model, bool is_default)
{
    const struct infomask_model_info *info = model_info(model);
    enum model_state state;

    json_object_open(writer, key);
    json_put_string(writer, "name", model_name(model));
    json_put_string(writer, "version", model_version(model));
    json_put_string(writer, "sha256", info->sha256);
    json_put_bool(writer, "default", is_default);
    json_put_uint(writer, "classes", info->classes);
    view_input(writer, model);
    json_put_int(writer, "stride", info->stride);
    json_put_bool(writer, "class_map", info->class_map);
    view_methods(writer, info);
    json_put_bool(writer, "noise", info->noise);
    json_put_string(writer, "isa", info->isa);
    json_put_string(writer, "precision", info->precision);
    json_put_uint(writer, "weight_bytes", info->weight_bytes);
    json_put_uint(writer, "memory_bytes", info->memory_bytes);
    state = view_state(writer, model);
    json_put_double(writer, "prior_entropy", info->prior_entropy);
    json_put_node(writer, "document", model_document(model));
    json_object_close(writer);
    return state;
}

void view_failed_model(struct json_writer *writer, const char *name, const char *reason)
{
    json_object_open(writer, NULL);
    json_put_string(writer, "name", name);
    json_put_bool(writer, "default", false);
    json_put_string(writer, "status", "failed");
    json_put_string(writer, "reason", reason);
    json_put_bool(writer, "usable", false);
    json_object_close(writer);
}

void view_models(struct json_writer *writer, struct model *const *models, size_t count, size_t default_index,
                 const struct model_failures *failures)
{
    json_object_open(writer, NULL);
    json_put_string(writer, "default", count > 0 ? model_name(models[default_index]) : NULL);
    json_array_open(writer, "models");
    for (size_t i = 0; i < count; i++)
        (void)view_model(writer, NULL, models[i], i == default_index);
    for (size_t i = 0; failures != NULL && i < failures->count; i++)
        view_failed_model(writer, failures->list[i].name, failures->list[i].reason);
    json_array_close(writer);
    json_object_close(writer);
}

void view_labels(struct json_writer *writer, const struct model *model)
{
    json_object_open(writer, NULL);
    view_model_reference(writer, model);
    json_array_open(writer, "labels");
    for (size_t i = 0; i < model_classes(model); i++) {
        size_t count;
        const char *const *aliases = model_aliases(model, i, &count);
        json_object_open(writer, NULL);
        json_put_uint(writer, "index", i);
        json_put_string(writer, "label", model_label(model, i));
        json_array_open(writer, "aliases");
        for (size_t a = 0; a < count; a++)
            json_put_string(writer, NULL, aliases[a]);
        json_array_close(writer);
        json_object_close(writer);
    }
    json_array_close(writer);
    json_object_close(writer);
}

static double group_prior(const struct model *model, const struct infomask_group *set)
{
    const double *prior = model_spec(model)->prior;
    double sum = 0;

    for (int i = 0; i < set->count; i++)
        sum += prior != NULL ? prior[set->members[i]] : 1.0 / (double)model_classes(model);
    return sum;
}

void view_groups(struct json_writer *writer, const struct model *model)
{
    const struct groups *groups = model_groups(model);

    json_object_open(writer, NULL);
    view_model_reference(writer, model);
    json_array_open(writer, "groups");
    for (int g = 0; g < groups->count; g++) {
        json_object_open(writer, NULL);
        json_put_string(writer, "name", groups->names[g]);
        json_array_open(writer, "aliases");
        for (size_t a = groups->first_alias[g]; a < groups->first_alias[g + 1]; a++)
            json_put_string(writer, NULL, groups->aliases[a]);
        json_array_close(writer);
        json_array_open(writer, "members");
        for (int i = 0; i < groups->sets[g].count; i++)
            json_put_int(writer, NULL, groups->sets[g].members[i]);
        json_array_close(writer);
        json_put_int(writer, "size", groups->sets[g].count);
        json_put_double(writer, "prior", group_prior(model, &groups->sets[g]));
        json_object_close(writer);
    }
    json_array_close(writer);
    json_object_close(writer);
}

void view_models_changes(struct json_writer *writer, const struct models_changes *changes)
{
    json_object_open(writer, NULL);
    json_put_int(writer, "added", changes->added);
    json_put_int(writer, "changed", changes->changed);
    json_put_int(writer, "removed", changes->removed);
    json_put_int(writer, "unchanged", changes->unchanged);
    json_put_int(writer, "failed", changes->failed);
    json_object_close(writer);
}
