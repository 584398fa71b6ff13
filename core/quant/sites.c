/* Which layers can be quantised, and what the graph alone says about them. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/internal.h"

/* to [outer][inner] from [inner][outer], m of them: weights in the order of stored activations */
static void reorder(float *to, const float *from, size_t m, size_t inner, size_t outer)
{
    for (size_t i = 0; i < m; i++, from += inner * outer)
        for (size_t o = 0; o < outer; o++)
            for (size_t j = 0; j < inner; j++)
                *to++ = from[j * outer + o];
}

/* Does the tensor lie in a known interval, whatever the picture? */
static bool bounds_of(const struct graph *graph, int tensor, float *low, float *high)
{
    int at = graph_producer(graph, tensor);
    const struct graph_node *node = at < 0 ? NULL : &graph->nodes[at];

    if (node == NULL)
        return false;
    switch (node->op) {
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
    case GRAPH_GLOBAL_AVERAGE:
    case GRAPH_RESHAPE:
    case GRAPH_TRANSPOSE:
    case GRAPH_IDENTITY:
        return bounds_of(graph, node->inputs[0], low, high);
    case GRAPH_CONV:
    case GRAPH_LINEAR:
    case GRAPH_BATCH_NORM:
    case GRAPH_ACTIVATION:
    case GRAPH_ADD:
        break;
    default:
        return false;
    }
    *low = node->activation == GRAPH_CLAMP ? node->low : 0;
    *high = node->activation == GRAPH_CLAMP ? node->high : 1;
    return node->activation == GRAPH_SIGMOID || node->activation == GRAPH_HARD_SIGMOID ||
           (node->activation == GRAPH_CLAMP && isfinite(node->low) && isfinite(node->high));
}

static bool is_input(const struct graph *graph, int tensor)
{
    int at = graph_producer(graph, tensor);
    return at < 0 || (graph->nodes[at].op == GRAPH_TRANSPOSE && graph->nodes[at].inputs[0] == graph->input);
}

static bool is_kept(const struct quant_options *options, const char *tensor)
{
    for (int i = 0; i < options->keep_count; i++)
        if (fnmatch(options->keep[i], tensor, 0) == 0)
            return true;
    return false;
}

static bool site_init(struct site *site, const struct graph *graph, const struct graph_node *node,
                      const struct quant_options *options)
{
    const struct graph_tensor *w = &graph->tensors[node->inputs[1]];
    int bias = graph_input(node, 2), taps = node->window.kernel_h * node->window.kernel_w;
    size_t n = (size_t)w->dims[0], c = (size_t)w->dims[1], k = c * (size_t)taps;

    *site = (struct site){.n = (int)n, .k = (int)k, .low = node->low, .high = node->high,
                          .pair = k > n ? PAIR_SUM : 2 * 127,
                          .masked = node->activation == GRAPH_CLAMP, .counts = {NULL, INFINITY, -INFINITY}};
    site->tensor = strdup(graph->tensors[node->output].name);
    site->w = malloc(n * k * sizeof *site->w);
    site->bias = calloc(n, sizeof *site->bias);
    if (site->tensor == NULL || site->w == NULL || site->bias == NULL)
        return false;
    reorder(site->w, w->data, n, c, (size_t)taps);
    if (bias >= 0)
        memcpy(site->bias, graph->tensors[bias].data, n * sizeof *site->bias);
    site->keep = is_kept(options, site->tensor);
    site->bounded = bounds_of(graph, node->inputs[0], &site->x_low, &site->x_high);
    if (is_input(graph, node->inputs[0]) && options->input_low < options->input_high) {
        site->bounded = true;
        site->x_low = options->input_low;
        site->x_high = options->input_high;
    }
    return true;
}

enum infomask_status sites_find(const struct graph *graph, const struct quant_options *options, struct sites *sites,
                                struct infomask_error *err)
{
    *sites = (struct sites){.list = calloc((size_t)graph->node_count + 1, sizeof *sites->list)};
    if (sites->list == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's layers");
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (!engine_can_int8(graph, node) || graph->tensors[node->output].name == NULL)
            continue;
        if (!site_init(&sites->list[sites->count++], graph, node, options))
            return error_set(err, INFOMASK_MEMORY, "no memory for the network's layers");
    }
    return INFOMASK_OK;
}

static void site_fini(struct site *site)
{
    free(site->tensor);
    free(site->w);
    free(site->bias);
    free(site->counts.bins);
}

void sites_drop(struct sites *sites, int at)
{
    site_fini(&sites->list[at]);
    sites->count--;
    memmove(&sites->list[at], &sites->list[at + 1], (size_t)(sites->count - at) * sizeof *sites->list);
}

void sites_fini(struct sites *sites)
{
    for (int i = 0; i < sites->count; i++)
        site_fini(&sites->list[i]);
    free(sites->list);
    *sites = (struct sites){0};
}
