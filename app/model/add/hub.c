#include "app/model/add/hub.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/json/json.h"
#include "app/settings/files.h"

#define MOST_TEXT ((size_t)16 << 20)

static const char processor_name[] = "preprocessor_config.json", config_name[] = "config.json";

/* ---- Members ----------------------------------------------------------------------------------------------------- */

static bool flag(const struct json *object, const char *key, bool fallback)
{
    bool value = fallback;

    (void)json_bool(json_get(object, key), &value);
    return value;
}

static double number(const struct json *object, const char *key, double fallback)
{
    double value = fallback;

    (void)json_number(json_get(object, key), &value);
    return value;
}

/* One number for all channels, or one each. */
static bool channels(const struct json *list, double values[3])
{
    const struct json *one = json_first(list);

    if (json_number(list, &values[0])) {
        values[1] = values[2] = values[0];
        return true;
    }
    for (int i = 0; i < 3; i++) {
        if (!json_number(one, &values[i]))
            return false;
        if (json_count(list) > 1)
            one = json_next(one);
    }
    return json_count(list) == 3 || json_count(list) == 1;
}

/* A size: a number, {"shortest_edge": N}, or {"height": H, "width": W}. */
struct extent {
    int shortest, width, height; /* 0: not said */
};

static int pixels(const struct json *node)
{
    double value = 0;

    return json_number(node, &value) && value >= 1 && value <= 1 << 16 ? (int)value : 0;
}

static struct extent extent_of(const struct json *node)
{
    struct extent e = {.shortest = pixels(node)};

    if (json_kind(node) == JSON_OBJECT)
        e = (struct extent){pixels(json_get(node, "shortest_edge")), pixels(json_get(node, "width")),
                            pixels(json_get(node, "height"))};
    return e;
}

/* ---- How photos are prepared ------------------------------------------------------------------------------------- */

/* 0.485 * 255 as people write it: 123.675, without what the last bits add */
static double of_bytes(double value, double scale)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.10g", value / scale);
    return strtod(text, NULL);
}

static bool is_kind(const struct json *config, const char *kind)
{
    const char *type = json_string(json_get(config, "image_processor_type"));

    type = type != NULL ? type : json_string(json_get(config, "feature_extractor_type"));
    return type != NULL && strstr(type, kind) != NULL;
}

/* transformers: bytes times rescale_factor, less image_mean, by image_std; ours are of bytes. */
static bool read_values(const struct json *config, struct preset *preset)
{
    double scale = flag(config, "do_rescale", true) ? number(config, "rescale_factor", 1.0 / 255) : 1;
    double mean[3] = {0, 0, 0}, std[3] = {1, 1, 1};
    double offset = flag(config, "rescale_offset", false) ? 1 : 0;
    bool normalises = json_get(config, "image_mean") != NULL && !is_kind(config, "MobileViT");

    if (flag(config, "do_normalize", normalises) && (!channels(json_get(config, "image_mean"), mean) ||
                                               !channels(json_get(config, "image_std"), std)))
        return false;
    for (int i = 0; i < 3; i++) {
        preset->mean[i] = of_bytes(mean[i] + offset, scale);
        preset->std[i] = of_bytes(std[i] * (flag(config, "include_top", false) ? std[i] : 1), scale);
        if (!isfinite(preset->mean[i]) || !isfinite(preset->std[i]) || !(preset->std[i] > 0))
            return false;
    }
    preset->color = flag(config, "do_flip_channel_order", false) ? "BGR" : "RGB";
    return true;
}

static const char *filter_of(const struct json *resample)
{
    double pillow = 2;

    (void)json_number(resample, &pillow);
    return pillow == 0 ? "nearest" : pillow == 1 ? "lanczos" : pillow == 3 ? "bicubic" : "bilinear";
}

/* What of the shorter side the network sees, where a photo keeps its proportions; 0: it does not keep them.
 * edge: to which the shorter side is brought. */
static double share_of(const struct json *config, int edge, int crop)
{
    double share = number(config, "crop_pct", 0);

    if (is_kind(config, "Levit"))
        return 224.0 / 256;
    if (is_kind(config, "Perceiver")) /* cuts first */
        return crop > edge && edge > 0 ? (double)edge / crop : 1;
    if (share > 0 && share <= 1) /* ConvNeXt's processor leaves proportions from 384 on */
        return edge < 384 || !is_kind(config, "ConvNext") ? share : 0;
    return crop > 0 && edge > 0 && crop <= edge ? (double)crop / edge : 1;
}

