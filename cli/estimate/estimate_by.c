/* infomask estimate --by: the information within subgroups of the samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/estimate/estimate.h"

#define MOST_SUBGROUPS 1000

struct member {
    uint32_t subgroup;
    struct infomask_point point;
};

struct gathering {
    struct estimate_run *run;
    const uint32_t *by; /* of a table */
    struct member *members;
    size_t count, room;
    bool no_memory, too_many;
};

static bool add_subgroup(struct gathering *g, const char *name, size_t length)
{
    struct estimate_run *run = g->run;
    struct estimate_subgroup *more = reallocarray(run->subgroups, run->subgroup_count + 1, sizeof *more);

    if (more == NULL)
        return false;
    run->subgroups = more;
    more[run->subgroup_count] = (struct estimate_subgroup){strndup(name, length), 0, NAN, NAN, NAN, NAN};
    return more[run->subgroup_count++].name != NULL;
}

/* The folder between the class's and the photo, "" if there is none. */
static uint32_t subgroup_of_photo(struct gathering *g, const char *sample)
{
    const char *from = sample, *end = strrchr(sample, '/');
    size_t length;

    if (g->run->options->images != NULL && strchr(sample, '/') != NULL)
        from = strchr(sample, '/') + 1;
    length = end != NULL && end > from ? (size_t)(end - from) : 0;
    for (size_t s = 0; s < g->run->subgroup_count; s++)
        if (strlen(g->run->subgroups[s].name) == length && strncmp(g->run->subgroups[s].name, from, length) == 0)
            return (uint32_t)s;
    g->too_many = g->run->subgroup_count == MOST_SUBGROUPS;
    g->no_memory = !g->too_many && !add_subgroup(g, from, length);
    return (uint32_t)g->run->subgroup_count - 1;
}

static bool gather(void *context, const struct estimate_row *row)
{
    struct gathering *g = context;
    struct member *members = g->members;
    uint32_t subgroup = g->by != NULL ? g->by[strtoull(row->sample, NULL, 10)] : subgroup_of_photo(g, row->sample);

    if (g->count == g->room) {
        g->room = g->room > 0 ? 2 * g->room : 1024;
        members = reallocarray(members, g->room, sizeof *members);
    }
    g->no_memory = g->no_memory || members == NULL;
    if (g->no_memory || g->too_many)
        return false;
    g->members = members;
    members[g->count++] = (struct member){subgroup, {row->unit != 0 ? row->unit : row->order, row->log_q, row->label,
                                                     row->predicted, 0}};
    return true;
}

/* H(labels) less the mean of -log q(label), and its limit. */
static enum infomask_status measure(struct estimate_subgroup *s, struct infomask_point *points, size_t n,
                                    size_t classes, struct infomask_error *err)
{
    double *count = calloc(classes, sizeof *count);
    struct infomask_limits_of_estimate limits;
    enum infomask_status status;

    if (count == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the subgroups");
    s->samples = n;
    s->label_entropy = s->estimate = 0;
    for (size_t i = 0; i < n; i++) {
        count[points[i].label]++;
        s->estimate += points[i].log_q / (double)n;
    }
    for (size_t y = 0; y < classes; y++)
        s->label_entropy -= count[y] > 0 ? count[y] / (double)n * log(count[y] / (double)n) : 0;
    s->estimate += s->label_entropy;
    free(count);
    status = infomask_estimate_limits(points, n, classes, 0.975, &limits, err);
    s->standard_error = limits.standard_error;
    s->lower_limit = limits.betting;
    return status;
}

static enum infomask_status measure_all(struct gathering *g, struct infomask_error *err)
{
    struct infomask_point *points = malloc((g->count + 1) * sizeof *points);
    enum infomask_status status = INFOMASK_OK;

    if (points == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the subgroups");
    for (uint32_t s = 0; status == INFOMASK_OK && s < g->run->subgroup_count; s++) {
        size_t n = 0;
        for (size_t i = 0; i < g->count; i++)
            if (g->members[i].subgroup == s)
                points[n++] = g->members[i].point;
        if (n > 0)
            status = measure(&g->run->subgroups[s], points, n, g->run->state.info.spec.classes, err);
    }
    free(points);
    return status;
}

enum infomask_status estimate_by(struct estimate_run *run, const uint32_t *by, const char *names, size_t count,
                                 struct infomask_error *err)
{
    struct gathering g = {.run = run, .by = by};
    enum infomask_status status = INFOMASK_OK;

    for (const char *name = names; by != NULL && run->subgroup_count < count; name += strcspn(name, "\n") + 1)
        if (!add_subgroup(&g, name, strcspn(name, "\n")))
            return error_set(err, INFOMASK_MEMORY, "no memory for the subgroups");
    status = estimate_run_rows(run, gather, &g, err);
    if (status == INFOMASK_OK && g.too_many)
        status = error_set(err, INFOMASK_ARGUMENT, "--by folder: more than %d folders", MOST_SUBGROUPS);
    if (status == INFOMASK_OK && g.no_memory)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the subgroups");
    if (status == INFOMASK_OK)
        status = measure_all(&g, err);
    free(g.members);
    return status;
}
