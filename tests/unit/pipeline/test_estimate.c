#include "test.h"

#include <math.h>

#include "core/info/half.h"
#include "core/infomask_estimate.h"

#define K 4

static struct infomask_estimate *estimate(double *prior, double smoothing)
{
    struct infomask_estimate_spec spec = {.classes = K, .prior = prior, .label_smoothing = smoothing};
    struct infomask_estimate *e;
    assert_int_equal(infomask_estimate_create(&spec, &e, NULL), INFOMASK_OK);
    return e;
}

static void half_precision_rounds_to_nearest(void **state)
{
    (void)state;
    for (int bits = 0; bits < 0x7c00; bits++) { /* every finite number, both signs */
        assert_int_equal(info_half(info_half_value((uint16_t)bits)), bits);
        assert_int_equal(info_half(-info_half_value((uint16_t)bits)), bits | 0x8000);
    }
    assert_int_equal(info_half(1), 0x3c00);
    assert_int_equal(info_half(1 + 0x1p-11f), 0x3c00);           /* a tie: to even */
    assert_int_equal(info_half(1 + 3 * 0x1p-11f), 0x3c02);       /* a tie: to even */
    assert_int_equal(info_half(1 + 0x1p-11f + 0x1p-20f), 0x3c01);
    assert_int_equal(info_half(2047.9f), 0x6800);                /* carries into the exponent */
    assert_int_equal(info_half(0x1p-25f), 0);
    assert_int_equal(info_half(-3e38f), 0xfbff);
}

static void kept_logits_give_the_sample_again(void **state)
{
    const float logits[K] = {103.25f, 97.5f, 101.125f, -50};
    uint16_t half[K];
    float again[K];
    struct infomask_estimate *e = estimate(NULL, 0);
    struct infomask_sample a, b;
    (void)state;
    infomask_logits_pack(logits, K, half);
    infomask_logits_unpack(half, K, again);
    assert_true(again[0] == 0 && again[1] == -5.75f);
    assert_int_equal(infomask_estimate_add(e, logits, 2, "x", &a, NULL), INFOMASK_OK);
    assert_int_equal(infomask_estimate_add(e, again, 2, "x", &b, NULL), INFOMASK_OK);
    assert_true(fabs(a.log_q - b.log_q) < 1e-12 && a.order == b.order && a.predicted == 0);
    infomask_estimate_free(e);
}

static void what_cannot_be_added_is_refused(void **state)
{
    struct infomask_estimate *a = estimate(NULL, 0), *b = estimate((double[]){1, 2, 3, 4}, 0), *c = estimate(NULL, 0.1);
    struct infomask_error err;
    (void)state;
    assert_int_equal(infomask_estimate_add(a, (float[]){0, NAN, 0, 0}, 0, "x", NULL, &err), INFOMASK_BAD_DATA);
    assert_string_equal(err.text, "the logit of class 1 is not a finite number");
    assert_int_equal(infomask_estimate_add(a, (float[K]){0}, K, "x", NULL, &err), INFOMASK_ARGUMENT);
    assert_int_equal(infomask_estimate_merge(a, b, &err), INFOMASK_ARGUMENT);
    assert_int_equal(infomask_estimate_merge(a, c, &err), INFOMASK_ARGUMENT);
    infomask_estimate_free(a);
    infomask_estimate_free(b);
    infomask_estimate_free(c);
}

/* 300 samples in one estimate; in two, packed, unpacked and merged: the same report */
static void shards_and_bytes_give_the_same_report(void **state)
{
    struct infomask_estimate *whole = estimate(NULL, 0), *part[2] = {estimate(NULL, 0), estimate(NULL, 0)},
                             *read = estimate(NULL, 0);
    uint8_t bytes[INFOMASK_ESTIMATE_BYTES], other[INFOMASK_ESTIMATE_BYTES], row[INFOMASK_ESTIMATE_CLASS_BYTES];
    struct infomask_report a, b;
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        float z[K] = {sinf((float)i), cosf((float)i), sinf(3 * (float)i), 0.5f};
        assert_int_equal(infomask_estimate_add(whole, z, i % 3, "x", NULL, NULL), INFOMASK_OK);
        assert_int_equal(infomask_estimate_add(part[i % 7 == 0], z, i % 3, "x", NULL, NULL), INFOMASK_OK);
    }
    assert_int_equal(infomask_estimate_merge(part[0], part[1], NULL), INFOMASK_OK);
    infomask_estimate_pack(part[0], bytes);
    infomask_estimate_pack(whole, other);
    assert_memory_equal(bytes, other, sizeof bytes);
    assert_int_equal(infomask_estimate_unpack(read, bytes, sizeof bytes, NULL), INFOMASK_OK);
    for (size_t y = 0; y < K; y++) {
        assert_true(infomask_estimate_pack_class(part[0], y, row) == (y < 3));
        if (y < 3)
            assert_int_equal(infomask_estimate_unpack_class(read, y, row, sizeof row, NULL), INFOMASK_OK);
    }
    assert_int_equal(infomask_estimate_unpack_class(read, K, row, sizeof row, NULL), INFOMASK_BAD_DATA);
    assert_int_equal(infomask_estimate_unpack(read, bytes, 5, NULL), INFOMASK_BAD_DATA);
    assert_int_equal(infomask_estimate_report(whole, &a, NULL), INFOMASK_OK);
    assert_int_equal(infomask_estimate_report(read, &b, NULL), INFOMASK_OK);
    assert_true(a.estimate == b.estimate && a.temperature == b.temperature && a.samples == 300 && a.classes_seen == 3);
    double mean = 0;
    for (size_t y = 0; y < 3; y++)
        mean += a.by_class[y].information * (double)a.by_class[y].samples / 300;
    assert_true(fabs(mean - a.estimate) < 1e-12 && isnan(a.by_class[3].mean_pmi));
    assert_true(fabs(a.by_class[0].mean_pmi - a.by_class[0].information - log(4.0 / 3)) < 1e-12);
    infomask_report_fini(&a);
    infomask_report_fini(&b);
    infomask_estimate_free(whole);
    infomask_estimate_free(part[0]);
    infomask_estimate_free(part[1]);
    infomask_estimate_free(read);
}

static void tasks_have_names(void **state)
{
    struct infomask_task task;
    (void)state;
    assert_false(infomask_task_find("none", &task));
    assert_null(infomask_task_name(1000));
    assert_string_equal(infomask_task_name(0), "ref-bal-d1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_precision_rounds_to_nearest),
        cmocka_unit_test(kept_logits_give_the_sample_again),
        cmocka_unit_test(what_cannot_be_added_is_refused),
        cmocka_unit_test(shards_and_bytes_give_the_same_report),
        cmocka_unit_test(tasks_have_names),
    };
    return cmocka_run_group_tests_name("pipeline estimate", tests, NULL, NULL);
}
