/* What the class maps read of a pass: the head, and the cells as it wants them. */
#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/pipeline/pipeline.h"

const char *infomask_method_name(enum infomask_method method)
{
    static const char *const names[INFOMASK_METHODS] = {
        [INFOMASK_INFOCAM] = "infocam",       [INFOMASK_CAM] = "cam",
        [INFOMASK_INFOCAM_PLUS] = "infocam+", [INFOMASK_GRADCAM_PLUS_PLUS] = "gradcam++",
        [INFOMASK_LAYERCAM] = "layercam",     [INFOMASK_OCCLUSION] = "occlusion"};
    return names[method];
}

const char *infomask_why_not(const struct infomask_model_info *info, enum infomask_method method)
{
    if (method == INFOMASK_OCCLUSION)
        return NULL;
    if (!info->class_map)
        return "the network does not end in layers on a pooled map, or on a map laid flat";
    if (method == INFOMASK_INFOCAM_PLUS && info->sigmoid)
        return "it contrasts two classes that exclude each other; under a sigmoid each is a question of its own";
    if ((method == INFOMASK_GRADCAM_PLUS_PLUS || method == INFOMASK_LAYERCAM) && info->layers)
        return "it takes a linear head's weights of single features; this head has other layers";
    return NULL;
}

struct mask_head pipeline_head(const struct infomask_model *model)
{
    const struct engine_info *net = model->network;
    bool linear = net->head == ENGINE_HEAD_LINEAR;

    return (struct mask_head){.w = net->head_w,
                              .b = net->head_b,
                              .binary = model->sigmoid,
                              .classes = (int)net->outputs,
                              .features = linear ? net->features : (int)net->outputs,
                              .scale = 1 / model->temperature,
                              .mean_w = model->head_mean,
                              .mean_b = model->head_mean_bias,
                              .packed = net->head_packed};
}

enum infomask_status pipeline_cells_init(struct pipeline_cells *cells, const struct infomask_model *model,
                                         const float *f, int n, struct infomask_error *err)
{
    size_t bytes;
    enum infomask_status status;

    *cells = (struct pipeline_cells){.head = pipeline_head(model), .f = f};
    if (model->network->head == ENGINE_HEAD_LINEAR)
        return INFOMASK_OK;
    if (checked_mul3((size_t)n, model->network->outputs, sizeof(float), &bytes))
        cells->owned = aligned_new(bytes);
    cells->f = cells->owned;
    if (cells->owned == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the class map");
    status = engine_head_cells(model->engine, f, n, cells->owned, err);
    if (status != INFOMASK_OK)
        pipeline_cells_fini(cells);
    return status;
}

void pipeline_cells_fini(struct pipeline_cells *cells)
{
    aligned_free(cells->owned);
    *cells = (struct pipeline_cells){0};
}
