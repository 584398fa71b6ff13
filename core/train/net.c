#include "core/train/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/random.h"

const struct train_layer_kind train_layer_kinds[TRAIN_KINDS] = {
    [TRAIN_CONV] = {"conv", train_conv_forward, train_conv_backward},
    [TRAIN_DEPTHWISE] = {"dw", train_depthwise_forward, train_depthwise_backward},
    [TRAIN_BATCH_NORM] = {"bn", train_norm_forward, train_norm_backward},
    [TRAIN_ACTIVATION] = {"relu", train_activation_forward, train_activation_backward},
    [TRAIN_DROPOUT] = {"dropout", train_dropout_forward, train_dropout_backward},
    [TRAIN_NOISE] = {"noise", train_noise_forward, train_noise_backward},
    [TRAIN_MAX_POOL] = {"max", train_max_pool_forward, train_max_pool_backward},
    [TRAIN_AVERAGE_POOL] = {"avg", train_average_pool_forward, train_average_pool_backward},
    [TRAIN_GLOBAL_AVERAGE] = {"gap", train_average_pool_forward, train_average_pool_backward},
    [TRAIN_LINEAR] = {"linear", train_linear_forward, train_linear_backward},
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static float *floats_new(size_t count)
{
    float *block = aligned_new(count * sizeof *block);

    if (block != NULL)
        memset(block, 0, count * sizeof *block);
    return block;
}

static bool param_init(struct train_param *param, size_t count, bool decay, bool partial)
{
    param->count = count;
    param->decay = decay;
    param->value = floats_new(count);
    param->gradient = floats_new(count);
    param->moment1 = floats_new(count);
    param->moment2 = floats_new(count);
    param->partial = partial ? floats_new(count * TRAIN_CHUNKS) : NULL;
    return param->value != NULL && param->gradient != NULL && param->moment1 != NULL && param->moment2 != NULL &&
           (!partial || param->partial != NULL);
}

static void param_fini(struct train_param *param)
{
    aligned_free(param->value);
    aligned_free(param->gradient);
    aligned_free(param->moment1);
    aligned_free(param->moment2);
    aligned_free(param->partial);
}

/* He initialisation: normal with variance 2 / fan_in; the last layer's gain is 1. */
static void param_draw(struct train_param *param, size_t fan_in, double gain, uint64_t seed, uint64_t stream)
{
    struct random_stream random = random_stream(seed, stream);
    double deviation = sqrt(gain / (double)fan_in);

    for (size_t i = 0; i < param->count; i++)
        param->value[i] = (float)(deviation * random_normal(&random));
}

static bool layer_params(struct train_layer *layer, uint64_t seed, int index, bool last)
{
    size_t window = (size_t)layer->kernel_h * (size_t)layer->kernel_w, c_in = (size_t)layer->in.c;
    size_t c_out = (size_t)layer->out.c, fan_in = 0, count = 0;
    bool partial;

    switch (layer->kind) {
    case TRAIN_CONV:
    case TRAIN_LINEAR:
        fan_in = window * c_in;
        count = c_out * fan_in;
        break;
    case TRAIN_DEPTHWISE:
        fan_in = window;
        count = window * c_in;
        break;
    case TRAIN_BATCH_NORM:
        if (!param_init(&layer->weights, c_in, false, true) || !param_init(&layer->bias, c_in, false, true))
            return false;
        for (size_t i = 0; i < c_in; i++)
            layer->weights.value[i] = 1;
        layer->running_mean = floats_new(c_in);
        layer->running_variance = floats_new(c_in);
        layer->batch_mean = floats_new(c_in);
        layer->batch_inverse = floats_new(c_in);
        layer->sums = aligned_new(TRAIN_CHUNKS * 2 * c_in * sizeof(double));
        for (size_t i = 0; i < c_in && layer->running_variance != NULL; i++)
            layer->running_variance[i] = 1;
        return layer->running_mean != NULL && layer->running_variance != NULL && layer->batch_mean != NULL &&
               layer->batch_inverse != NULL && layer->sums != NULL;
    default:
        return true;
    }
    partial = layer->kind != TRAIN_LINEAR;
    if (!param_init(&layer->weights, count, true, partial) || !param_init(&layer->bias, c_out, false, partial))
        return false;
    param_draw(&layer->weights, fan_in, last ? 1.0 : 2.0, seed, (uint64_t)index);
    return true;
}

static bool layer_buffers(struct train_net *net, int index)
{
    struct train_layer *layer = &net->layers[index], *before = index > 0 ? layer - 1 : NULL;
    size_t count = train_elements(layer->out) * (size_t)net->batch;

    layer->x = before != NULL ? before->y : net->input;
    layer->dx = before != NULL ? before->dy : NULL;
    if ((layer->kind == TRAIN_ACTIVATION || layer->kind == TRAIN_DROPOUT) && before != NULL) {
        layer->y = layer->x;
        layer->dy = layer->dx;
        return true;
    }
    layer->owns_output = true;
    layer->y = floats_new(count);
    layer->dy = floats_new(count);
    return layer->y != NULL && layer->dy != NULL;
}

static void layer_fini(struct train_layer *layer)
{
    param_fini(&layer->weights);
    param_fini(&layer->bias);
    aligned_free(layer->running_mean);
    aligned_free(layer->running_variance);
    aligned_free(layer->batch_mean);
    aligned_free(layer->batch_inverse);
    aligned_free(layer->sums);
    if (layer->owns_output) {
        aligned_free(layer->y);
        aligned_free(layer->dy);
    }
}

void train_net_free(struct train_net *net)
{
    if (net == NULL)
        return;
    for (int i = 0; i < net->layer_count; i++)
        layer_fini(&net->layers[i]);
    for (int i = 0; i < net->workers && net->scratch != NULL; i++)
        aligned_free(net->scratch[i]);
    free(net->scratch);
    aligned_free(net->input);
    free(net);
}

/* ---- specification ----------------------------------------------------------------------------------------------- */

/* "3x3" -> 3, 3; "3" -> 3, 3 */
static bool read_kernel(const char **at, struct train_layer *layer)
{
    char *end;
    long h = strtol(*at, &end, 10), w = h;

    if (end == *at)
        return false;
    if (*end == 'x') {
        const char *second = end + 1;
        w = strtol(second, &end, 10);
        if (end == second)
            return false;
    }
    *at = end;
    layer->kernel_h = (int)h;
    layer->kernel_w = (int)w;
    return h >= 1 && h <= 64 && w >= 1 && w <= 64;
}

/* What may follow a window: ":32" channels, "/2" stride, "p0" padding, in any order. */
static bool read_suffixes(const char *at, struct train_layer *layer, int *channels)
{
    while (*at != '\0') {
        char kind = *at++, *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 0 || value > 65536)
            return false;
        if (kind == ':')
            *channels = (int)value;
        else if (kind == '/')
            layer->stride = (int)value;
        else if (kind == 'p')
            layer->pad_h = layer->pad_w = (int)value;
        else
            return false;
        at = end;
    }
    return layer->stride >= 1 && layer->stride <= 64;
}

