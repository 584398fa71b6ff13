/* The network part: a small network of two hidden layers.
 *
 * Its rate stays constant and every epoch leaves the running mean of its weights as a state: that is as quiet as a rate
 * that falls to nothing, and the number of epochs can be chosen afterwards.  The last layer starts at the log prior, so
 * the first state says nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/train/fit.h"
#include "core/train/table/table.h"

#define HIDDEN 64
#define SPEC "linear:64,relu,linear:64,relu"
#define PATIENCE 6 /* epochs without a gain on both folds that end a path */
#define MOST_FLOATS 100000000 /* of the states of all pairs of folds */
#define LEAST_STATES 8        /* fewer are no path */

/* Where the parameters of the three layers lie in a state: weights [out][in], then biases [out], layer after layer. */
struct shape {
    int in[3], out[3];
};

static struct shape shape_of(const struct table_data *data, const struct table_matrix *matrix)
{
    return (struct shape){{(int)matrix->width, HIDDEN, HIDDEN}, {HIDDEN, HIDDEN, data->classes}};
}

static size_t layer_size(const struct shape *shape, int l)
{
    return (size_t)shape->out[l] * ((size_t)shape->in[l] + 1);
}

static size_t state_size(const struct shape *shape)
{
    return layer_size(shape, 0) + layer_size(shape, 1) + layer_size(shape, 2);
}

/* The states of a path that there is room for. */
static size_t states_for(const struct table_data *data, const struct table_matrix *matrix)
{
    struct shape shape = shape_of(data, matrix);
    size_t pairs = (size_t)(data->folds * (data->folds - 1) / 2);

    return MOST_FLOATS / pairs / state_size(&shape);
}

bool table_network_fits_in(const struct table_data *data, const struct table_matrix *matrix)
{
    return states_for(data, matrix) >= LEAST_STATES;
}

