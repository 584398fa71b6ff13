/* The training loop: batches in an order that the seed gives, an update each, and after every epoch the information
 * on training and held-out data (information = H(labels) - cross-entropy, a lower bound on I(X;Y) when held out). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/info/info.h"
#include "core/infomask_train.h"
#include "core/train/fit.h"

struct loop {
    const struct infomask_train_options *options;
    const struct infomask_train_watch *watch;
    struct train_data train, held_out;
    struct train_net *net;
    struct train_rule rule;
    struct train_augment augment;
    bool augmented;
    double *log_prior; /* [classes] of the training labels */
    int *order, *labels;
    double *row; /* [classes] scratch of the evaluation */
    struct train_progress done;
};

struct infomask_train_options infomask_default_train_options(void)
{
    return (struct infomask_train_options){
        .std = 255, .epochs = 10, .batch = 128, .schedule = "cosine", .momentum = -1, .weight_decay = -1};
}

void infomask_trained_fini(struct infomask_trained *trained)
{
    free(trained->prior);
    free(trained->held_out);
    free(trained->held_out_labels);
    *trained = (struct infomask_trained){0};
}

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static enum infomask_status read_rule(const struct infomask_train_options *o, struct train_rule *rule,
                                      struct infomask_error *err)
{
    static const char *const names[] = {
        [TRAIN_CONSTANT] = "constant", [TRAIN_COSINE] = "cosine", [TRAIN_ONE_CYCLE] = "one-cycle"};
    int schedule = -1;

    for (int i = 0; i < 3; i++)
        if (strcmp(o->schedule, names[i]) == 0)
            schedule = i;
    if (schedule < 0)
        return error_set(err, INFOMASK_ARGUMENT, "schedule \"%.40s\" is none of constant, cosine, one-cycle",
                         o->schedule);
    *rule = (struct train_rule){.optimiser = o->sgd ? TRAIN_SGD : TRAIN_ADAMW,
                                .schedule = (enum train_schedule)schedule,
                                .rate = o->rate > 0 ? o->rate : o->sgd ? 0.1 : 0.002,
                                .momentum = o->momentum >= 0 ? o->momentum : 0.9,
                                .beta1 = 0.9,
                                .beta2 = 0.99,
                                .epsilon = 1e-8,
                                .weight_decay = o->weight_decay >= 0 ? o->weight_decay : o->sgd ? 5e-4 : 0.01};
    return INFOMASK_OK;
}

static enum infomask_status check_options(const struct infomask_train_options *o, struct infomask_error *err)
{
    if (o->epochs < 1 || o->epochs > 10000)
        return error_set(err, INFOMASK_ARGUMENT, "epochs must be 1 to 10000, not %d", o->epochs);
    if (!(o->std > 0) || !isfinite(o->std) || !isfinite(o->mean))
        return error_set(err, INFOMASK_ARGUMENT, "mean and std must be finite, and std positive");
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1))
        return error_set(err, INFOMASK_ARGUMENT, "label_smoothing must be at least 0 and below 1");
    return INFOMASK_OK;
}

/* A permutation of the labels: nothing is left to learn, and nothing may be reported as learnt. */
static void shuffle_labels(struct train_data *data, uint64_t seed, int *order)
{
    int swap;

    train_shuffle(data->count, seed, UINT64_C(0xffffffff), order);
    for (int i = 0; i < data->count; i++) {
        swap = data->labels[i];
        data->labels[i] = data->labels[order[i]];
        data->labels[order[i]] = swap;
    }
}

static enum infomask_status read_data(struct loop *loop, struct infomask_error *err)
{
    const struct infomask_train_options *o = loop->options;
    enum infomask_status status = train_data_of(o->train, &loop->train, err);

    if (status == INFOMASK_OK)
        status = train_data_of(o->held_out, &loop->held_out, err);
    if (status != INFOMASK_OK)
        return status;
    if (memcmp(&loop->train.shape, &loop->held_out.shape, sizeof loop->train.shape) != 0)
        return error_set(err, INFOMASK_BAD_DATA, "training and held-out pictures differ in size");
    if (loop->held_out.classes > loop->train.classes)
        return error_set(err, INFOMASK_BAD_DATA, "the held-out data has class %d, the training data only 0 to %d",
                         loop->held_out.classes - 1, loop->train.classes - 1);
    return INFOMASK_OK;
}

