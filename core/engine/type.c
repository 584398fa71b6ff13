/* Precisions, and the types in which a plan keeps its values. */
#include "core/engine/internal.h"

const char *engine_precision_name(enum engine_precision precision)
{
    static const char *const names[ENGINE_PRECISIONS] = {"f32", "bf16", "int8"};
    return names[precision];
}

enum infomask_status engine_precision_check(enum engine_precision precision, const struct kernel_table *kernels,
                                            struct infomask_error *err)
{
    if (kernels == NULL)
        kernels = kernels_best();
    if (precision == ENGINE_BF16 && (kernels->types & 1u << KERNEL_BF16) == 0)
        return error_set(
            err, INFOMASK_ARGUMENT,
            "precision bf16 needs a processor with avx512_bf16 and the kernels avx512 or amx; these are %s",
            kernels->name);
    if (precision == ENGINE_INT8 && (kernels->types & 1u << KERNEL_U8) == 0)
        return error_set(err, INFOMASK_ARGUMENT,
                         "precision int8 needs a processor with avx2 or avx512_vnni and their kernels; these are %s",
                         kernels->name);
    return INFOMASK_OK;
}

/* Products whose inputs are read in any type: what the kernels multiply is made in the run, if it is not there. */
static bool is_product(const struct layer *layer)
{
    return (layer->way == WAY_PRODUCT || layer->way == WAY_SEGMENTS) && layer->groups == 1;
}

static bool writes_any_type(const struct layer *layer)
{
    return is_product(layer) || (layer->way == WAY_DEPTHWISE && layer->multiplier == 1);
}

/* The layer whose type all readers of a value would narrow it to; NULL if they differ, or one takes it as it is. */
static const struct layer *type_read(const struct engine_model *model, const struct plan *plan, int tensor)
{
    const struct layer *first = NULL;
    int readers = 0;

    for (int i = 0; i < plan->step_count; i++) {
        const struct step *s = &plan->steps[i];
        const struct layer *layer = &model->layers[s->node];
        if (s->x != tensor)
            continue;
        if (!is_product(layer) || s->z == tensor)
            return NULL;
        if (first != NULL && (layer->type != first->type || layer->x_scale != first->x_scale ||
                              layer->x_zero != first->x_zero))
            return NULL;
        first = layer;
        readers++;
    }
    return readers == plan->values[tensor].readers ? first : NULL;
}

/* Do all readers take the map as bytes of that grid: products that multiply them, and sums that kernels do? */
static bool bytes_read(const struct engine_model *model, const struct plan *plan, int tensor,
                       const struct kernel_rounding *grid)
{
    int readers = 0;

    for (int i = 0; i < plan->step_count; i++) {
        const struct step *s = &plan->steps[i];
        const struct layer *layer = &model->layers[s->node];
        readers += s->addend == tensor;
        if (s->x != tensor)
            continue;
        if (!is_product(layer) || layer->type != KERNEL_U8 || layer->x_scale != grid->scale ||
            layer->x_zero != (int)-grid->low)
            return false;
        readers++;
    }
    return readers == plan->values[tensor].readers;
}

/* A kernel has rounded what it makes. */
static void type_of_rounded(const struct engine_model *model, const struct plan *plan, int tensor)
{
    const struct kernel_rounding *grid = &model->layers[graph_producer(model->graph, tensor)].rounding;
    struct value *y = &plan->values[tensor];

    if ((model->kernels->types & 1u << KERNEL_U8) == 0 || !rounding_is_byte(grid) ||
        !bytes_read(model, plan, tensor, grid))
        return;
    y->type = KERNEL_U8;
    y->scale = grid->scale;
    y->zero = (int)-grid->low;
}

/* Narrowing where a value is written gives the same bits as narrowing it where it is read. */
void types_find(const struct engine_model *model, struct plan *plan)
{
    for (int i = 0; i < plan->trunk; i++) {
        const struct step *s = &plan->steps[i];
        struct value *y = &plan->values[s->y];
        if (s->rounding.scale > 0)
            type_of_rounded(model, plan, s->y);
        else if (y->root == s->y && !y->shared && shape_is_map(&y->shape) && s->z < 0 &&
            writes_any_type(&model->layers[s->node])) {
            const struct layer *reader = type_read(model, plan, s->y);
            y->type = reader != NULL ? reader->type : KERNEL_F32;
            y->scale = reader != NULL ? reader->x_scale : 0;
            y->zero = reader != NULL ? reader->x_zero : 0;
        }
    }
}