static const char *after(const char *item, const char *word)
{
    size_t length = strlen(word);
    return strncmp(item, word, length) == 0 ? item + length : NULL;
}

static bool read_number(const char *at, double low, double high, float *value)
{
    char *end;
    double number = *at == ':' ? strtod(at + 1, &end) : NAN;

    *value = (float)number;
    return *at == ':' && *end == '\0' && number >= low && number < high;
}

static bool read_window_item(const char *at, enum train_kind kind, struct train_layer *layer)
{
    int channels = kind == TRAIN_CONV ? 0 : layer->in.c;

    layer->kind = kind;
    layer->stride = 1;
    layer->pad_h = layer->pad_w = -1;
    if (!read_kernel(&at, layer) || !read_suffixes(at, layer, &channels) || channels < 1)
        return false;
    if (layer->pad_h < 0) { /* "same" for convolutions, none for pools */
        bool same = kind == TRAIN_CONV || kind == TRAIN_DEPTHWISE;
        layer->pad_h = same ? layer->kernel_h / 2 : 0;
        layer->pad_w = same ? layer->kernel_w / 2 : 0;
    }
    if (layer->pad_h >= layer->kernel_h || layer->pad_w >= layer->kernel_w)
        return false;
    layer->out.h = (layer->in.h + 2 * layer->pad_h - layer->kernel_h) / layer->stride + 1;
    layer->out.w = (layer->in.w + 2 * layer->pad_w - layer->kernel_w) / layer->stride + 1;
    layer->out.c = channels;
    return layer->in.h + 2 * layer->pad_h >= layer->kernel_h && layer->in.w + 2 * layer->pad_w >= layer->kernel_w;
}