/* Frequencies of the training labels, half a sample added to each class so that none is 0. */
static void set_prior(struct loop *loop)
{
    int k = loop->train.classes;

    for (int i = 0; i < k; i++)
        loop->log_prior[i] = 0.5;
    for (int i = 0; i < loop->train.count; i++)
        loop->log_prior[loop->train.labels[i]] += 1;
    for (int i = 0; i < k; i++)
        loop->log_prior[i] = log(loop->log_prior[i] / (loop->train.count + 0.5 * k));
}

static void digest(const struct infomask_pictures *pictures, char hex[SHA256_HEX])
{
    size_t bytes = (size_t)pictures->count * (size_t)pictures->height * (size_t)pictures->width *
                   (size_t)pictures->channels;
    char both[2][SHA256_HEX];

    sha256_bytes(pictures->pixels, bytes, both[0]);
    sha256_bytes(pictures->labels, (size_t)pictures->count * sizeof *pictures->labels, both[1]);
    sha256_bytes(both, sizeof both, hex);
}

/* Everything that the bits of the run depend on. */
static enum infomask_status name_run(struct loop *loop, const char *kernels, struct infomask_error *err)
{
    const struct infomask_train_options *o = loop->options;
    const struct train_rule *r = &loop->rule;
    char data[2][SHA256_HEX], *text;
    int length;

    digest(o->train, data[0]);
    digest(o->held_out, data[1]);
    length = asprintf(&text, "%s %d %d %d %d %a %a %a %a %d %a %d %a %a %d %d %llu %a %a %s %s %s", o->arch, o->epochs,
                      o->batch, (int)r->optimiser, (int)r->schedule, r->rate, r->momentum, r->weight_decay,
                      o->label_smoothing, o->pc_softmax, o->augment_rotate, o->augment_shift, o->augment_scale,
                      r->epsilon, o->augment_flip, o->shuffle_labels, (unsigned long long)o->seed, (double)o->mean,
                      (double)o->std, kernels, data[0], data[1]);
    if (length < 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the training loop");
    sha256_bytes(text, (size_t)length, loop->done.run);
    free(text);
    return INFOMASK_OK;
}

static enum infomask_status set_up(struct loop *loop, struct pool *pool, struct infomask_error *err)
{
    const struct infomask_train_options *o = loop->options;
    const struct kernel_table *kernels = kernels_best();
    enum infomask_status status = check_options(o, err);

