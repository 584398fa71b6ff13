#include "test.h"

#include <math.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"
#include "core/base/random.h"
#include "core/base/contents.h"
#include "core/base/sha256.h"

static void errors_carry_a_sentence(void **state)
{
    struct infomask_error err = {0};
    (void)state;
    assert_int_equal(error_set(&err, INFOMASK_ARGUMENT, "top_k must be 1 to %d", 10), INFOMASK_ARGUMENT);
    assert_string_equal(err.text, "top_k must be 1 to 10");
    error_prefix(&err, "model %s", "m");
    assert_string_equal(err.text, "model m: top_k must be 1 to 10");
    assert_int_equal(error_set(NULL, INFOMASK_IO, "x"), INFOMASK_IO);
    assert_string_equal(status_word(INFOMASK_BAD_IMAGE), "bad_image");
}

static void sizes_are_checked(void **state)
{
    size_t r = 7;
    (void)state;
    assert_false(checked_mul(SIZE_MAX, 2, &r));
    assert_int_equal(r, 7);
    assert_true(checked_mul3(3, 4, 5, &r));
    assert_int_equal(r, 60);
    assert_false(checked_add(SIZE_MAX, 1, &r));
}

static void blocks_are_aligned(void **state)
{
    unsigned char *block = aligned_new(1), *large = aligned_new_large(3 << 20);
    (void)state;
    assert_non_null(block);
    assert_non_null(large);
    assert_int_equal((uintptr_t)block % ALIGNED_BYTES, 0);
    assert_int_equal((uintptr_t)large % (2 << 20), 0);
    large[(3 << 20) - 1] = block[0] = 1;
    aligned_free(block);
    aligned_free(large);
    assert_null(aligned_new(SIZE_MAX - 3));
    assert_null(aligned_new_large(SIZE_MAX - 3));
}

/* FIPS 180-4 example */
static void sha256_of_abc(void **state)
{
    char hex[SHA256_HEX];
    (void)state;
    sha256_bytes("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* A file that is read has its bytes and their digest, whatever is given back or written to the file later; one that was
 * changed is not read again, and one that is shorter than was said not at all. */
static void contents_are_the_files(void **state)
{
    enum { SIZE = (33 << 20) + 4321 }; /* large enough to be given back in pieces */
    char path[] = "/tmp/infomask-contents-XXXXXX", right[SHA256_HEX];
    uint8_t *bytes = malloc(SIZE);
    struct infomask_error err = {0};
    struct contents *contents = NULL;
    int fd = mkstemp(path);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
    assert_int_equal(write(fd, bytes, SIZE), SIZE);
    sha256_bytes(bytes, SIZE, right);
    for (size_t size = 1; size <= SIZE; size = size * 3000 + 1) { /* the digest of a part */
        char part[SHA256_HEX];
        sha256_bytes(bytes, size, part);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(contents_read(fd, size, &contents, &err), INFOMASK_OK);
        assert_string_equal(contents_sha256(contents), part);
        contents_free(contents);
        assert_int_equal(pwrite(fd, bytes, SIZE, 0), SIZE);
    }
    assert_int_equal(contents_read(fd, SIZE, &contents, &err), INFOMASK_OK);
    assert_memory_equal(contents_data(contents), bytes, SIZE);
    contents_give_back(contents, contents_data(contents) + 5, 3 << 20);
    assert_int_equal(contents_data(contents)[8192], 0);
    assert_memory_equal(contents_data(contents), bytes, 4096);
    assert_memory_equal(contents_data(contents) + (4 << 20), bytes + (4 << 20), SIZE - (4 << 20));
    assert_int_equal(contents_again(contents, fd, &err), INFOMASK_OK);
    assert_memory_equal(contents_data(contents), bytes, SIZE);
    assert_string_equal(contents_sha256(contents), right);
    assert_int_equal(contents_read(fd, SIZE + 1, &(struct contents *){NULL}, &err), INFOMASK_IO);
    assert_non_null(strstr(err.text, "shorter"));
    assert_int_equal(ftruncate(fd, 100), 0); /* a mapped file would end the process when it is looked at now */
    assert_memory_equal(contents_data(contents), bytes, SIZE);
    assert_int_equal(contents_again(contents, fd, &err), INFOMASK_IO);
    contents_free(contents);
    contents_free(NULL);
    (void)close(fd);
    (void)unlink(path);
    free(bytes);
}

/* the known answers of Philox4x32-10 from its authors' kat_vectors */
static void philox_known_answers(void **state)
{
    struct random_block zero = random_block(0, 0, 0);
    struct random_block ones = random_block(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    (void)state;
    assert_int_equal(zero.word[0], 0x6627e8d5);
    assert_int_equal(zero.word[3], 0x9b00dbd8);
    assert_int_equal(zero.word[1], 0xe169c58d);
    assert_int_equal(zero.word[2], 0xbc57ac4c);
    assert_int_equal(ones.word[0], 0x408f276d);
    assert_int_equal(ones.word[1], 0x41c83b0e);
    assert_int_equal(ones.word[2], 0xa20bc7c6);
    assert_int_equal(ones.word[3], 0x6d5451fd);
}

static void random_moments(void **state)
{
    struct random_stream stream = random_stream(1, 2);
    double sum = 0, square = 0;
    int n = 100000, seen[7] = {0};
    (void)state;
    for (int i = 0; i < n; i++) {
        double x = random_normal(&stream);
        sum += x;
        square += x * x;
        seen[random_below(&stream, 7)]++;
    }
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(square / n - 1) < 5 * sqrt(2.0 / n));
    for (int i = 0; i < 7; i++)
        assert_true(abs(seen[i] - n / 7) < 5 * 120);
}

struct sum {
    _Atomic int count[512];
    struct pool *pool;
};

static void count_chunk(void *context, int chunk, int worker)
{
    struct sum *sum = context;
    assert_true(worker >= 0 && worker < pool_threads(sum->pool));
    atomic_fetch_add(&sum->count[chunk], 1);
}

static void nested_chunk(void *context, int chunk, int worker)
{
    struct sum *sum = context;
    (void)chunk;
    (void)worker;
    pool_for(sum->pool, 512, count_chunk, sum);
}

static void every_chunk_runs_once(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 8; threads++) {
        struct pool *pool = NULL;
        struct sum *sum = calloc(1, sizeof *sum);
        if (threads > 0)
            assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        sum->pool = pool;
        for (int round = 1; round <= 200; round++) {
            pool_for(pool, 512, count_chunk, sum);
            for (int i = 0; i < 512; i++)
                assert_int_equal(sum->count[i], round);
        }
        pool_for(pool, 3, nested_chunk, sum);
        for (int i = 0; i < 512; i++)
            assert_int_equal(sum->count[i], 203);
        pool_free(pool);
        free(sum);
    }
}

/* Loops of very different lengths, one upon the other, each with a context of its own: a helper that comes late to one
 * must not take a chunk of the next for one of it. */
static void short_and_long_loops(void *context)
{
    struct pool *pool = context;
    struct sum sums[2] = {{.pool = pool}, {.pool = pool}};

    for (int round = 0; round < 60000; round++) {
        int chunks = round % 2 == 0 ? 2 + round % 3 : 30 + round % 61;
        struct sum *sum = &sums[round % 2];
        pool_for(pool, chunks, count_chunk, sum);
        for (int i = 0; i < 128; i++)
            if (atomic_exchange(&sum->count[i], 0) != (i < chunks))
                fail_msg("round %d: chunk %d of %d did not run once", round, i, chunks);
    }
}

static void a_late_helper_takes_nothing(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 4; threads++) {
        struct pool *pool;
        assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        pool_run(pool, short_and_long_loops, pool);
        pool_free(pool);
    }
}

