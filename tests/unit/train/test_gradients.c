/* Every layer's backward pass against finite differences of the loss, and the same bits for any thread count. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/train/fit.h"

#define BATCH 6
#define CLASSES 4

static const struct train_shape input = {7, 6, 3};

static struct train_net *net_of(const char *spec, struct pool *pool)
{
    struct train_net *net = NULL;
    struct infomask_error err;

    const struct train_plan plan = {spec, input, CLASSES, BATCH, 5, kernels_get(KERNEL_BLAS), pool};

    if (train_net_create(&net, &plan, &err) != INFOMASK_OK)
        fail_msg("%s: %s", spec, err.text);
    return net;
}

static void fill(struct train_net *net, int labels[BATCH])
{
    struct random_stream random = random_stream(7, 1);

    for (size_t i = 0; i < BATCH * train_elements(input); i++)
        net->input[i] = (float)random_normal(&random);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (int)random_below(&random, CLASSES);
}

/* biases away from 0, so that no unit sits on the edge of a ReLU by construction */
static void stir(struct train_net *net)
{
    struct random_stream random = random_stream(9, 1);

    for (int i = 0; i < net->layer_count; i++)
        for (size_t j = 0; j < net->layers[i].bias.count; j++)
            net->layers[i].bias.value[j] += (float)(0.3 * random_normal(&random));
}

static double loss_of(struct train_net *net, const struct train_loss *loss, const int *labels, bool gradient)
{
    struct train_pass pass = {net, BATCH, true, 5};
    const struct train_answers answers = {train_forward(&pass), labels, BATCH, CLASSES};
    double value = train_loss(loss, &answers, gradient ? train_logit_gradient(net) : NULL, NULL, NULL);
    if (gradient)
        train_backward(&pass);
    return value;
}

/* The derivative along one random direction of a parameter tensor: averages over many elements, so that float32
 * differences are good to about 1e-3. */
static double direction(struct train_param *param, uint64_t stream, float step)
{
    struct random_stream random = random_stream(11, stream);
    double along = 0;

    for (size_t i = 0; i < param->count; i++) {
        float d = random_below(&random, 2) ? 1.0F : -1.0F;
        along += (double)d * (double)param->gradient[i];
        param->value[i] += step * d;
    }
    return along;
}

/* Central difference with step h along the direction of `stream`; the parameters come back as they were. */
static double difference(struct train_net *net, const struct train_loss *loss, const int *labels,
                         struct train_param *param, uint64_t stream, float h)
{
    double plus, minus;

    (void)direction(param, stream, h);
    plus = loss_of(net, loss, labels, false);
    (void)direction(param, stream, -2 * h);
    minus = loss_of(net, loss, labels, false);
    (void)direction(param, stream, h);
    return (plus - minus) / (2.0 * (double)h);
}

/* A unit that crosses its kink spoils the difference at one step, hardly at three; a wrong gradient fails at all.
 * (The slopes of the specs are near 1 for the same reason.) */
static void check_param(struct train_net *net, const struct train_loss *loss, const int *labels,
                        struct train_param *param, const char *what)
{
    static const float steps[] = {1e-3F, 2e-4F, 5e-5F};

    for (uint64_t stream = 0; stream < 6 && param->count > 0; stream++) {
        double analytic = direction(param, stream, 0), numeric = 0;
        bool close = false;
        for (size_t i = 0; i < sizeof steps / sizeof *steps && !close; i++) {
            numeric = difference(net, loss, labels, param, stream, steps[i]);
            close = fabs(numeric - analytic) <= 4e-3 * (fabs(numeric) + fabs(analytic)) + 5e-4;
        }
        if (!close)
            fail_msg("%s: derivative %g, finite difference %g", what, analytic, numeric);
    }
}

static void check_spec(const char *spec, const struct train_loss *loss)
{
    struct train_net *net = net_of(spec, NULL);
    int labels[BATCH];

    fill(net, labels);
    stir(net);
    (void)loss_of(net, loss, labels, true);
    for (int i = 0; i < net->layer_count; i++) {
        check_param(net, loss, labels, &net->layers[i].weights, spec);
        check_param(net, loss, labels, &net->layers[i].bias, spec);
    }
    train_net_free(net);
}