    if (status == INFOMASK_OK && o->isa != NULL)
        status = kernels_named(o->isa, &kernels, err);
    if (status == INFOMASK_OK)
        status = read_rule(o, &loop->rule, err);
    if (status == INFOMASK_OK)
        status = read_data(loop, err);
    if (status != INFOMASK_OK)
        return status;
    loop->augment = (struct train_augment){o->augment_shift, o->augment_rotate, o->augment_scale, o->augment_flip};
    loop->augmented = o->augment_shift > 0 || o->augment_rotate > 0 || o->augment_scale > 0 || o->augment_flip;
    loop->order = malloc((size_t)(loop->train.count + loop->held_out.count) * sizeof(int));
    loop->labels = malloc((size_t)o->batch * sizeof(int));
    loop->log_prior = malloc((size_t)loop->train.classes * sizeof(double));
    loop->row = malloc((size_t)loop->train.classes * sizeof(double));
    loop->done.history = calloc((size_t)o->epochs, sizeof *loop->done.history);
    if (loop->order == NULL || loop->labels == NULL || loop->log_prior == NULL || loop->row == NULL ||
        loop->done.history == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the training loop");
    status = name_run(loop, kernels->name, err);
    if (status != INFOMASK_OK)
        return status;
    if (o->shuffle_labels) {
        shuffle_labels(&loop->train, o->seed, loop->order);
        shuffle_labels(&loop->held_out, o->seed + 1, loop->order);
    }
    set_prior(loop);
    return train_net_create(&loop->net,
                            &(struct train_plan){.items = o->arch, .input = loop->train.shape,
                                                 .classes = loop->train.classes, .batch = o->batch, .seed = o->seed,
                                                 .kernels = kernels, .pool = pool}, err);
}

static void tear_down(struct loop *loop)
{
    train_net_free(loop->net);
    train_data_free(&loop->train);
    train_data_free(&loop->held_out);
    free(loop->order);
    free(loop->labels);
    free(loop->log_prior);
    free(loop->row);
    free(loop->done.history);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

struct fill {
    struct loop *loop;
    const struct train_data *data;
    const int *order; /* NULL: as the data lies */
    int first, count;
    uint64_t epoch;
    bool augment;
};

static void fill_chunk(void *context, int chunk, int worker)
{
    const struct fill *fill = context;
    struct loop *loop = fill->loop;
    const struct train_draw draw = {.mean = loop->options->mean, .std = loop->options->std,
                                    .augment = fill->augment ? &loop->augment : NULL,
                                    .seed = loop->options->seed, .epoch = fill->epoch};
    size_t item = train_elements(fill->data->shape);
    int first, end;

    (void)worker;
    train_range(fill->count, chunk, &first, &end);
    for (int i = first; i < end; i++) {
        int index = fill->order != NULL ? fill->order[fill->first + i] : fill->first + i;
        train_data_item(fill->data, index, &draw, loop->net->input + (size_t)i * item);
        loop->labels[i] = fill->data->labels[index];
    }
}

/* The items of a batch into the network's input, and their labels. */
static void fill_batch(const struct fill *fill)
{
    pool_for(fill->loop->net->pool, TRAIN_CHUNKS, fill_chunk, (void *)(uintptr_t)fill);
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

struct evaluation {
    double sum, square; /* of log q(y|x) - log f_y */
    double log_q;       /* sum of log q(y|x) */
    int correct, count;
    double entropy;
};

/* log q(y|x) of a row under the training prior, with smoothing undone and the objective's prior inside the logits. */
static void posterior(const struct loop *loop, const float *logits)
{
    size_t k = (size_t)loop->train.classes;
    const double *inside = loop->options->pc_softmax ? NULL : loop->log_prior;

    info_log_posterior(logits, inside, loop->log_prior, k, loop->row);
    info_unsmooth(loop->row, loop->options->label_smoothing, k, loop->row);
}

static void evaluate_rows(const struct loop *loop, const float *logits, int n, const double *log_f,
                          struct evaluation *e)
{
    int k = loop->train.classes;

    for (int i = 0; i < n; i++) {
        int best = 0, label = loop->labels[i];
        double gain;
        posterior(loop, logits + (size_t)i * (size_t)k);
        for (int j = 1; j < k; j++)
            best = loop->row[j] > loop->row[best] ? j : best;
        gain = loop->row[label] - log_f[label];
        e->sum += gain;
        e->square += gain * gain;
        e->log_q += loop->row[label];
        e->correct += best == label;
        e->count++;
    }
}

/* log of the label frequencies of the first `count` items; returns their entropy. */
static double frequencies(const struct train_data *data, int count, int k, double *log_f)
{
    double entropy = 0;

    memset(log_f, 0, (size_t)k * sizeof *log_f);
    for (int i = 0; i < count; i++)
        log_f[data->labels[i]] += 1;
    for (int j = 0; j < k; j++) {
        double f = log_f[j] / count;
        entropy -= f > 0 ? f * log(f) : 0;
        log_f[j] = f > 0 ? log(f) : 0; /* a class that is not there is never asked for */
    }
    return entropy;
}

static enum infomask_status evaluate(struct loop *loop, const struct train_data *data, int count, struct evaluation *e,
                                     struct infomask_error *err)
{
    int k = loop->train.classes, batch = loop->net->batch;
    double *log_f = malloc((size_t)k * sizeof *log_f);

    *e = (struct evaluation){0};
    if (log_f == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the evaluation");
    e->entropy = frequencies(data, count, k, log_f);
    for (int first = 0; first < count; first += batch) {
        struct fill fill = {loop, data, NULL, first, count - first < batch ? count - first : batch, 0, false};
        struct train_pass pass = {loop->net, fill.count, false, 0};
        fill_batch(&fill);
        evaluate_rows(loop, train_forward(&pass), fill.count, log_f, e);
    }
    free(log_f);
    return INFOMASK_OK;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static uint64_t steps_per_epoch(const struct loop *loop)
{
    return (uint64_t)((loop->train.count + loop->net->batch - 1) / loop->net->batch);
}

/* One pass over the training data; returns the mean loss. */
static double run_epoch(struct loop *loop, uint64_t epoch)
{
    const struct infomask_train_options *o = loop->options;
    struct train_loss loss = {o->pc_softmax ? loop->log_prior : NULL, o->label_smoothing};
    uint64_t steps = steps_per_epoch(loop), all = steps * (uint64_t)o->epochs;
    int batch = loop->net->batch;
    double sum = 0;

    train_shuffle(loop->train.count, o->seed, epoch, loop->order);
    for (uint64_t s = 0; s < steps; s++) {
        int first = (int)s * batch, left = loop->train.count - first;
        struct fill fill = {loop,  &loop->train,   loop->order, first, left < batch ? left : batch,
                            epoch, loop->augmented};
        struct train_pass pass = {loop->net, fill.count, true, epoch * steps + s};
        fill_batch(&fill);
        const struct train_answers answers = {train_forward(&pass), loop->labels, fill.count, loop->train.classes};
        sum += train_loss(&loss, &answers, train_logit_gradient(loop->net), NULL, NULL) * fill.count;
        train_backward(&pass);
        train_update(loop->net, &loop->rule, pass.step, all);
        if (loop->watch != NULL && loop->watch->progress != NULL && s % 16 == 0)
            loop->watch->progress(loop->watch->context, (int)epoch + 1, (double)(s + 1) / (double)steps);
    }
    return sum / loop->train.count;
}

static enum infomask_status report_epoch(struct loop *loop, struct infomask_train_epoch *report,
                                         struct infomask_error *err)
{
    int n = loop->held_out.count < loop->train.count ? loop->held_out.count : loop->train.count;
    struct evaluation train, held;
    enum infomask_status status = evaluate(loop, &loop->train, n, &train, err);

    if (status == INFOMASK_OK)
        status = evaluate(loop, &loop->held_out, loop->held_out.count, &held, err);
    if (status != INFOMASK_OK)
        return status;
    report->train_information = train.sum / train.count;
    report->train_accuracy = (double)train.correct / train.count;
    report->held_out_information = held.sum / held.count;
    report->held_out_accuracy = (double)held.correct / held.count;
    report->held_out_loss = -held.log_q / held.count;
    report->label_entropy = held.entropy;
    report->standard_error =
        sqrt(fmax(held.square / held.count - report->held_out_information * report->held_out_information, 0) /
             held.count);
    return INFOMASK_OK;
}

static enum infomask_status check_passes(const struct loop *loop, struct infomask_error *err)
{
    if (loop->net->failed)
        return error_set(err, INFOMASK_MEMORY, "no memory for a layer's packed weights");
    return INFOMASK_OK;
}

/* One epoch, its report and its checkpoint. */
static enum infomask_status do_epoch(struct loop *loop, struct infomask_train_epoch *report, struct infomask_error *err)
{
    const struct infomask_train_options *o = loop->options;
    struct train_progress *done = &loop->done;
    uint64_t steps = steps_per_epoch(loop);
    double start = clock_ms();
    enum infomask_status status;

    *report = (struct infomask_train_epoch){.epoch = (int)done->epoch + 1, .epochs = o->epochs};
    report->loss = run_epoch(loop, done->epoch);
    report->seconds = (clock_ms() - start) / 1000;
    report->images_per_second = loop->train.count / report->seconds;
    report->rate = train_rate(&loop->rule, (done->epoch + 1) * steps - 1, steps * (uint64_t)o->epochs);
    status = report_epoch(loop, report, err);
    if (status == INFOMASK_OK)
        status = check_passes(loop, err);
    if (status == INFOMASK_OK && !isfinite(report->loss))
        status = error_set(err, INFOMASK_BAD_DATA, "the loss is not finite any more: a smaller rate helps");
    if (status != INFOMASK_OK)
        return status;
    done->history[done->epoch++] = *report;
    done->step = done->epoch * steps;
    return o->checkpoint != NULL ? train_checkpoint_write(loop->net, o->checkpoint, done, err) : INFOMASK_OK;
}

static enum infomask_status train_epochs(struct loop *loop, struct infomask_train_epoch *report,
                                         struct infomask_error *err)
{
    const struct infomask_train_options *o = loop->options;
    const struct infomask_train_watch *watch = loop->watch;
    struct train_progress *done = &loop->done;
    enum infomask_status status = INFOMASK_OK;

    if (o->resume && o->checkpoint != NULL) {
        status = train_checkpoint_read(loop->net, o->checkpoint, done, err);
        if (status == INFOMASK_OK && watch != NULL && watch->resumed != NULL)
            watch->resumed(watch->context, done->history, (int)done->epoch);
    }
    while (done->epoch < (uint64_t)o->epochs && status == INFOMASK_OK) {
        status = do_epoch(loop, report, err);
        if (status == INFOMASK_OK && watch != NULL && watch->epoch != NULL && !watch->epoch(watch->context, report))
            status = error_set(err, INFOMASK_CANCELLED, "stopped after epoch %d", report->epoch);
    }
    if (status == INFOMASK_OK)
        *report = done->history[o->epochs - 1];
    return status;
}

static void hold_out(struct loop *loop, float *log_q)
{
    int k = loop->train.classes, batch = loop->net->batch, count = loop->held_out.count;

    for (int first = 0; first < count; first += batch) {
        struct fill fill = {loop, &loop->held_out, NULL, first, count - first < batch ? count - first : batch, 0,
                            false};
        struct train_pass pass = {loop->net, fill.count, false, 0};
        fill_batch(&fill);
        const float *logits = train_forward(&pass);
        for (int i = 0; i < fill.count; i++) {
            posterior(loop, logits + (size_t)i * (size_t)k);
            for (int j = 0; j < k; j++)
                *log_q++ = (float)loop->row[j];
        }
    }
}

/* PC-softmax with smoothing smooths the posterior under the training prior: for the smoothing to be invertible from the
 * logits alone, that prior goes into them. */
static void put_prior_into_logits(struct loop *loop)
{
    struct train_param *bias = &loop->net->layers[loop->net->layer_count - 1].bias;

    for (size_t i = 0; i < bias->count; i++)
        bias->value[i] += (float)loop->log_prior[i];
}

static enum infomask_status hand_out(struct loop *loop, struct infomask_trained *trained, struct infomask_error *err)
{
    size_t k = (size_t)loop->train.classes;
    enum infomask_status status;

    trained->classes = loop->train.classes;
    trained->height = loop->train.shape.h;
    trained->width = loop->train.shape.w;
    trained->channels = loop->train.shape.c;
    trained->parameters = train_net_parameters(loop->net);
    trained->prior = malloc(k * sizeof *trained->prior);
    trained->held_out = malloc((size_t)loop->held_out.count * k * sizeof *trained->held_out);
    trained->held_out_labels = malloc((size_t)loop->held_out.count * sizeof *trained->held_out_labels);
    if (trained->prior == NULL || trained->held_out == NULL || trained->held_out_labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the results");
    for (size_t i = 0; i < k; i++)
        trained->prior[i] = exp(loop->log_prior[i]);
    memcpy(trained->held_out_labels, loop->held_out.labels, (size_t)loop->held_out.count * sizeof(int));
    hold_out(loop, trained->held_out);
    status = check_passes(loop, err);
    if (status != INFOMASK_OK || loop->options->output == NULL)
        return status;
    if (loop->options->pc_softmax && loop->options->label_smoothing > 0)
        put_prior_into_logits(loop);
    return train_export(loop->net, loop->options->output, !loop->options->keep_norms, err);
}

static enum infomask_status train(const struct infomask_train_options *options, struct pool *pool,
                                  const struct infomask_train_watch *watch, struct infomask_trained *trained,
                                  struct infomask_error *err)
{
    struct loop loop = {.options = options, .watch = watch};
    enum infomask_status status = set_up(&loop, pool, err);

    kernels_warm_up(); /* products on one thread each, with a pool or without */
    *trained = (struct infomask_trained){0};
    if (status == INFOMASK_OK)
        status = train_epochs(&loop, &trained->last, err);
    if (status == INFOMASK_OK)
        status = hand_out(&loop, trained, err);
    tear_down(&loop);
    if (status != INFOMASK_OK)
        infomask_trained_fini(trained);
    return status;
}

struct call {
    const struct infomask_train_options *options;
    struct pool *pool;
    const struct infomask_train_watch *watch;
    struct infomask_trained *trained;
    struct infomask_error *err;
    enum infomask_status status;
};

static void run_call(void *context)
{
    struct call *call = context;
    call->status = train(call->options, call->pool, call->watch, call->trained, call->err);
}

/* All of it on a worker: from any other thread each of the many short loops of a step would be handed over anew. */
enum infomask_status infomask_train(const struct infomask_train_options *options, struct pool *pool,
                                    const struct infomask_train_watch *watch, struct infomask_trained *trained,
                                    struct infomask_error *err)
{
    struct call call = {options, pool, watch, trained, err, INFOMASK_OK};

    pool_run(pool, run_call, &call);
    return call.status;
}