struct task_loop {
    struct pool_task task;
    struct sum *sum;
    _Atomic int *left;
};

static void task_with_loop(struct pool_task *task)
{
    struct task_loop *loop = (struct task_loop *)task;
    for (int i = 0; i < 20; i++)
        pool_for(loop->sum->pool, 512, count_chunk, loop->sum);
    atomic_fetch_sub(loop->left, 1);
}

static void many_tasks_share_the_workers(void **state)
{
    struct pool *pool;
    struct sum *sum = calloc(1, sizeof *sum);
    struct task_loop loops[50];
    _Atomic int left = 50;
    (void)state;
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    sum->pool = pool;
    for (int i = 0; i < 50; i++) {
        loops[i] = (struct task_loop){.task.run = task_with_loop, .sum = sum, .left = &left};
        pool_post(pool, &loops[i].task);
    }
    pool_free(pool); /* ends what was posted */
    assert_int_equal(left, 0);
    for (int i = 0; i < 512; i++)
        assert_int_equal(sum->count[i], 1000);
    free(sum);
}

/* A chunk that reads a file may take long: the others wait for it without keeping a core. */
static void sleep_in_chunk(void *context, int chunk, int worker)
{
    const struct timespec wait = {.tv_nsec = 500000000};

    (void)worker;
    if (chunk == *(const int *)context)
        (void)nanosleep(&wait, NULL);
}

static double cpu_seconds(void)
{
    struct timespec used;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static void a_long_chunk_keeps_one_core_at_most(void **state)
{
    struct pool *pool;
    double before;

    (void)state;
    assert_int_equal(pool_create(&pool, 2, NULL, NULL, NULL), INFOMASK_OK);
    for (int slow = 0; slow < 2; slow++) { /* that of who opened the loop, and a helper's */
        before = cpu_seconds();
        pool_for(pool, 2, sleep_in_chunk, &slow);
        assert_true(cpu_seconds() - before < .25);
    }
    pool_free(pool);
}

static void bad_thread_counts_are_refused(void **state)
{
    struct pool *pool;
    struct infomask_error err;
    (void)state;
    assert_int_equal(pool_create(&pool, 0, NULL, NULL, &err), INFOMASK_ARGUMENT);
    assert_string_equal(err.text, "threads must be 1 to 64, not 0");
    assert_true(cpu_count() >= 1);
    assert_ptr_equal(cpu_features(), cpu_features());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_a_sentence),   cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(blocks_are_aligned), cmocka_unit_test(sha256_of_abc), cmocka_unit_test(contents_are_the_files),
        cmocka_unit_test(philox_known_answers),      cmocka_unit_test(random_moments),
        cmocka_unit_test(every_chunk_runs_once),     cmocka_unit_test(many_tasks_share_the_workers),
        cmocka_unit_test(a_late_helper_takes_nothing), cmocka_unit_test(a_long_chunk_keeps_one_core_at_most),
        cmocka_unit_test(bad_thread_counts_are_refused),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