static bool read_activation(const char *item, struct train_layer *layer)
{
    const char *at;

    layer->kind = TRAIN_ACTIVATION;
    layer->low = 0;
    layer->high = INFINITY;
    if (strcmp(item, "relu") == 0)
        return true;
    if (strcmp(item, "relu6") == 0) {
        layer->high = 6;
        return true;
    }
    layer->low = -INFINITY;
    return (at = after(item, "leaky")) != NULL && read_number(at, 0, 1, &layer->slope);
}

static bool read_plain_item(const char *item, struct train_layer *layer)
{
    const char *at;
    float channels;

    if (strcmp(item, "bn") == 0) {
        layer->kind = TRAIN_BATCH_NORM;
        layer->epsilon = 1e-5F;
        layer->momentum = 0.1F;
        return true;
    }
    if (strcmp(item, "gap") == 0) {
        layer->kind = TRAIN_GLOBAL_AVERAGE;
        layer->kernel_h = layer->in.h;
        layer->kernel_w = layer->in.w;
        layer->stride = 1;
        layer->out = (struct train_shape){1, 1, layer->in.c};
        return true;
    }
    if ((at = after(item, "dropout")) != NULL) {
        layer->kind = TRAIN_DROPOUT;
        return read_number(at, 0, 1, &layer->ratio);
    }
    if ((at = after(item, "noise")) != NULL) {
        layer->kind = TRAIN_NOISE;
        return read_number(at, 0, 1e6, &layer->sigma);
    }
    if ((at = after(item, "linear")) != NULL && read_number(at, 1, 65537, &channels)) {
        layer->kind = TRAIN_LINEAR; /* its window is the whole input */
        layer->kernel_h = layer->in.h;
        layer->kernel_w = layer->in.w;
        layer->stride = 1;
        layer->out = (struct train_shape){1, 1, (int)channels};
        return true;
    }
    return read_activation(item, layer);
}

static bool read_item(const char *item, struct train_layer *layer)
{
    static const struct {
        const char *word;
        enum train_kind kind;
    } windows[] = {{"conv", TRAIN_CONV}, {"dw", TRAIN_DEPTHWISE}, {"max", TRAIN_MAX_POOL}, {"avg", TRAIN_AVERAGE_POOL}};

    layer->out = layer->in;
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const char *at = after(item, windows[i].word);
        if (at != NULL)
            return read_window_item(at, windows[i].kind, layer);
    }
    return read_plain_item(item, layer);
}

static enum infomask_status add_item(struct train_net *net, const char *item, struct train_shape input,
                                     struct infomask_error *err)
{
    struct train_layer *layer = &net->layers[net->layer_count];

    if (net->layer_count == TRAIN_MAX_LAYERS)
        return error_set(err, INFOMASK_ARGUMENT, "a network has at most %d layers", TRAIN_MAX_LAYERS);
    *layer = (struct train_layer){.in = net->layer_count > 0 ? layer[-1].out : input};
    if (!read_item(item, layer))
        return error_set(err, INFOMASK_ARGUMENT, "layer %d, \"%.40s\", is not understood or does not fit %d x %d x %d",
                         net->layer_count + 1, item, layer->in.h, layer->in.w, layer->in.c);
    layer->fused = layer->kind == TRAIN_ACTIVATION && net->layer_count > 0 && layer[-1].kind == TRAIN_CONV;
    net->layer_count++;
    return INFOMASK_OK;
}

