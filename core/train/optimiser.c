#include <math.h>

#include "core/base/cpu.h"
#include "core/train/fit.h"

double train_rate(const struct train_rule *rule, uint64_t step, uint64_t steps)
{
    double at = steps > 1 ? (double)step / (double)(steps - 1) : 1, warm = 0.3;

    switch (rule->schedule) {
    case TRAIN_COSINE:
        return rule->rate * 0.5 * (1 + cos(M_PI * at));
    case TRAIN_ONE_CYCLE:
        if (at < warm)
            return rule->rate * (0.04 + 0.96 * at / warm);
        return rule->rate * 0.5 * (1 + cos(M_PI * (at - warm) / (1 - warm)));
    case TRAIN_CONSTANT:
        break;
    }
    return rule->rate;
}

/* v = m v + g; w -= rate (g + m v) (Nesterov), and w shrinks by rate * decay */
CPU_CLONES
static void sgd(const struct train_param *param, size_t first, size_t end, const struct train_rule *rule, float rate)
{
    float momentum = (float)rule->momentum, shrink = param->decay ? 1 - rate * (float)rule->weight_decay : 1;
    float *w = param->value, *v = param->moment1;

    for (size_t i = first; i < end; i++) {
        float g = param->gradient[i];
        v[i] = momentum * v[i] + g;
        w[i] = shrink * w[i] - rate * (g + momentum * v[i]);
    }
}

CPU_CLONES
static void adamw(const struct train_param *param, size_t first, size_t end, const struct train_rule *rule, float rate,
                  uint64_t step)
{
    float b1 = (float)rule->beta1, b2 = (float)rule->beta2, epsilon = (float)rule->epsilon;
    float shrink = param->decay ? 1 - rate * (float)rule->weight_decay : 1;
    float unbias1 = (float)(1 / (1 - pow(rule->beta1, (double)step + 1)));
    float unbias2 = (float)(1 / (1 - pow(rule->beta2, (double)step + 1)));
    float *w = param->value, *m = param->moment1, *v = param->moment2;

    for (size_t i = first; i < end; i++) {
        float g = param->gradient[i];
        m[i] = b1 * m[i] + (1 - b1) * g;
        v[i] = b2 * v[i] + (1 - b2) * g * g;
        w[i] = shrink * w[i] - rate * m[i] * unbias1 / (sqrtf(v[i] * unbias2) + epsilon);
    }
}

struct update {
    struct train_net *net;
    const struct train_rule *rule;
    float rate;
    uint64_t step;
};

/* The chunk's share of every parameter. */
static void update_chunk(void *context, int chunk, int worker)
{
    const struct update *update = context;

    (void)worker;
    for (int i = 0; i < update->net->layer_count; i++) {
        const struct train_param *params[] = {&update->net->layers[i].weights, &update->net->layers[i].bias};
        for (int j = 0; j < 2; j++) {
            size_t first = params[j]->count * (size_t)chunk / TRAIN_CHUNKS;
            size_t end = params[j]->count * ((size_t)chunk + 1) / TRAIN_CHUNKS;
            if (update->rule->optimiser == TRAIN_SGD)
                sgd(params[j], first, end, update->rule, update->rate);
            else
                adamw(params[j], first, end, update->rule, update->rate, update->step);
        }
    }
}

void train_update(struct train_net *net, const struct train_rule *rule, uint64_t step, uint64_t steps)
{
    struct update update = {net, rule, (float)train_rate(rule, step, steps), step};

    pool_for(net->pool, TRAIN_CHUNKS, update_chunk, &update);
}
