/* The whole recipe, layer by layer. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/internal.h"

#define LEAST_ROWS 4    /* of a picture: below, the pictures say too little */
#define LEAST_COUNT 64  /* rows inside the clamp for a bias to be corrected */

static void layer_fini(const struct engine_int8_layer *layer)
{
    free((void *)(uintptr_t)layer->tensor);
    free((void *)(uintptr_t)layer->w);
    free((void *)(uintptr_t)layer->scale);
    free((void *)(uintptr_t)layer->bias);
}

void quant_free(struct quant *quant)
{
    if (quant == NULL)
        return;
    for (int i = 0; i < quant->int8.count; i++)
        layer_fini(&quant->int8.layers[i]);
    free((void *)(uintptr_t)quant->int8.layers);
    free(quant);
}

/* bias[n] = mean of Z - W X over the rows that count */
static void correct_bias(const struct site *site, const struct statistics *s, const int8_t *w, const float *scale,
                         float *bias)
{
    size_t k = (size_t)site->k;

    for (size_t j = 0; j < (size_t)site->n; j++) {
        double sum = 0;
        if (s->count[j] < LEAST_COUNT)
            continue;
        for (size_t i = 0; i < k; i++)
            sum += w[j * k + i] * s->x_sum[j * k + i];
        bias[j] = (float)((s->z_sum[j] - sum * (double)scale[j] * (double)site->x_scale) / (double)s->count[j]);
    }
}

/* Takes what the site says into a new layer. */
static enum infomask_status make_layer(const struct site *site, const struct statistics *s, struct pool *pool,
                                       struct engine_int8_layer *layer, struct infomask_error *err)
{
    size_t n = (size_t)site->n, k = (size_t)site->k;
    int8_t *w = malloc(n * k);
    float *scale = malloc(n * sizeof *scale), *bias = malloc(n * sizeof *bias);
    enum infomask_status status = INFOMASK_OK;

    *layer = (struct engine_int8_layer){strdup(site->tensor), false, site->n, site->k, site->x_scale, site->x_zero,
                                        w, scale, bias};
    if (layer->tensor == NULL || w == NULL || scale == NULL || bias == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for a layer's weights");
    if (status == INFOMASK_OK) {
        memcpy(bias, site->bias, n * sizeof *bias);
        status = round_weights(site, s != NULL ? s->h : NULL, pool, w, scale, err);
    }
    if (status == INFOMASK_OK && s != NULL)
        correct_bias(site, s, w, scale, bias);
    return status;
}

static enum infomask_status quantise_layer(struct observer *observer, const struct site *site, struct quant *quant,
                                           struct engine_int8_layer *layers, struct infomask_error *err)
{
    const struct quant_options *options = observer->options;
    struct statistics statistics = {0};
    struct engine_int8_layer *layer = &layers[quant->int8.count];
    enum infomask_status status = INFOMASK_OK;

    if (site->keep) {
        *layer = (struct engine_int8_layer){.tensor = strdup(site->tensor), .bf16 = true};
        quant->int8.count++;
        return layer->tensor != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    if (!options->nearest)
        status = observer_open(observer, &quant->int8, err);
    if (status == INFOMASK_OK && !options->nearest)
        status = observe_layer(observer, site, &statistics, err);
    if (status == INFOMASK_OK) {
        status = make_layer(site, options->nearest ? NULL : &statistics, options->pool, layer, err);
        quant->int8.count++;
    }
    statistics_fini(&statistics);
    return status;
}

static enum infomask_status check_kept(const struct quant_options *options, const struct sites *sites,
                                       struct infomask_error *err)
{
    for (int i = 0; i < options->keep_count; i++) {
        bool found = false;
        for (int j = 0; j < sites->count; j++)
            found = found || fnmatch(options->keep[i], sites->list[j].tensor, 0) == 0;
        if (!found)
            return error_set(err, INFOMASK_ARGUMENT, "no layer that can be quantised has an output like '%.80s'",
                             options->keep[i]);
    }
    return INFOMASK_OK;
}

/* Scales of what the layers read; layers of which the pictures say too little are left as they are. */
static void set_ranges(struct sites *sites, int pictures)
{
    for (int i = sites->count - 1; i >= 0; i--) {
        struct site *site = &sites->list[i];
        if (site->rows < (uint64_t)pictures * LEAST_ROWS) {
            sites_drop(sites, i);
            continue;
        }
        if (!site->bounded)
            range_best(&site->counts, &site->x_low, &site->x_high);
        range_scale(site->x_low, site->x_high, &site->x_scale, &site->x_zero);
    }
}

static enum infomask_status quantise(struct observer *observer, struct sites *sites, struct quant *quant,
                                     struct infomask_error *err)
{
    const struct quant_options *options = observer->options;
    struct engine_int8_layer *layers;
    enum infomask_status status = observe_ranges(observer, sites, err);

    if (status == INFOMASK_OK)
        set_ranges(sites, options->count);
    if (status == INFOMASK_OK && sites->count == 0)
        status = error_set(err, INFOMASK_UNSUPPORTED_MODEL, "this network has no convolution that int8 can take");
    if (status == INFOMASK_OK)
        status = check_kept(options, sites, err);
    layers = calloc((size_t)sites->count + 1, sizeof *layers);
    quant->int8.layers = layers;
    if (layers == NULL && status == INFOMASK_OK)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the quantised weights");
    for (int i = 0; i < sites->count && status == INFOMASK_OK; i++) {
        if (options->progress != NULL)
            options->progress(options->progress_context, i, sites->count, sites->list[i].tensor);
        status = quantise_layer(observer, &sites->list[i], quant, layers, err);
    }
    return status;
}

enum infomask_status quant_make(const struct quant_options *options, struct quant **out, struct infomask_error *err)
{
    struct observer observer = {.options = options};
    struct sites sites = {0};
    struct graph *graph = NULL;
    struct quant *quant = calloc(1, sizeof *quant);
    enum infomask_status status;

    if (quant == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the quantised weights");
    if (options->count < 1)
        status = error_set(err, INFOMASK_ARGUMENT, "quantising needs at least one picture");
    else
        status = options->graph(options->graph_context, &graph, err);
    if (status == INFOMASK_OK)
        status = sites_find(graph, options, &sites, err);
    graph_free(graph);
    if (status == INFOMASK_OK)
        status = observer_open(&observer, NULL, err);
    if (status == INFOMASK_OK)
        status = quantise(&observer, &sites, quant, err);
    observer_close(&observer);
    sites_fini(&sites);
    if (status != INFOMASK_OK) {
        quant_free(quant);
        return status;
    }
    *out = quant;
    return INFOMASK_OK;
}