static enum infomask_status read_spec(struct train_net *net, const char *spec, struct train_shape input,
                                      struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    char item[64];

    while (*spec != '\0' && status == INFOMASK_OK) {
        size_t length = strcspn(spec, ",");
        if (length >= sizeof item)
            return error_set(err, INFOMASK_ARGUMENT, "layer \"%.40s...\" is not understood", spec);
        memcpy(item, spec, length);
        item[length] = '\0';
        status = add_item(net, item, input, err);
        spec += length + (spec[length] == ',');
    }
    if (status == INFOMASK_OK) {
        (void)snprintf(item, sizeof item, "linear:%d", net->classes);
        status = add_item(net, item, input, err);
    }
    return status;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool scratch_init(struct train_net *net)
{
    net->workers = pool_threads(net->pool);
    for (int i = 0; i < net->layer_count; i++) {
        size_t need = net->layers[i].kind == TRAIN_CONV ? train_conv_scratch(&net->layers[i]) : 0;
        net->scratch_floats = need > net->scratch_floats ? need : net->scratch_floats;
    }
    net->scratch = calloc((size_t)net->workers, sizeof *net->scratch);
    for (int i = 0; i < net->workers && net->scratch != NULL; i++) {
        net->scratch[i] = floats_new(net->scratch_floats);
        if (net->scratch[i] == NULL)
            return false;
    }
    return net->scratch != NULL;
}

enum infomask_status train_net_create(struct train_net **out, const struct train_plan *plan,
                                      struct infomask_error *err)
{
    struct train_net *net;
    enum infomask_status status;
    bool memory = true;

    if (plan->batch < 1 || plan->batch > 4096 || plan->classes < 2 || plan->classes > 65536)
        return error_set(err, INFOMASK_ARGUMENT, "a batch has 1 to 4096 items, and there are 2 to 65536 classes");
    net = calloc(1, sizeof *net);
    if (net == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    net->kernels = plan->kernels;
    net->pool = plan->pool;
    net->batch = plan->batch;
    net->classes = plan->classes;
    net->seed = plan->seed;
    status = read_spec(net, plan->items, plan->input, err);
    if (status == INFOMASK_OK) {
        net->input = floats_new(train_elements(plan->input) * (size_t)plan->batch);
        memory = net->input != NULL && scratch_init(net);
        for (int i = 0; i < net->layer_count && memory; i++)
            memory = layer_params(&net->layers[i], plan->seed, i, i == net->layer_count - 1) && layer_buffers(net, i);
        if (!memory)
            status = error_set(err, INFOMASK_MEMORY, "no memory for a batch of %d items", plan->batch);
    }
    if (status != INFOMASK_OK) {
        train_net_free(net);
        return status;
    }
    *out = net;
    return INFOMASK_OK;
}

size_t train_net_parameters(const struct train_net *net)
{
    size_t count = 0;

    for (int i = 0; i < net->layer_count; i++)
        count += net->layers[i].weights.count + net->layers[i].bias.count;
    return count;
}

const float *train_forward(const struct train_pass *pass)
{
    struct train_net *net = pass->net;

    for (int i = 0; i < net->layer_count; i++)
        train_layer_kinds[net->layers[i].kind].forward(&net->layers[i], pass, i);
    return net->layers[net->layer_count - 1].y;
}

float *train_logit_gradient(struct train_net *net) { return net->layers[net->layer_count - 1].dy; }

void train_backward(const struct train_pass *pass)
{
    struct train_net *net = pass->net;

    for (int i = net->layer_count - 1; i >= 0; i--)
        train_layer_kinds[net->layers[i].kind].backward(&net->layers[i], pass, i);
}
