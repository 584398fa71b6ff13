/* The identities F1 ... F8 of nets that end in global average pooling and a linear layer (docs/information.md), through
 * mask_information, which gives m_y(u) = l_y(u) - LSE(z) - log pi_y, the information of cell u about class y. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/info/info.h"
#include "core/mask/mask.h"

#define K 6
#define D 11
#define H 5
#define W 7
#define N (H * W)
#define TOLERANCE 1e-9

struct net {
    float w[K * D], b[K], f[N * D];
    double local[N][K];  /* l_y(u) = w_y . f(u) + b_y, in this file's own sums */
    double z[K], log_q[K], log_pi[K], pmi[K];
    double m[K][N];      /* what is tested */
};

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= TOLERANCE))
        fail_msg("%.17g and %.17g differ by %.3g", a, b, fabs(a - b));
}

static void draw(struct net *net, uint64_t seed)
{
    struct random_stream random = random_stream(seed, 1);
    struct mask_head head = {.w = net->w, .b = net->b, .classes = K, .features = D, .scale = 1};

    for (int i = 0; i < K * D; i++)
        net->w[i] = (float)random_normal(&random);
    for (int i = 0; i < N * D; i++)
        net->f[i] = (float)random_normal(&random);
    for (int y = 0; y < K; y++) {
        net->b[y] = (float)random_normal(&random);
        net->log_pi[y] = log(0.05 + random_unit(&random));
        net->z[y] = 0;
    }
    info_log_softmax(net->log_pi, K, net->log_pi);
    for (int u = 0; u < N; u++)
        for (int y = 0; y < K; y++) {
            net->local[u][y] = (double)net->b[y];
            for (int j = 0; j < D; j++)
                net->local[u][y] += (double)net->w[y * D + j] * (double)net->f[u * D + j];
            net->z[y] += net->local[u][y] / N; /* F1 is how z is made; F3 tests it of the head */
        }
    info_log_softmax(net->z, K, net->log_q);
    info_pmi(net->log_q, net->log_pi, K, net->pmi);
    for (int y = 0; y < K; y++) {
        struct mask_set set = mask_set_one(&y);
        assert_int_equal(mask_information(&head, &set, net->f, N, net->pmi[y], net->m[y], NULL), INFOMASK_OK);
    }
}

/* The logit of the pooled features, without the cells of `drop`: F1, F7. */
static double pooled_logit(const struct net *net, int y, const bool *drop, int kept)
{
    double z = (double)net->b[y];

    for (int j = 0; j < D; j++) {
        double mean = 0;
        for (int u = 0; u < N; u++)
            mean += drop != NULL && drop[u] ? 0 : (double)net->f[u * D + j];
        z += (double)net->w[y * D + j] * mean / kept;
    }
    return z;
}

static void cells_and_means_f1_f2_f3_f6(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct net net;
        double normal, entropy;
        draw(&net, seed);
        normal = info_log_sum_exp(net.z, K);
        entropy = info_entropy(net.log_q, K);
        for (int y = 0; y < K; y++) {
            double mean = 0, contrast = 0, own = 0;
            assert_near(pooled_logit(&net, y, NULL, N), net.z[y]); /* F1 */
            for (int u = 0; u < N; u++) {
                double mixture = 0;
                assert_near(net.m[y][u], net.local[u][y] - normal - net.log_pi[y]); /* F3, cell by cell */
                for (int k = 0; k < K; k++)
                    mixture += exp(net.log_q[k]) * (net.m[k][u] + net.log_pi[k]);
                mean += net.m[y][u] / N;
                contrast += (net.m[y][u] + net.log_pi[y] - net.m[0][u] - net.log_pi[0]) / N;
                own += (net.m[y][u] + net.log_pi[y] - mixture) / N;
            }
            assert_near(mean, net.pmi[y]);                    /* F3 */
            assert_near(contrast, net.log_q[y] - net.log_q[0]); /* F2 */
            assert_near(own, net.log_q[y] + entropy);         /* F6 */
        }
    }
}

static void the_gap_is_one_number_f4_f5(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct net net;
        double mean[K] = {0}, gap = 0, divergence = 0;
        draw(&net, seed);
        for (int u = 0; u < N; u++) {
            double log_qu[K];
            for (int y = 0; y < K; y++)
                log_qu[y] = net.m[y][u] + net.log_pi[y];
            gap += info_log_sum_exp(log_qu, K) / N; /* LSE(l(u)) - LSE(z) */
            info_log_softmax(log_qu, K, log_qu);
            divergence += info_kl(net.log_q, log_qu, K) / N;
            for (int y = 0; y < K; y++)
                mean[y] += log_qu[y] / N;
        }
        for (int y = 0; y < K; y++)
            assert_near(net.log_q[y], mean[y] + gap); /* F4 */
        assert_near(gap, divergence);                 /* F5 */
        assert_true(gap >= 0);
    }
}

static void dropped_cells_f7(void **state)
{
    struct random_stream random = random_stream(7, 7);

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct net net;
        bool drop[N];
        int kept = 0;
        draw(&net, seed);
        for (int u = 0; u < N; u++) {
            drop[u] = random_unit(&random) < 0.3;
            kept += !drop[u];
        }
        for (int y = 0; y < K; y++) {
            double rest = N * net.pmi[y], normal = info_log_sum_exp(net.z, K);
            for (int u = 0; u < N; u++)
                rest -= drop[u] ? net.m[y][u] : 0;
            assert_near(rest / kept + normal + net.log_pi[y], pooled_logit(&net, y, drop, kept));
        }
    }
}

/* Repeating the cells keeps the mean; a bilinear enlargement would not. */
static void repeated_cells_f8(void **state)
{
    struct net net;

    (void)state;
    draw(&net, 3);
    for (int y = 0; y < K; y++) {
        double sum = 0;
        for (int i = 0; i < 4 * H; i++)
            for (int j = 0; j < 4 * W; j++)
                sum += net.m[y][i / 4 * W + j / 4];
        assert_near(sum / (16 * N), net.pmi[y]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_and_means_f1_f2_f3_f6),
        cmocka_unit_test(the_gap_is_one_number_f4_f5),
        cmocka_unit_test(dropped_cells_f7),
        cmocka_unit_test(repeated_cells_f8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
