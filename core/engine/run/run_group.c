/* A group of steps, some lines of output at a time. */
#include <string.h>

#include "core/engine/internal.h"

/* A worker keeps the expanded lines of its last chunk: where the next one continues it, they are not made again. */
struct group_run {
    const struct task *task;
    struct lines expanded[POOL_MAX_THREADS];
};

static void *window_of(const struct task *task, const struct step *step, int worker)
{
    return task->run->scratch + (size_t)worker * task->run->plan->scratch_bytes + step->window_at;
}

/* Lines of the expansion that the depthwise convolution reads for lines [first, last) of its output. */
static void lines_needed(const struct task *task, int first, int last, int *from, int *end)
{
    const struct step *s = task->step + 1;
    const struct graph_window *w = &task->run->model->graph->nodes[s->node].window;

    *from = first * w->stride_h - s->pad_top;
    *end = *from + lines_under(w, last - first);
    *from = *from < 0 ? 0 : *from > s->h ? s->h : *from;
    *end = *end > s->h ? s->h : *end < *from ? *from : *end;
}

/* Moves what is there already to the front of the window and makes the rest. */
static void expand(struct task task, struct lines *lines, int first, int last, int worker)
{
    size_t bytes = (size_t)task.step->out_w * (size_t)task.step->out_c *
                   kernel_type_bytes(task.run->plan->values[task.step->y].type);
    int from, end, kept;

    lines_needed(&task, first, last, &from, &end);
    kept = from >= lines->first && from < lines->end ? lines->end - from : 0;
    lines->data = window_of(&task, task.step, worker);
    memmove(lines->data, (char *)lines->data + (size_t)(kept > 0 ? from - lines->first : 0) * bytes,
            (size_t)kept * bytes);
    lines->first = from;
    lines->end = end;
    task.lines = lines;
    if (from + kept < end)
        step_lines(&task, from + kept, end, worker);
}

static void group_lines(const struct task *leader, struct lines *expanded, int first, int last, int worker)
{
    struct lines lines[2];
    struct task task = *leader;
    int members = leader->step->members;

    expand(*leader, expanded, first, last, worker);
    lines[0] = *expanded;
    lines[1] = (struct lines){members > 2 ? window_of(leader, leader->step + 1, worker) : NULL, first, last};
    task.lines = lines;
    for (int i = 1; i < members; i++) {
        task.step = leader->step + i;
        step_lines(&task, first, last, worker);
    }
}

static void group_chunk(void *context, int chunk, int worker)
{
    struct group_run *group = context;
    const struct step *s = group->task->step;
    int first, last;

    cut_range(&s->cut, chunk, &first, &last);
    for (int line = first; line < last; line += s->group_lines)
        group_lines(group->task, &group->expanded[worker], line,
                    last - line < s->group_lines ? last : line + s->group_lines, worker);
}

void run_group(const struct task *task)
{
    struct group_run group = {.task = task};

    run_chunks(task->run, task->step->cut.chunks, group_chunk, &group);
}
