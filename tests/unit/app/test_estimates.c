#include "test.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/state/estimates.h"

#define K 5

struct place { /* a file in a folder of its own */
    char folder[64], path[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/infomask-estimates-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/estimates.db", place->folder);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct place *place = *state;
    for (int i = 0; i < 3; i++) {
        char path[110];
        (void)snprintf(path, sizeof path, "%s%s", place->path, ends[i]);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/other.db%s", place->folder, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(place->folder);
    free(place);
    return 0;
}

static struct estimates *open_store(const char *path, uint64_t max_bytes, uint64_t logit_bytes)
{
    const struct estimates_options options = {.max_bytes = max_bytes, .logit_bytes = logit_bytes};
    struct estimates *estimates = NULL;
    struct infomask_error err;
    if (estimates_open(path, &options, &estimates, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return estimates;
}

static void create(struct estimates *estimates, const char *name, double *prior, char id[ESTIMATE_ID_SIZE])
{
    struct estimate_info info = {.model = "m", .version = "1", .sha256 = "abc", .prior = "train"};
    struct infomask_error err;
    info.spec.classes = K;
    info.spec.prior = prior;
    info.labels = strdup("zero\none\ntwo\nthree\nfour");
    (void)snprintf(info.name, sizeof info.name, "%s", name);
    if (estimates_create(estimates, &info, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    memcpy(id, info.id, ESTIMATE_ID_SIZE);
    info.spec.prior = NULL;
    estimate_info_fini(&info);
}

/* Sample i of the test's data: deterministic logits with the label mostly on top. */
static uint32_t logits_of(uint64_t i, float z[K])
{
    for (int y = 0; y < K; y++)
        z[y] = (float)sin((double)(i * 7 + (uint64_t)y * 13));
    z[i % K] += i % 11 == 0 ? -3.0f : 2.0f;
    return (uint32_t)(i % K);
}

static enum infomask_status add(struct estimates *estimates, const char *id, uint64_t from, uint64_t to,
                                uint64_t *samples, size_t *added, struct infomask_error *err)
{
    size_t n = (size_t)(to - from);
    struct estimate_item *items = calloc(n + 1, sizeof *items);
    float *z = calloc(n * K + 1, sizeof *z);
    char (*names)[24] = calloc(n + 1, sizeof *names);
    enum infomask_status status;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "photo-%llu.jpg", (unsigned long long)(from + i));
        items[i] = (struct estimate_item){names[i], logits_of(from + i, z + i * K), z + i * K, .added = false};
    }
    status = estimates_add(estimates, id, items, n, samples, err);
    *added = 0;
    for (size_t i = 0; i < n; i++)
        *added += items[i].added;
    free(items);
    free(z);
    free(names);
    return status;
}

static void must_add(struct estimates *estimates, const char *id, uint64_t from, uint64_t to, uint64_t expected)
{
    uint64_t samples;
    size_t added;
    struct infomask_error err;
    if (add(estimates, id, from, to, &samples, &added, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    assert_int_equal(samples, expected);
}

/* The state as core alone computes it from the same samples. */
static void check_against_core(const struct estimate_state *state, uint64_t from, uint64_t to, double *prior)
{
    const struct infomask_estimate_spec spec = {.classes = K, .prior = prior};
    struct infomask_estimate *sums;
    struct infomask_report report;
    assert_int_equal(infomask_estimate_create(&spec, &sums, NULL), INFOMASK_OK);
    for (uint64_t i = from; i < to; i++) {
        float z[K];
        uint32_t label = logits_of(i, z);
        assert_int_equal(infomask_estimate_add(sums, z, label, "x", NULL, NULL), INFOMASK_OK);
    }
    assert_int_equal(infomask_estimate_report(sums, &report, NULL), INFOMASK_OK);
    assert_int_equal(state->info.samples, to - from);
    assert_true(report.estimate == state->report.estimate && report.temperature == state->report.temperature);
    assert_true(report.ece == state->report.ece && report.brier == state->report.brier);
    for (size_t y = 0; y < K && y < to - from; y++) /* sample i is of class i mod K */
        assert_true(report.by_class[y].mean_pmi == state->report.by_class[y].mean_pmi);
    infomask_report_fini(&report);
    infomask_estimate_free(sums);
}

static void samples_survive_and_count_once(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_state s;
    char id[ESTIMATE_ID_SIZE];
    uint64_t samples;
    size_t added;
    double prior[K] = {0.1, 0.2, 0.3, 0.2, 0.2};
    create(estimates, "a name", prior, id);
    must_add(estimates, id, 0, 40, 40);
    must_add(estimates, id, 40, 41, 41);
    assert_int_equal(add(estimates, id, 30, 50, &samples, &added, NULL), INFOMASK_OK); /* 11 of them are known */
    assert_true(samples == 50 && added == 9);
    estimates_close(estimates);
    estimates = open_store(place->path, 0, 0);
    assert_int_equal(estimates_read(estimates, "a name", 10, &s, NULL), INFOMASK_OK);
    check_against_core(&s, 0, 50, prior);
    assert_true(s.info.kept == 50 && s.limits.samples == 0 && estimate_limits_due(&s));
    assert_string_equal(s.info.id, id);
    assert_string_equal(s.info.label[3], "three");
    assert_string_equal(s.info.sha256, "abc");
    estimate_state_fini(&s);
    estimates_close(estimates);
}

static void limits_are_cached(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_state s;
    struct infomask_point points[60];
    struct infomask_limits_of_estimate limits;
    struct infomask_estimate *sums;
    const struct infomask_estimate_spec spec = {.classes = K};
    char id[ESTIMATE_ID_SIZE];
    create(estimates, "", NULL, id);
    must_add(estimates, id, 0, 60, 60);
    assert_int_equal(estimates_update_limits(estimates, id, &limits, NULL), INFOMASK_OK);
    assert_int_equal(estimates_read(estimates, id, 0, &s, NULL), INFOMASK_OK);
    assert_int_equal(infomask_estimate_create(&spec, &sums, NULL), INFOMASK_OK);
    for (uint64_t i = 0; i < 60; i++) {
        struct infomask_sample sample;
        char name[24];
        float z[K];
        uint32_t label = logits_of(i, z);
        (void)snprintf(name, sizeof name, "photo-%llu.jpg", (unsigned long long)i);
        assert_int_equal(infomask_estimate_add(sums, z, label, name, &sample, NULL), INFOMASK_OK);
        points[i] = (struct infomask_point){sample.order, sample.log_q, label, sample.predicted, 0};
    }
    assert_int_equal(infomask_estimate_limits(points, 60, K, 0.975, &limits, NULL), INFOMASK_OK);
    assert_true(s.limits.samples == 60 && s.limits.betting == limits.betting && s.limits.bernstein == limits.bernstein &&
                s.limits.confusion == limits.confusion && !estimate_limits_due(&s));
    infomask_estimate_free(sums);
    estimate_state_fini(&s);
    estimates_close(estimates);
}

static void suspects_come_by_rising_pmi(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_state s;
    char id[ESTIMATE_ID_SIZE];
    uint64_t samples;
    float wrong[2][K] = {{9, 0, 0, 0, 0}, {30, 0, 0, 0, 0}};
    struct estimate_item items[] = {{.sample = "bad", .label = 1, .logits = wrong[0]},
                                    {.sample = "worse", .label = 2, .logits = wrong[1]}};
    struct infomask_limits_of_estimate limits;
    create(estimates, "", NULL, id);
    must_add(estimates, id, 0, 100, 100);
    assert_int_equal(estimates_add(estimates, id, items, 2, &samples, NULL), INFOMASK_OK);
    assert_int_equal(estimates_read(estimates, id, 1, &s, NULL), INFOMASK_OK);
    assert_true(s.suspect_count == 1 && s.audit.samples == 0 && isnan(s.suspects[0].expected));
    estimate_state_fini(&s);
    assert_int_equal(estimates_update_limits(estimates, id, &limits, NULL), INFOMASK_OK);
    assert_int_equal(estimates_read(estimates, id, 1, &s, NULL), INFOMASK_OK);
    assert_true(s.suspect_count == 1 && s.audit.samples == 102 && s.suspects[0].expected < 1);
    assert_true(s.suspects[0].past == (s.suspects[0].pmi <= s.suspect_threshold));
    assert_string_equal(s.suspects[0].sample, "worse");
    assert_true(s.suspects[0].label == 2 && s.suspects[0].predicted == 0 && fabs(s.suspects[0].pmi + 30 - log(5)) < 1e-6);
    estimate_state_fini(&s);
    estimates_close(estimates);
}

static void other_priors_come_from_the_logits(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 30 * K * sizeof(uint16_t));
    struct estimate_state s;
    char id[ESTIMATE_ID_SIZE];
    double prior[K] = {0.5, 0.2, 0.1, 0.1, 0.1};
    create(estimates, "", NULL, id);
    must_add(estimates, id, 0, 50, 50);
    assert_int_equal(estimates_recompute(estimates, id, prior, 7, &s, NULL), INFOMASK_OK);
    assert_true(s.info.samples == 30 && s.info.kept == 30 && s.limits.samples == 30); /* as many as fit */
    assert_true(s.suspect_count == 7 && s.audit.samples == 30);
    for (size_t i = 1; i < 7; i++)
        assert_true(s.suspects[i].pmi >= s.suspects[i - 1].pmi && s.suspects[i].expected >= s.suspects[i - 1].expected);
    {
        const struct infomask_estimate_spec spec = {.classes = K, .prior = prior};
        struct infomask_estimate *sums;
        struct infomask_report report;
        assert_int_equal(infomask_estimate_create(&spec, &sums, NULL), INFOMASK_OK);
        for (uint64_t i = 0; i < 30; i++) {
            float z[K];
            uint32_t label = logits_of(i, z);
            assert_int_equal(infomask_estimate_add(sums, z, label, "x", NULL, NULL), INFOMASK_OK);
        }
        assert_int_equal(infomask_estimate_report(sums, &report, NULL), INFOMASK_OK);
        assert_true(fabs(report.estimate - s.report.estimate) < 2e-3); /* half precision */
        infomask_report_fini(&report);
        infomask_estimate_free(sums);
    }
    estimate_state_fini(&s);
    estimates_close(estimates);
}

static void shards_merge_exactly(void **state)
{
    struct place *place = *state;
    char other[110], a[ESTIMATE_ID_SIZE], b[ESTIMATE_ID_SIZE], c[ESTIMATE_ID_SIZE];
    struct estimates *one = open_store(place->path, 0, 0), *two;
    struct estimate_state s;
    struct infomask_error err;
    (void)snprintf(other, sizeof other, "%s/other.db", place->folder);
    two = open_store(other, 0, 0);
    create(one, "shard", NULL, a);
    create(two, "shard", NULL, b);
    create(one, "again", NULL, c);
    must_add(one, a, 0, 33, 33);
    must_add(two, b, 33, 70, 37);
    must_add(one, c, 70, 90, 20);
    assert_int_equal(estimates_merge(one, a, two, b, NULL), INFOMASK_OK);
    assert_int_equal(estimates_merge(one, a, one, c, NULL), INFOMASK_OK); /* within one store */
    assert_int_equal(estimates_read(one, a, 0, &s, NULL), INFOMASK_OK);
    check_against_core(&s, 0, 90, NULL);
    assert_int_equal(s.info.kept, 90);
    estimate_state_fini(&s);
    assert_int_equal(estimates_merge(one, a, two, b, &err), INFOMASK_ARGUMENT); /* they are in already */
    assert_non_null(strstr(err.text, "is in both estimates"));
    assert_int_equal(estimates_merge(one, a, one, a, &err), INFOMASK_ARGUMENT);
    assert_int_equal(estimates_read(one, a, 0, &s, NULL), INFOMASK_OK);
    check_against_core(&s, 0, 90, NULL); /* the failures left nothing behind */
    estimate_state_fini(&s);
    estimates_close(one);
    estimates_close(two);
}

static bool count_estimates(void *context, const struct estimate_info *info)
{
    (void)info;
    ++*(int *)context;
    return true;
}

static void estimates_are_listed_and_deleted(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_info info;
    struct infomask_error err;
    char a[ESTIMATE_ID_SIZE], b[ESTIMATE_ID_SIZE];
    int count = 0;
    create(estimates, "same", NULL, a);
    create(estimates, "same", NULL, b);
    must_add(estimates, a, 0, 10, 10);
    must_add(estimates, b, 0, 20, 20);
    assert_int_equal(estimates_find(estimates, "same", &info, &err), INFOMASK_ARGUMENT);
    assert_int_equal(estimates_delete(estimates, a, NULL), INFOMASK_OK);
    assert_int_equal(estimates_find(estimates, "same", &info, NULL), INFOMASK_OK);
    assert_int_equal(info.samples, 20);
    estimate_info_fini(&info);
    assert_int_equal(estimates_list(estimates, 0, 0, count_estimates, &count, NULL), INFOMASK_OK);
    assert_int_equal(count, 1);
    assert_int_equal(estimates_find(estimates, a, &info, &err), INFOMASK_NO_SUCH_ESTIMATE);
    assert_int_equal(estimates_delete(estimates, a, &err), INFOMASK_NO_SUCH_ESTIMATE);
    assert_int_equal(estimates_find(estimates, "", &info, &err), INFOMASK_NO_SUCH_ESTIMATE);
    estimates_close(estimates);
}

static void bad_samples_leave_nothing_behind(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_state s;
    struct infomask_error err;
    char id[ESTIMATE_ID_SIZE], long_id[ESTIMATE_SAMPLE_MAX + 2];
    float z[K] = {0}, bad[K] = {NAN};
    uint64_t samples;
    struct estimate_item items[] = {{"good", 0, z, .added = false}, {"bad", 0, bad, .added = false}};
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    create(estimates, "", NULL, id);
    assert_int_equal(estimates_add(estimates, id, items, 2, &samples, &err), INFOMASK_BAD_DATA);
    items[1] = (struct estimate_item){"label", K, z, .added = false};
    assert_int_equal(estimates_add(estimates, id, items, 2, &samples, &err), INFOMASK_ARGUMENT);
    items[1] = (struct estimate_item){long_id, 0, z, .added = false};
    assert_int_equal(estimates_add(estimates, id, items, 2, &samples, &err), INFOMASK_ARGUMENT);
    assert_int_equal(estimates_add(estimates, "no", items, 1, &samples, &err), INFOMASK_NO_SUCH_ESTIMATE);
    assert_int_equal(estimates_read(estimates, id, 5, &s, NULL), INFOMASK_OK);
    assert_true(s.info.samples == 0 && isnan(s.report.estimate) && s.suspect_count == 0);
    estimate_state_fini(&s);
    estimates_close(estimates);
}

static void a_full_store_says_so_and_stays_whole(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 300 * 1024, 0);
    struct estimate_state s;
    struct infomask_error err = {0};
    struct stat at;
    char id[ESTIMATE_ID_SIZE];
    uint64_t samples = 0, n = 0;
    size_t added;
    create(estimates, "", NULL, id);
    while (add(estimates, id, n, n + 50, &samples, &added, &err) == INFOMASK_OK && n < 100000)
        n += 50;
    assert_int_equal(err.status, INFOMASK_STATE_FULL);
    assert_true(n >= 500);
    assert_int_equal(estimates_read(estimates, id, 0, &s, NULL), INFOMASK_OK);
    check_against_core(&s, 0, n, NULL);
    estimate_state_fini(&s);
    assert_int_equal(estimates_delete(estimates, id, &err), INFOMASK_OK); /* room again */
    create(estimates, "", NULL, id);
    must_add(estimates, id, 0, 100, 100);
    estimates_close(estimates);
    assert_int_equal(stat(place->path, &at), 0);
    assert_true(at.st_size <= 310 * 1024);
}

static void no_place_no_store(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = NULL;
    struct infomask_error err;
    FILE *file;
    assert_int_equal(estimates_open("/nowhere/estimates.db", NULL, &estimates, &err), INFOMASK_IO);
    assert_string_equal(err.text, "the state cannot be written");
    file = fopen(place->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 5000; i++)
        (void)fputs("no database ", file);
    (void)fclose(file);
    assert_int_equal(estimates_open(place->path, NULL, &estimates, &err), INFOMASK_IO);
    assert_string_equal(err.text, "the file of the state is damaged");
    assert_null(estimates);
}

struct poster {
    struct estimates *estimates;
    const char *id;
    uint64_t from;
};

static void *post(void *context)
{
    struct poster *poster = context;
    uint64_t samples;
    size_t added;
    for (uint64_t i = 0; i < 100; i++) /* both threads post every sample: each counts once */
        if (add(poster->estimates, poster->id, (poster->from + i) % 100, (poster->from + i) % 100 + 1, &samples, &added,
                NULL) != INFOMASK_OK)
            return NULL;
    return context;
}

static void threads_may_post_at_once(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    struct estimate_state s;
    char id[ESTIMATE_ID_SIZE];
    struct infomask_limits_of_estimate limits;
    struct poster posters[3];
    pthread_t threads[3];
    create(estimates, "", NULL, id);
    for (uint64_t i = 0; i < 3; i++) {
        posters[i] = (struct poster){estimates, id, i * 40};
        assert_int_equal(pthread_create(&threads[i], NULL, post, &posters[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(estimates_read(estimates, id, 3, &s, NULL), INFOMASK_OK);
        estimate_state_fini(&s);
        assert_int_equal(estimates_update_limits(estimates, id, &limits, NULL), INFOMASK_OK);
    }
    for (int i = 0; i < 3; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    assert_int_equal(estimates_read(estimates, id, 0, &s, NULL), INFOMASK_OK);
    check_against_core(&s, 0, 100, NULL);
    estimate_state_fini(&s);
    estimates_close(estimates);
}

/* A child adds samples one by one and says so through a pipe; it is killed at some moment.  What it said is there. */
static void a_kill_loses_nothing_acknowledged(void **state)
{
    struct place *place = *state;
    struct estimates *estimates = open_store(place->path, 0, 0);
    char id[ESTIMATE_ID_SIZE];
    uint64_t before = 0;
    create(estimates, "", NULL, id);
    estimates_close(estimates);
    for (int round = 0; round < 20; round++) {
        struct estimate_state s;
        uint64_t said = before, number;
        int ends[2];
        pid_t child;
        assert_int_equal(pipe(ends), 0);
        child = fork();
        if (child == 0) {
            struct estimates *own = NULL;
            uint64_t samples;
            size_t added;
            (void)close(ends[0]);
            if (estimates_open(place->path, NULL, &own, NULL) != INFOMASK_OK)
                _exit(1);
            for (uint64_t i = before; add(own, id, i, i + 1, &samples, &added, NULL) == INFOMASK_OK; i++)
                if (write(ends[1], &samples, sizeof samples) != sizeof samples)
                    _exit(1);
            _exit(1);
        }
        (void)close(ends[1]);
        if (round % 2 == 1) /* once it has acknowledged one, however slow the machine; else perhaps before */
            (void)poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, -1);
        (void)nanosleep(&(struct timespec){0, 1000000 + round * 1500000}, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(ends[0], &number, sizeof number) == sizeof number)
            said = number;
        (void)close(ends[0]);
        estimates = open_store(place->path, 0, 0);
        assert_int_equal(estimates_read(estimates, id, 0, &s, NULL), INFOMASK_OK);
        assert_true(s.info.samples >= said && s.info.samples <= said + 1);
        if (s.info.samples > 0)
            check_against_core(&s, 0, s.info.samples, NULL); /* none twice, and the sums are theirs */
        before = s.info.samples;
        estimate_state_fini(&s);
        estimates_close(estimates);
    }
    assert_true(before > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- Durability ---------------------------------------------------------------------------------------------------- */

/* SQLite's own calls of these come here first. */
static _Atomic int syncs;
static _Atomic bool slow; /* as a disk would be */

static int count_sync(long number, int fd)
{
    atomic_fetch_add(&syncs, 1);
    if (atomic_load(&slow))
        (void)usleep(20000);
    return (int)syscall(number, fd);
}
int fdatasync(int fd) { return count_sync(SYS_fdatasync, fd); }
int fsync(int fd) { return count_sync(SYS_fsync, fd); }

static int syncs_of_five_posts(const char *path, bool relaxed)
{
    const struct estimates_options options = {.relaxed = relaxed};
    struct estimates *estimates;
    char id[ESTIMATE_ID_SIZE];
    int before;

    assert_int_equal(estimates_open(path, &options, &estimates, NULL), INFOMASK_OK);
    create(estimates, "x", NULL, id);
    before = atomic_load(&syncs);
    for (uint64_t i = 0; i < 5; i++)
        must_add(estimates, id, 10 * i, 10 * i + 10, 10 * i + 10);
    before = atomic_load(&syncs) - before;
    estimates_close(estimates);
    return before;
}

static void a_post_is_synced_unless_relaxed(void **state)
{
    const struct place *place = *state;
    char other[110];

    (void)snprintf(other, sizeof other, "%s/other.db", place->folder);
    assert_int_equal(syncs_of_five_posts(place->path, false), 5);
    assert_int_equal(syncs_of_five_posts(other, true), 0);
}

enum { WRITERS = 8, POSTS = 10 };
struct writer {
    pthread_t thread;
    struct estimates *estimates;
    const char *id;
    uint64_t first;
    int failed;
};

/* Posts of two samples each; every third has a label that there is not. */
static void *write_posts(void *context)
{
    struct writer *w = context;
    uint64_t samples;

    for (uint64_t i = 0; i < POSTS; i++) {
        float z[2 * K];
        char names[2][32];
        struct estimate_item items[2];
        for (uint64_t k = 0; k < 2; k++) {
            (void)snprintf(names[k], sizeof names[k], "photo-%d.jpg", (int)(w->first + 2 * i + k));
            items[k] = (struct estimate_item){.sample = names[k], .label = logits_of(w->first + 2 * i + k, z + K * k), .logits = z + K * k};
        }
        if (i % 3 == 0)
            items[1].label = K;
        w->failed += estimates_add(w->estimates, w->id, items, 2, &samples, NULL) != INFOMASK_OK;
    }
    return NULL;
}

/* Those who come while one is written share the next transaction; a bad one takes nobody with it. */
static void posts_share_transactions(void **state)
{
    const struct place *place = *state;
    struct estimates *estimates;
    struct estimate_info info;
    struct writer writers[WRITERS];
    char id[ESTIMATE_ID_SIZE];
    int before, good = 0;

    assert_int_equal(estimates_open(place->path, NULL, &estimates, NULL), INFOMASK_OK);
    create(estimates, "x", NULL, id);
    before = atomic_load(&syncs);
    atomic_store(&slow, true);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.estimates = estimates, .id = id, .first = (uint64_t)(1000 * i)};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_posts, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failed, 4);
        good += POSTS - writers[i].failed;
    }
    atomic_store(&slow, false);
    assert_true(atomic_load(&syncs) - before < good); /* far fewer: all eight wait at the same time */
    assert_int_equal(estimates_find(estimates, id, &info, NULL), INFOMASK_OK);
    assert_int_equal(info.samples, 2 * good);
    estimate_info_fini(&info);
    estimates_close(estimates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(samples_survive_and_count_once),  TEST(limits_are_cached),
        TEST(suspects_come_by_rising_pmi),     TEST(other_priors_come_from_the_logits),
        TEST(shards_merge_exactly),            TEST(estimates_are_listed_and_deleted),
        TEST(bad_samples_leave_nothing_behind), TEST(a_full_store_says_so_and_stays_whole),
        TEST(no_place_no_store),               TEST(threads_may_post_at_once),
        TEST(a_kill_loses_nothing_acknowledged),
        TEST(a_post_is_synced_unless_relaxed), TEST(posts_share_transactions),
    };
    return cmocka_run_group_tests_name("estimates", tests, NULL, NULL);
}
