#include "test.h"

#include <math.h>
#include <stdio.h>

#include "app/state/traffic_history.h"
#include "core/base/random.h"

#define MOST_CLASSES 1000
#define BEGIN 480000 /* hours of Unix time: 2024 */

struct stream {
    struct history *history;
    struct random_stream random;
    size_t classes;
    double share[30000]; /* cumulative */
    double information;         /* mean, deviation 1 */
};

static void stream_init(struct stream *s, uint64_t seed, size_t classes)
{
    *s = (struct stream){history_create(classes, 7), random_stream(seed, 5), classes, {0}, 4};
    assert_non_null(s->history);
    for (size_t y = 0; y < classes; y++)
        s->share[y] = (double)(y + 1) / (double)classes;
}

/* Class y gets `more` of the photos of all others. */
static void favour(struct stream *s, size_t y, double more)
{
    double before = 0, sum = 0;

    for (size_t k = 0; k < s->classes; k++) {
        double share = s->share[k] - before;
        before = s->share[k];
        sum += (1 - more) * share + (k == y ? more : 0);
        s->share[k] = sum;
    }
}

static void run_hour(struct stream *s, int64_t hour, int photos)
{
    for (int i = 0; i < photos; i++) {
        double u = random_unit(&s->random);
        size_t y = 0;
        while (y + 1 < s->classes && u >= s->share[y])
            y++;
        history_add(s->history, hour, y, s->information + random_normal(&s->random), 1 + random_unit(&s->random));
    }
}

static struct traffic_drift read(const struct stream *s, double level)
{
    struct traffic_drift drift;

    assert_int_equal(history_read(s->history, level, &drift, NULL), INFOMASK_OK);
    return drift;
}

static size_t moved(const struct stream *s, double level)
{
    struct traffic_drift drift = read(s, level);
    size_t count = drift.moved_count;

    traffic_drift_fini(&drift);
    return count;
}

/* ---- Nothing moves ----------------------------------------------------------------------------------------------- */

/* Looked at every hour for two weeks and more, at a level where a test that pays for one look only would cry often. */
static void test_traffic_that_stays_is_no_drift(void **state)
{
    const int streams = 60, hours = 400;
    int alarms = 0;

    (void)state;
    for (int seed = 0; seed < streams; seed++) {
        struct stream s;
        bool alarm = false;
        stream_init(&s, (uint64_t)seed + 1, 5);
        for (int hour = 0; hour < hours; hour++) {
            run_hour(&s, BEGIN + hour, (int)random_below(&s.random, 20));
            alarm = alarm || moved(&s, 0.1) > 0;
        }
        alarms += alarm;
        history_free(s.history);
    }
    print_message("%d of %d streams without change had an alarm at the level 0.1\n", alarms, streams);
    assert_true(alarms <= 12); /* 6 at most are expected */
}

static void test_few_photos_of_many_classes_are_no_drift(void **state)
{
    struct stream s;

    (void)state;
    stream_init(&s, 3, MOST_CLASSES);
    for (int hour = 0; hour < 60; hour++) {
        run_hour(&s, BEGIN + hour, 30);
        assert_int_equal(moved(&s, TRAFFIC_DRIFT_LEVEL), 0);
    }
    history_free(s.history);
}

/* ---- Something moves --------------------------------------------------------------------------------------------- */

static void test_a_class_that_moves_is_named(void **state)
{
    struct traffic_drift drift;
    struct stream s;

    (void)state;
    stream_init(&s, 7, MOST_CLASSES);
    for (int hour = 0; hour < 48; hour++)
        run_hour(&s, BEGIN + hour, 100);
    assert_int_equal(moved(&s, TRAFFIC_DRIFT_LEVEL), 0);
    favour(&s, 421, 0.05); /* from .001 to .051 */
    for (int hour = 48; hour < 60; hour++)
        run_hour(&s, BEGIN + hour, 100);
    drift = read(&s, TRAFFIC_DRIFT_LEVEL);
    assert_int_equal(drift.moved_count, 1);
    assert_int_equal(drift.moved[0].what, TRAFFIC_CLASS);
    assert_int_equal(drift.moved[0].index, 421);
    assert_int_equal(drift.moved[0].hour, BEGIN + 48);
    assert_true(fabs(drift.moved[0].before - 0.001) < 0.001 && fabs(drift.moved[0].after - 0.051) < 0.02);
    assert_true(drift.moved[0].p_value < 1e-4 && drift.photos == 6000 && drift.hour_count == 60);
    traffic_drift_fini(&drift);
    history_free(s.history);
}

static void test_a_number_that_moves_is_named(void **state)
{
    struct traffic_drift drift;
    struct stream s;

    (void)state;
    stream_init(&s, 8, 10);
    for (int hour = 0; hour < 30; hour++)
        run_hour(&s, BEGIN + hour, 50);
    s.information = 3;
    for (int hour = 30; hour < 36; hour++)
        run_hour(&s, BEGIN + hour, 50);
    drift = read(&s, TRAFFIC_DRIFT_LEVEL);
    assert_int_equal(drift.moved_count, 1);
    assert_int_equal(drift.moved[0].what, TRAFFIC_INFORMATION);
    assert_true(fabs(drift.moved[0].before - 4) < 0.1 && fabs(drift.moved[0].after - 3) < 0.2);
    assert_int_equal(drift.moved[0].hour, BEGIN + 30);
    traffic_drift_fini(&drift);
    history_free(s.history);
}

