/* Training for benches and for comparisons with PyTorch (train_torch.py), on pictures of noise.
 *
 *   train_bench speed ARCH H W C BATCH THREADS SECONDS    images a second of the fastest of at least 5 steps, and a
 *                                                         second of processor time of all
 *   train_bench gradients ARCH H W C BATCH FILE           float32: input, labels, logits, loss, then of every layer with
 *                                                         parameters weights, bias and their gradients
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/random.h"
#include "core/infomask.h"
#include "core/train/fit.h"

#define CLASSES 10

static double now(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(struct train_net *net, struct train_shape shape, int *labels)
{
    struct random_stream random = random_stream(1, 2);
    size_t count = (size_t)net->batch * train_elements(shape);

    for (size_t i = 0; i < count; i++)
        net->input[i] = (float)random_normal(&random);
    for (int i = 0; i < net->batch; i++)
        labels[i] = (int)random_below(&random, CLASSES);
}

static double pass(struct train_net *net, const int *labels, uint64_t step)
{
    struct train_loss loss = {0};
    struct train_pass p = {net, net->batch, true, step};
    const struct train_answers answers = {train_forward(&p), labels, net->batch, CLASSES};
    double value = train_loss(&loss, &answers, train_logit_gradient(net), NULL, NULL);

    train_backward(&p);
    return value;
}

/* The second figure counts the processor's time of all threads: on a busy machine it is the one to compare. */
static void speed(struct train_net *net, const int *labels, double seconds)
{
    const struct train_rule rule = {.optimiser = TRAIN_SGD, .rate = 1e-4, .momentum = 0.9};
    double start = now(CLOCK_MONOTONIC), best = 1e9, used = now(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t step = 0;

    while (step < 5 || now(CLOCK_MONOTONIC) - start < seconds) {
        double wall = now(CLOCK_MONOTONIC);
        (void)pass(net, labels, step);
        train_update(net, &rule, step++, 1000000);
        wall = now(CLOCK_MONOTONIC) - wall;
        best = wall < best ? wall : best;
    }
    used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
    (void)printf("%.1f %.1f\n", net->batch / best, net->batch * (double)step / used);
}

struct timed {
    struct train_net *net;
    const int *labels;
    double seconds;
};

/* On a worker, as infomask_train does */
static void run_timed(void *context)
{
    const struct timed *timed = context;
    speed(timed->net, timed->labels, timed->seconds);
}

static int gradients(struct train_net *net, struct train_shape shape, const int *labels, const char *path)
{
    FILE *file = fopen(path, "wb");
    bool fine = file != NULL;
    float loss = (float)pass(net, labels, 0);
    const float *logits = net->layers[net->layer_count - 1].y;
    size_t count = (size_t)net->batch * train_elements(shape), rows = (size_t)net->batch;

    fine = fine && fwrite(net->input, sizeof(float), count, file) == count;
    for (size_t i = 0; i < rows && fine; i++) {
        float label = (float)labels[i];
        fine = fwrite(&label, sizeof label, 1, file) == 1;
    }
    fine = fine && fwrite(logits, sizeof(float), rows * CLASSES, file) == rows * CLASSES;
    fine = fine && fwrite(&loss, sizeof loss, 1, file) == 1;
    for (int i = 0; i < net->layer_count && fine; i++) {
        const struct train_param *params[] = {&net->layers[i].weights, &net->layers[i].bias};
        for (int j = 0; j < 2; j++)
            fine = fine && fwrite(params[j]->value, sizeof(float), params[j]->count, file) == params[j]->count &&
                   fwrite(params[j]->gradient, sizeof(float), params[j]->count, file) == params[j]->count;
    }
    return (file == NULL || fclose(file) == 0) && fine ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct infomask_error err = {.text = "usage"};
    struct train_net *net = NULL;
    struct pool *pool = NULL;
    int batch, threads = 1, status = 1, *labels;
    struct train_shape shape;

    if (argc < 8) {
        (void)fprintf(stderr, "see the head of this file\n");
        return 2;
    }
    shape = (struct train_shape){(int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10), (int)strtol(argv[5], NULL, 10)};
    batch = (int)strtol(argv[6], NULL, 10);
    threads = argc > 8 ? (int)strtol(argv[7], NULL, 10) : 1;
    labels = malloc((size_t)batch * sizeof *labels);
    if (labels != NULL && pool_create(&pool, threads, infomask_worker_start, NULL, &err) == INFOMASK_OK &&
        train_net_create(&net, &(struct train_plan){argv[2], shape, CLASSES, batch, 1, kernels_best(), pool}, &err) == INFOMASK_OK) {
        fill(net, shape, labels);
        status = 0;
        if (argc > 8)
            pool_run(pool, run_timed, &(struct timed){net, labels, strtod(argv[8], NULL)});
        else
            status = gradients(net, shape, labels, argv[7]);
    } else {
        (void)fprintf(stderr, "%s\n", err.text);
    }
    train_net_free(net);
    pool_free(pool);
    free(labels);
    return status;
}