static void forward_layer(const struct table_data *data, const struct shape *shape, int l, const float *weights,
                          const float *x, size_t rows, float *y)
{
    int in = shape->in[l], out = shape->out[l];
    const float *bias = weights + (size_t)in * (size_t)out;

    for (size_t i = 0; i < rows; i++)
        memcpy(y + i * (size_t)out, bias, (size_t)out * sizeof *y);
    data->kernels->sgemm(false, true, (int)rows, out, in, 1, x, in, weights, in, 1, y, out);
    for (size_t i = 0; l < 2 && i < rows * (size_t)out; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
}

void table_network_logits(const struct table_data *data, const struct table_matrix *matrix,
                          const struct table_path *path, int step, const float *x, size_t rows, float *logits)
{
    enum { STRIP = 64 };
    struct shape shape = shape_of(data, matrix);
    const float *state = path->states + path->size * (size_t)step, *second = state + layer_size(&shape, 0),
                *third = second + layer_size(&shape, 1);
    float a[STRIP * HIDDEN], b[STRIP * HIDDEN];

    for (size_t i = 0; i < rows; i += STRIP) {
        size_t count = rows - i < STRIP ? rows - i : STRIP;
        forward_layer(data, &shape, 0, state, x + i * matrix->width, count, a);
        forward_layer(data, &shape, 1, second, a, count, b);
        forward_layer(data, &shape, 2, third, b, count, logits + i * (size_t)data->classes);
    }
}

/* ---- Training ---------------------------------------------------------------------------------------------------- */

struct training {
    const struct table_fit *fit;
    struct train_net *net;
    struct train_rule rule;
    uint32_t *rows; /* [count] training rows */
    int *order, *labels;
    int count, batch;
    uint64_t step;
    float *mean; /* [size] running mean of the parameters */
};

static void set_schedule(struct training *t, int *epochs)
{
    static const struct {
        int rows, batch, epochs;
    } schedule[] = {{1500, 32, 60}, {5000, 64, 60}, {20000, 128, 50}, {100000, 256, 40}, {INT32_MAX, 1024, 30}};
    int i = 0;

    while (t->count > schedule[i].rows)
        i++;
    t->batch = schedule[i].batch;
    *epochs = schedule[i].epochs;
    t->rule = (struct train_rule){.optimiser = TRAIN_ADAMW, .schedule = TRAIN_CONSTANT, .rate = 2e-3, .beta1 = 0.9,
                                  .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.02};
}

/* The last layer gives the log prior of the training rows, whatever its input. */
static void start_at_prior(struct training *t)
{
    struct train_layer *last = &t->net->layers[t->net->layer_count - 1];
    const struct table_data *data = t->fit->data;
    float sum = 0;

    memset(last->weights.value, 0, last->weights.count * sizeof(float));
    for (int y = 0; y < data->classes; y++)
        last->bias.value[y] = 0.5f;
    for (int i = 0; i < t->count; i++)
        last->bias.value[data->labels[t->rows[i]]] += data->weights != NULL ? data->weights[t->rows[i]] : 1;
    for (int y = 0; y < data->classes; y++)
        sum += last->bias.value[y];
    for (int y = 0; y < data->classes; y++)
        last->bias.value[y] = logf(last->bias.value[y] / sum);
}

/* mean += share (parameters - mean) */
static void average(struct training *t, float share)
{
    float *mean = t->mean;

    for (int l = 0; l < t->net->layer_count; l++) {
        const struct train_param *params[] = {&t->net->layers[l].weights, &t->net->layers[l].bias};
        for (int p = 0; p < 2; p++) {
            for (size_t i = 0; i < params[p]->count; i++)
                mean[i] += share * (params[p]->value[i] - mean[i]);
            mean += params[p]->count;
        }
    }
}

static void weigh(const struct training *t, int first, int count, float *gradient)
{
    size_t k = (size_t)t->fit->data->classes;

    for (size_t i = 0; i < (size_t)count; i++)
        for (size_t y = 0; y < k; y++)
            gradient[i * k + y] *= t->fit->data->weights[t->rows[t->order[(size_t)first + i]]];
}

static void run_batch(struct training *t, int first, int count)
{
    const struct train_loss loss = {0};
    const struct table_matrix *matrix = t->fit->matrix;
    struct train_pass pass = {t->net, count, true, t->step};
    struct train_answers answers = {.labels = t->labels, .n = count, .classes = t->fit->data->classes};

    for (int i = 0; i < count; i++) {
        uint32_t row = t->rows[t->order[first + i]];
        memcpy(t->net->input + (size_t)i * matrix->width, table_rows(t->fit->data, matrix, row, 1, NULL),
               matrix->width * sizeof(float));
        t->labels[i] = t->fit->data->labels[row];
    }
    answers.logits = train_forward(&pass);
    (void)train_loss(&loss, &answers, train_logit_gradient(t->net), NULL, NULL);
    if (t->fit->data->weights != NULL)
        weigh(t, first, count, train_logit_gradient(t->net));
    train_backward(&pass);
    train_update(t->net, &t->rule, t->step++, 0);
}

static void run_epoch(struct training *t, int epoch)
{
    double span = fmax((double)t->count / t->batch, 30); /* steps that the mean looks back */

    train_shuffle(t->count, t->fit->data->seed ^ t->fit->stream, (uint64_t)epoch, t->order);
    for (int first = 0; first + t->batch <= t->count || first == 0; first += t->batch) {
        run_batch(t, first, t->count - first < t->batch ? t->count - first : t->batch);
        average(t, (float)fmax(1 / span, 1.0 / (double)(t->step + 1)));
    }
}

static const struct table_part network = {"network", table_network_fit, table_network_logits};

static enum infomask_status follow_path(struct training *t, int epochs, struct table_path *path,
                                        struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    average(t, 1);
    for (int epoch = 0; status == INFOMASK_OK && epoch <= epochs && !(path->peaked[0] && path->peaked[1]); epoch++) {
        float *state = table_path_grow(path);
        if (state == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the network");
        if (epoch > 0)
            run_epoch(t, epoch);
        memcpy(state, t->mean, path->size * sizeof *state);
        status = table_judge(t->fit, &network, path, PATIENCE, err);
    }
    return status;
}

static void list_rows(struct training *t)
{
    const struct table_data *data = t->fit->data;

    for (int f = 0; f < data->folds; f++)
        for (size_t i = data->start[f]; f != t->fit->fold[0] && f != t->fit->fold[1] && i < table_learnt_end(data, f);
             i++)
            t->rows[t->count++] = (uint32_t)i;
}

enum infomask_status table_network_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    const struct table_data *data = fit->data;
    struct shape shape = shape_of(data, fit->matrix);
    struct training t = {.fit = fit,
                         .rows = malloc(data->n * sizeof *t.rows),
                         .order = malloc(data->n * sizeof *t.order),
                         .labels = malloc(4096 * sizeof *t.labels)};
    enum infomask_status status = INFOMASK_OK;
    int epochs = 0;

    path->size = state_size(&shape);
    t.mean = calloc(path->size, sizeof *t.mean);
    if (t.rows == NULL || t.order == NULL || t.labels == NULL || t.mean == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the network");
    if (status == INFOMASK_OK) {
        size_t room = states_for(data, fit->matrix);
        list_rows(&t);
        set_schedule(&t, &epochs);
        epochs = (size_t)epochs < room ? epochs : (int)room - 1;
        status = train_net_create(&t.net,
                                  &(struct train_plan){.items = SPEC, .input = {1, 1, (int)fit->matrix->width},
                                                       .classes = data->classes, .batch = t.batch,
                                                       .seed = data->seed + fit->stream, .kernels = data->kernels},
                                  err);
    }
    if (status == INFOMASK_OK) {
        start_at_prior(&t);
        status = follow_path(&t, epochs, path, err);
    }
    train_net_free(t.net);
    free(t.rows);
    free(t.order);
    free(t.labels);
    free(t.mean);
    return status;
}
