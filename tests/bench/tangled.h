/* Tasks whose information is sparse or tangled: two columns of many that tell only together, codes that interact, curves
 * and periods among noise, one telling column of 10,000, hundreds of classes with a few rows each.  Included by tasks.c. */
#ifndef TESTS_BENCH_TANGLED_H
#define TESTS_BENCH_TANGLED_H

static void draw_noise(const struct task *task, struct random_stream *random, float *x)
{
    for (int j = 0; j < task->columns; j++)
        x[j] = (float)random_normal(random);
}

/* P(y = 1) = sigmoid(z) */
static uint32_t toss(double z, struct random_stream *random, double *log_p)
{
    log_p[0] = -log1p(exp(z));
    log_p[1] = -log1p(exp(-z));
    return log(random_unit(random)) < log_p[1];
}

/* The sign of a product of `parameter` columns, wrong in one case of ten. */
static uint32_t sample_product(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    int negative = 0;

    draw_noise(task, random, x);
    for (int j = 0; j < (int)task->parameter; j++)
        negative ^= x[3 + 2 * j] < 0;
    return toss(negative ? -2.2 : 2.2, random, log_p);
}

/* The product of two columns, smoothly. */
static uint32_t sample_saddle(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    draw_noise(task, random, x);
    return toss(task->parameter * (double)x[2] * (double)x[task->columns - 2], random, log_p);
}

/* How far one column is from 0. */
static uint32_t sample_bowl(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    draw_noise(task, random, x);
    return toss(task->parameter * (squared((double)x[4]) - 1), random, log_p);
}

/* A sine of one column, `parameter` periods. */
static uint32_t sample_wave(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    for (int j = 0; j < task->columns; j++)
        x[j] = (float)(2 * random_unit(random) - 1);
    return toss(3 * sin(task->parameter * M_PI * (double)x[5]), random, log_p);
}

/* Two codes of 8 values of which every pair has a posterior of its own; the other codes say nothing. */
static uint32_t sample_code_pair(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    struct random_stream table;
    uint32_t y = 0;
    double u, sum = 0;

    for (int j = 0; j < task->columns; j++)
        x[j] = (float)random_below(random, 8);
    table = random_stream(77, (uint64_t)(8 * x[1] + x[3]));
    for (int k = 0; k < task->classes; k++)
        sum += exp(log_p[k] = task->parameter * random_normal(&table));
    u = random_unit(random);
    while (y + 1 < (uint32_t)task->classes && u >= exp(log_p[y]) / sum)
        u -= exp(log_p[y++]) / sum;
    return y;
}

/* Equal bits of two codes: alone neither says anything. */
static uint32_t sample_code_parity(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    for (int j = 0; j < task->columns; j++)
        x[j] = (float)random_below(random, 6);
    return toss(((int)x[0] + (int)x[2]) % 2 ? 2 : -2, random, log_p);
}

/* One column has two means `parameter` apart. */
static uint32_t sample_straw(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, 2);
    int at = task->columns / 3;

    draw_noise(task, random, x);
    x[at] += (float)(y * task->parameter);
    log_p[0] = -0.5 * squared((double)x[at]);
    log_p[1] = -0.5 * squared((double)x[at] - task->parameter);
    return y;
}

/* Classes at random places of so wide a cloud, each column with a deviation of 1 around them. */
static uint32_t sample_cloud(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    static double *means;
    static const char *of;
    uint32_t y = random_below(random, (uint32_t)task->classes);

    if (of != task->name) {
        struct random_stream places = random_stream(55, 0);
        free(means);
        means = malloc((size_t)task->classes * (size_t)task->columns * sizeof *means);
        if (means == NULL)
            abort();
        for (int i = 0; i < task->classes * task->columns; i++)
            means[i] = task->parameter * random_normal(&places);
        of = task->name;
    }
    draw_noise(task, random, x);
    for (int j = 0; j < task->columns; j++)
        x[j] += (float)means[(int)y * task->columns + j];
    for (int k = 0; k < task->classes; k++) {
        log_p[k] = 0;
        for (int j = 0; j < task->columns; j++)
            log_p[k] -= 0.5 * squared((double)x[j] - means[k * task->columns + j]);
    }
    return y;
}

static const struct tangled {
    struct task task;
    int truth_columns; /* as many as are needed for the true value */
    size_t rows;
    uint32_t levels;   /* of every column; 0: numbers */
} tangled[] = {
    {{"product2-d30", 2, 30, sample_product, 2}, 8, 5000, 0}, {{"product2-d10", 2, 10, sample_product, 2}, 8, 5000, 0},
    {{"product3-d10", 2, 10, sample_product, 3}, 8, 5000, 0}, {{"saddle-d30", 2, 30, sample_saddle, 1.5}, 5, 5000, 0},
    {{"bowl-d40", 2, 40, sample_bowl, 1}, 5, 5000, 0},        {{"wave3-d20", 2, 20, sample_wave, 3}, 6, 5000, 0},
    {{"wave8-d10", 2, 10, sample_wave, 8}, 6, 5000, 0},       {{"codepair-d6", 4, 6, sample_code_pair, 1.5}, 4, 5000, 8},
    {{"codepair-d20", 3, 20, sample_code_pair, 1.5}, 4, 5000, 8}, {{"parity-d8", 2, 8, sample_code_parity, 0}, 3, 5000, 6},
    {{"straw-d10000", 2, 10000, sample_straw, 3}, 3, 100, 0}, {{"straw-d1000", 2, 1000, sample_straw, 2}, 3, 300, 0},
    {{"cloud200-d20", 200, 20, sample_cloud, 1}, 20, 1000, 0}, {{"cloud100-d50", 100, 50, sample_cloud, 0.7}, 50, 500, 0},
    {{"factor3-d50", 3, 50, sample_factor, 0.7}, 50, 500, 0},
};

#endif