/* A change is told for a week; then it is what is usual, and its end is a change. */
static void test_a_change_becomes_what_is_usual(void **state)
{
    struct stream s;
    int hour = 0;

    (void)state;
    stream_init(&s, 9, 20);
    for (; hour < 100; hour++)
        run_hour(&s, BEGIN + hour, 30);
    favour(&s, 3, 0.3);
    for (; hour < 250; hour++)
        run_hour(&s, BEGIN + hour, 30);
    assert_true(moved(&s, TRAFFIC_DRIFT_LEVEL) > 0);
    for (; hour < 500; hour++)
        run_hour(&s, BEGIN + hour, 30);
    assert_int_equal(moved(&s, TRAFFIC_DRIFT_LEVEL), 0);
    for (size_t y = 0; y < s.classes; y++)
        s.share[y] = (double)(y + 1) / (double)s.classes;
    for (; hour < 520; hour++)
        run_hour(&s, BEGIN + hour, 30);
    assert_true(moved(&s, TRAFFIC_DRIFT_LEVEL) > 0);
    history_free(s.history);
}

/* ---- The week ---------------------------------------------------------------------------------------------------- */

static void test_a_week_is_kept(void **state)
{
    struct traffic_drift drift;
    struct stream s;

    (void)state;
    stream_init(&s, 10, 4);
    drift = read(&s, 0.001);
    assert_true(drift.photos == 0 && drift.hour_count == 0 && drift.moved_count == 0);
    traffic_drift_fini(&drift);
    for (int hour = 0; hour < 400; hour++)
        run_hour(&s, BEGIN + hour, hour % 3 == 0 ? 0 : 2);
    run_hour(&s, BEGIN + 100, 1); /* the clock was put back */
    drift = read(&s, 0.001);
    assert_int_equal(drift.photos, 533);
    assert_int_equal(drift.hour_count, 112);
    assert_int_equal(drift.hours[0].hour, BEGIN + 232);
    assert_int_equal(drift.hours[111].hour, BEGIN + 398);
    assert_int_equal(drift.hours[111].photos, 3);
    traffic_drift_fini(&drift);
    run_hour(&s, BEGIN + 5000, 2); /* months away */
    drift = read(&s, 0.001);
    assert_true(drift.photos == 535 && drift.hour_count == 1 && drift.hours[0].photos == 2);
    traffic_drift_fini(&drift);
    history_free(s.history);
}

/* Rows, oldest first, as the state gives them back. */
static void carry(const struct history *from, struct history *to)
{
    size_t size = history_row_size(from);
    unsigned char *row = malloc(size + 1);

    assert_non_null(row);
    for (int64_t step = history_oldest(from) - 1; step <= history_newest(from); step++) {
        int64_t number = step < history_oldest(from) ? 0 : step;
        history_row(from, number, row + 1); /* at an odd address */
        assert_true(history_take(to, number, row + 1, size));
    }
    free(row);
}

static void test_rows_are_the_history(void **state)
{
    struct stream s, other;
    struct traffic_drift a, b;

    (void)state;
    stream_init(&s, 11, 4);
    stream_init(&other, 12, 4);
    for (int hour = 0; hour < 300; hour++)
        run_hour(&s, BEGIN + hour, 5);
    favour(&s, 2, 0.6);
    for (int hour = 300; hour < 340; hour++)
        run_hour(&s, BEGIN + hour, 5);
    a = read(&s, 0.001);
    run_hour(&other, BEGIN, 3);
    history_clear(other.history);
    carry(s.history, other.history);
    b = read(&other, 0.001);
    assert_true(a.moved_count > 0 && a.moved_count == b.moved_count && a.photos == b.photos);
    assert_memory_equal(a.moved, b.moved, a.moved_count * sizeof *a.moved);
    assert_memory_equal(a.hours, b.hours, a.hour_count * sizeof *a.hours);
    traffic_drift_fini(&a);
    traffic_drift_fini(&b);
    history_free(other.history);
    history_free(s.history);
}

static void test_bytes_that_are_no_row(void **state)
{
    struct stream s, other;
    unsigned char *row, *bad;
    size_t size;

    (void)state;
    stream_init(&s, 11, 4);
    run_hour(&s, BEGIN, 50);
    size = history_row_size(s.history);
    row = calloc(2, size);
    assert_non_null(row);
    bad = row + size;
    history_row(s.history, BEGIN, row);
    for (size_t at = 32; at < size; at++) { /* the counts, which add up to the photos; before them are age and sums */
        memcpy(bad, row, size);
        bad[at] ^= 0x55;
        assert_false(history_take(s.history, BEGIN + 1, bad, size));
    }
    memset(bad, 0xff, size);
    assert_false(history_take(s.history, 0, bad, size));
    assert_false(history_take(s.history, BEGIN + 1, row, size - 1));
    assert_false(history_take(s.history, -1, row, size));
    assert_int_equal(moved(&s, 0.001), 0);
    stream_init(&other, 12, 30000); /* fewer, longer steps */
    assert_true(history_row_size(other.history) < 200000 && history_step(other.history, 480000) < 480000 / 4);
    assert_false(history_take(other.history, BEGIN, row, size));
    free(row);
    history_free(other.history);
    history_free(s.history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traffic_that_stays_is_no_drift),
        cmocka_unit_test(test_few_photos_of_many_classes_are_no_drift),
        cmocka_unit_test(test_a_class_that_moves_is_named),
        cmocka_unit_test(test_a_number_that_moves_is_named),
        cmocka_unit_test(test_a_change_becomes_what_is_usual),
        cmocka_unit_test(test_a_week_is_kept),
        cmocka_unit_test(test_rows_are_the_history),
        cmocka_unit_test(test_bytes_that_are_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
