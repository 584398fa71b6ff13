/* Noise at inference.  The noise of an element is a function of (seed, sample, node, element): block `element` of the
 * Philox stream (node, sample), so that any thread may make any of it. */
#include <string.h>

#include "core/base/random.h"
#include "core/engine/internal.h"

static float dropout(struct random_stream *stream, float x, float ratio)
{
    /* inverted dropout: what stays is scaled, so that the mean does */
    return random_unit(stream) < (double)ratio ? 0 : x / (1 - ratio);
}

void run_noise(const struct task *task)
{
    const struct run *run = task->run;
    const struct graph_node *node = &run->model->graph->nodes[task->step->node];
    const struct value *v = &run->plan->values[task->step->y];
    const float *x = task_value(task, task->step->x, task->item);
    float *y = task_value(task, task->step->y, task->item);
    uint64_t sample = (uint64_t)(run->first_sample + task->item);
    bool drops = node->op == GRAPH_DROPOUT;

    if ((drops && !(node->ratio > 0)) || (!drops && !(node->sigma > 0))) {
        memcpy(y, x, v->elements * sizeof *y);
        return;
    }
    for (size_t i = 0; i < v->elements; i++) {
        struct random_stream stream = random_stream(run->seed, (uint64_t)task->step->node << 32 | sample);
        stream.index = i;
        y[i] = drops ? dropout(&stream, x[i], node->ratio) : x[i] + node->sigma * (float)random_normal(&stream);
    }
}
