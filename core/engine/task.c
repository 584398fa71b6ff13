/* What every kind of step asks: where its values and its scratch lie, and into how many chunks its work is cut. */
#include "core/base/denormals.h"
#include "core/engine/internal.h"

#define CHUNK_US 0.4    /* claiming a chunk */
#define LOOP_US 2.0     /* waking the others for a loop */

struct cut cut_make(int total, double unit_us, double chunk_us, int most_chunks)
{
    double best = (unit_us * total + chunk_us) * 3;
    struct cut cut = {total, total, total > 0};

    if (unit_us * total < 2 * LOOP_US)
        return cut;
    for (int chunks = 2; chunks <= most_chunks && chunks <= total; chunks++) {
        int size = (total + chunks - 1) / chunks, count = (total + size - 1) / size;
        double time = LOOP_US;
        for (int threads = 2; threads <= 8; threads *= 2)
            time += ((count + threads - 1) / threads) * (size * unit_us + chunk_us + CHUNK_US);
        if (time < best) {
            best = time;
            cut = (struct cut){total, size, count};
        }
    }
    return cut;
}

/* Of one picture of an item that is several; what is staged for a step is for one. */
static size_t image_bytes(const struct value *v)
{
    return v->shape.rank == 0 ? 0 : v->elements / (size_t)v->shape.d[0] * kernel_type_bytes(v->type);
}

void *task_value(const struct task *task, int tensor, int item)
{
    const struct run *run = task->run;
    const struct value *v = &run->plan->values[tensor];
    size_t image = task->image == 0 ? 0 : (size_t)task->image * image_bytes(v);

    switch (v->region) {
    case REGION_LOCAL:
        return task->lane + v->offset + image;
    case REGION_OUTER:
        return run->outer_shared + run->outer->values[tensor].offset + image;
    case REGION_SHARED:
    case REGION_LINES: /* task_line */
        break;
    }
    return run->shared + v->offset + (size_t)item * v->stride + image;
}

void *task_line(const struct task *task, int tensor, int line)
{
    const struct value *v = &task->run->plan->values[tensor];
    size_t bytes = (size_t)(v->shape.d[1] * v->shape.d[3]) * kernel_type_bytes(v->type);

    if (v->region == REGION_LINES)
        return (char *)task->lines[v->window].data + (size_t)(line - task->lines[v->window].first) * bytes;
    return (char *)task_value(task, tensor, task->item) + (size_t)line * bytes;
}

unsigned char *task_scratch(const struct task *task, int worker)
{
    return task->run->scratch + (size_t)worker * task->run->plan->scratch_bytes + task->step->scratch_at;
}

struct flushed {
    pool_body *body;
    void *context;
};

static void flushed_body(void *context, int chunk, int worker)
{
    const struct flushed *flushed = context;
    uint64_t before = denormals_flush();

    flushed->body(flushed->context, chunk, worker);
    denormals_restore(before);
}

void run_chunks(const struct run *run, int chunks, pool_body *body, void *context)
{
    struct flushed flushed = {body, context};

    pool_for(run->pool, chunks, flushed_body, &flushed);
}