static const char *const specs[] = {
    "linear:5,leaky:0.6",
    "conv3x3:5,leaky:0.6,gap",
    "conv3x3:5/2,bn,leaky:0.6,conv1x1:7,relu6,gap",
    "conv5x3:4p1,leaky:0.6,conv3x3:6/2,leaky:0.6",
    "dw3x3,conv1x1:8,bn,leaky:0.6,dw5x5/2,gap",
    "conv3x3:5,leaky:0.6,max2/2,conv1x1:6,avg3/2p1,gap",
    "conv3x3:8,leaky:0.6,dropout:0.3,conv3x3:6,noise:0.2,leaky:0.6,gap,dropout:0.2",
};

static void gradients_match_differences(void **state)
{
    struct train_loss loss = {NULL, 0};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        check_spec(specs[i], &loss);
}

static void losses_have_their_gradients(void **state)
{
    static const double log_prior[CLASSES] = {-2.302585093, -1.609437912, -1.203972804, -0.916290732};
    struct train_loss pc = {log_prior, 0}, smooth = {NULL, 0.1}, both = {log_prior, 0.2};
    (void)state;
    check_spec("linear:5,leaky:0.6", &pc);
    check_spec("linear:5,leaky:0.6", &smooth);
    check_spec("linear:5,leaky:0.6", &both);
}

/* -log[e^{z_y} / sum_k pi_k e^{z_k}] by its definition */
static void pc_softmax_by_definition(void **state)
{
    static const double log_prior[3] = {-1.609437912434100, -1.203972804325936, -0.693147180559945};
    struct train_loss loss = {log_prior, 0};
    float z[3] = {1, 2, -1};
    int label = 1, correct = 0;
    const struct train_answers answers = {z, &label, 1, 3};
    double log_q, expected = -2 + log(0.2 * exp(1) + 0.3 * exp(2) + 0.5 * exp(-1));
    (void)state;
    assert_true(fabs(train_loss(&loss, &answers, NULL, &correct, &log_q) - expected) < 1e-12);
    assert_true(fabs(log_q - (log_prior[1] - expected)) < 1e-12);
    assert_int_equal(correct, 1);
}

static void same_bits_for_any_thread_count(void **state)
{
    struct train_rule rule = {.optimiser = TRAIN_ADAMW, .schedule = TRAIN_COSINE, .rate = 0.01, .beta1 = 0.9,
                              .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.01};
    struct train_loss loss = {NULL, 0};
    float first[CLASSES] = {0};
    (void)state;
    for (int threads = 0; threads <= 3; threads++) {
        struct pool *pool = NULL;
        int labels[BATCH];
        if (threads > 0)
            assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        struct train_net *net = net_of(specs[6], pool);
        fill(net, labels);
        for (uint64_t step = 0; step < 5; step++) {
            (void)loss_of(net, &loss, labels, true);
            train_update(net, &rule, step, 5);
        }
        struct train_layer *last = &net->layers[net->layer_count - 1];
        if (threads == 0)
            memcpy(first, last->bias.value, sizeof first);
        assert_memory_equal(first, last->bias.value, sizeof first);
        train_net_free(net);
        pool_free(pool);
    }
}

static void bad_specifications_are_refused(void **state)
{
    static const char *const bad[] = {"conv", "conv3x3", "conv3x3:0", "conv9x9:4p0", "relu7", "dropout:1", "max2/0",
                                      "conv3x3:4x", "noise", "linear:0"};
    struct train_net *net;
    struct infomask_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.text[0] = '\0';
        assert_int_equal(train_net_create(&net, &(struct train_plan){bad[i], input, 4, 4, 1, kernels_get(KERNEL_BLAS), NULL},
                                          &err),
                         INFOMASK_ARGUMENT);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

static void rates_follow_their_schedule(void **state)
{
    struct train_rule rule = {.schedule = TRAIN_ONE_CYCLE, .rate = 1};
    (void)state;
    assert_true(fabs(train_rate(&rule, 0, 101) - 0.04) < 1e-12);
    assert_true(fabs(train_rate(&rule, 30, 101) - 1) < 1e-12);
    assert_true(fabs(train_rate(&rule, 100, 101)) < 1e-12);
    rule.schedule = TRAIN_COSINE;
    assert_true(fabs(train_rate(&rule, 50, 101) - 0.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_differences),    cmocka_unit_test(losses_have_their_gradients),
        cmocka_unit_test(pc_softmax_by_definition),       cmocka_unit_test(same_bits_for_any_thread_count),
        cmocka_unit_test(bad_specifications_are_refused), cmocka_unit_test(rates_follow_their_schedule),
    };
    return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}