static void read_geometry(const struct json *config, struct hub *hub)
{
    struct preset *preset = &hub->preset;
    struct extent size = extent_of(json_get(config, "size")), crop = extent_of(json_get(config, "crop_size"));
    bool crops = flag(config, "do_center_crop", json_get(config, "crop_pct") != NULL || is_kind(config, "Levit"));
    int side = crops && crop.height > 0 ? crop.height : crops && crop.shortest > 0 ? crop.shortest : 0;

    preset->resize = filter_of(json_get(config, "resample"));
    if (is_kind(config, "Perceiver")) {
        preset->crop = share_of(config, size.height, side);
        side = 0;
    } else if (!flag(config, "do_resize", true) || (crops && size.shortest > 0)) {
        preset->crop = share_of(config, size.shortest, side);
    }
    hub->height = side > 0 ? side : size.height > 0 ? size.height : size.shortest;
    hub->width = side > 0 && crop.width > 0 ? crop.width
                 : side > 0                ? side
                 : size.width > 0          ? size.width
                                           : size.shortest;
    if (preset->crop > 0)
        return;
    preset->fit = "squash";
    preset->crop = 1;
    preset->resize_to = crops && size.height > side ? size.height : 0;
}

static enum infomask_status read_processor(const struct json *config, struct hub *hub, struct infomask_error *err)
{
    struct preset *preset = &hub->preset;

    *preset = (struct preset){.fit = "crop"};
    if (!read_values(config, preset))
        return error_set(err, INFOMASK_BAD_DATA, "%s beside the file has no image_mean and image_std of three numbers",
                         processor_name);
    read_geometry(config, hub);
    preset->name = processor_name;
    return INFOMASK_OK;
}

/* timm: "pretrained_cfg", of values from 0 to 1 */
static void read_timm(const struct json *config, struct hub *hub)
{
    struct preset preset = {.fit = "crop", .color = "RGB", .name = config_name};
    const struct json *size = json_get(config, "input_size");
    const char *mode = json_string(json_get(config, "crop_mode")),
               *filter = json_string(json_get(config, "interpolation"));
    double share = number(config, "crop_pct", 0.875);

    if (json_count(size) != 3 || !channels(json_get(config, "mean"), preset.mean) ||
        !channels(json_get(config, "std"), preset.std) || !(share > 0 && share <= 1))
        return;
    for (int i = 0; i < 3; i++) {
        preset.mean[i] = of_bytes(preset.mean[i], 1.0 / 255);
        preset.std[i] = of_bytes(preset.std[i], 1.0 / 255);
        if (!(preset.std[i] > 0) || !isfinite(preset.mean[i]))
            return;
    }
    hub->height = pixels(json_next(json_first(size)));
    hub->width = pixels(json_next(json_next(json_first(size))));
    preset.resize = filter == NULL || strcmp(filter, "bilinear") == 0 ? "bilinear"
                    : strncmp(filter, "lanczos", 7) == 0              ? "lanczos"
                    : strcmp(filter, "nearest") == 0                  ? "nearest"
                                                                      : "bicubic";
    preset.crop = share;
    if (mode != NULL && strcmp(mode, "squash") == 0) {
        preset.fit = "squash";
        preset.resize_to = share < 1 ? (int)floor(hub->height / share) : 0;
        preset.crop = 1;
    }
    hub->preset = preset;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

static bool is_text(const char *text)
{
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ')
            return false;
    return true;
}

/* A line of labels.txt: "tench, Tinca tinca" is also found as each of its parts. */
static void put_class(FILE *to, const char *name)
{
    const char *end;

    (void)fputs(name, to);
    for (const char *at = strstr(name, ", ") != NULL ? name : NULL; at != NULL; at = end != NULL ? end + 2 : NULL) {
        end = strstr(at, ", ");
        if (*at != '\0' && end != at)
            (void)fprintf(to, "\t%.*s", end != NULL ? (int)(end - at) : (int)strlen(at), at);
    }
    (void)fputc('\n', to);
}

/* The names of {"0": name, "1": ...} or [name, ...] in their order, into list [count]; false: they are not that. */
static bool sort_names(const struct json *names, const char **list, size_t count)
{
    size_t at = 0;

    for (const struct json *node = json_first(names); node != NULL; node = json_next(node), at++) {
        const char *key = json_key(node);
        char *end = NULL;
        unsigned long long i = key != NULL ? strtoull(key, &end, 10) : at;
        if ((key != NULL && (*key < '0' || *key > '9' || *end != '\0')) || i >= count || list[i] != NULL ||
            !is_text(json_string(node)))
            return false;
        list[i] = json_string(node);
    }
    return true;
}

/* LABEL_0, LABEL_1, ...: what transformers makes where there are no names */
static bool only_count(const char *const *names, size_t count)
{
    char counted[32];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(counted, sizeof counted, "LABEL_%zu", i);
        if (strcmp(names[i], counted) != 0)
            return false;
    }
    return true;
}

static enum infomask_status read_classes(const struct json *names, struct hub *hub, struct infomask_error *err)
{
    size_t count = json_count(names), size = 0;
    const char **list;
    FILE *to;

    if (count < 2)
        return INFOMASK_OK;
    list = calloc(count, sizeof *list);
    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (!sort_names(names, list, count) || only_count(list, count)) {
        free(list);
        return INFOMASK_OK;
    }
    to = open_memstream(&hub->classes, &size);
    for (size_t i = 0; to != NULL && i < count; i++)
        put_class(to, list[i]);
    free(list);
    if (to == NULL || fclose(to) != 0)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    hub->class_count = count;
    return INFOMASK_OK;
}

static enum infomask_status read_config(const struct json *config, struct hub *hub, struct infomask_error *err)
{
    const struct json *timm = json_get(config, "pretrained_cfg"), *names = json_get(config, "id2label");
    const char *problem = json_string(json_get(config, "problem_type"));

    hub->several_labels = problem != NULL && strcmp(problem, "multi_label_classification") == 0;
    if (timm != NULL && hub->preset.name == NULL)
        read_timm(timm, hub);
    return read_classes(names != NULL ? names : json_get(config, "label_names"), hub, err);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* The folder whose files belong to the network; malloc'ed, NULL without memory. */
static char *folder_of(const char *onnx_file)
{
    size_t length = (size_t)(file_name(onnx_file) - onnx_file);
    char *folder = length == 0 ? strdup(".") : strndup(onnx_file, length), *above;

    while (folder != NULL && length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    if (folder == NULL || strcmp(file_name(folder), "onnx") != 0)
        return folder;
    above = file_join(folder, "..");
    free(folder);
    return above;
}

/* *root is NULL where there is no such file; BAD_DATA where it is no JSON object. */
static enum infomask_status read_json(const char *folder, const char *name, struct json **root,
                                      struct infomask_error *err)
{
    char *path = file_join(folder, name), *text = NULL;
    size_t size = 0;
    enum infomask_status status;

    *root = NULL;
    if (path == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (access(path, R_OK) != 0) {
        free(path);
        return INFOMASK_OK;
    }
    status = file_read_regular(path, MOST_TEXT, &text, &size, err);
    if (status == INFOMASK_OK)
        status = json_parse(text, size, NULL, root, err);
    if (status == INFOMASK_OK && json_kind(*root) != JSON_OBJECT)
        status = error_set(err, INFOMASK_BAD_DATA, "it is %s, not an object", json_kind_name(json_kind(*root)));
    if (status != INFOMASK_OK)
        error_prefix(err, "%s beside the file", name);
    free(text);
    free(path);
    return status;
}

enum infomask_status hub_read(const char *onnx_file, struct hub *hub, struct infomask_error *err)
{
    char *folder = folder_of(onnx_file);
    struct json *processor = NULL, *config = NULL;
    enum infomask_status status;

    *hub = (struct hub){0};
    if (folder == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = read_json(folder, processor_name, &processor, err);
    if (status == INFOMASK_OK && processor != NULL)
        status = read_processor(processor, hub, err);
    /* any program may call its own settings config.json */
    if (status == INFOMASK_OK && read_json(folder, config_name, &config, &(struct infomask_error){0}) == INFOMASK_OK &&
        config != NULL)
        status = read_config(config, hub, err);
    json_free(processor);
    json_free(config);
    free(folder);
    if (status != INFOMASK_OK)
        hub_fini(hub);
    return status;
}

const struct preset *hub_preset(const struct hub *hub, const struct infomask_inspection *file, bool *known,
                                const char **reason)
{
    if (hub->preset.name == NULL || preset_contradiction(&hub->preset, file) != NULL)
        return preset_guess(file, known, reason);
    *known = true;
    *reason = "it lies beside the file";
    return &hub->preset;
}

void hub_fini(struct hub *hub)
{
    free(hub->classes);
    *hub = (struct hub){0};
}
