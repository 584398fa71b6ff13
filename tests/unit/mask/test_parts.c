/* Which tensors link the cells, of networks as they are. */
#include "core/mask/mask.h"
#include "tests/unit/test.h"

#define MOST 20

static const double standard[MASK_LEVELS] = {0, 1, .5}, fast[MASK_LEVELS] = {1, 1, .2};

/* Ends with -1. */
static void check(const struct mask_tensor *tensors, int count, struct mask_tensor features, const double *weight,
                  const int *want)
{
    struct mask_part parts[MOST];
    int got = mask_parts(tensors, count, &features, weight, parts), n = 0;

    for (; want[n] >= 0; n++)
        if (n < got)
            assert_int_equal(parts[n].tensor, want[n]);
    assert_int_equal(got, n);
}

static void parts_of_networks_as_they_are(void **state)
{
    /* EfficientNet-Lite0 at 448 x 448 */
    static const struct mask_tensor lite[] = {{112, 112, 24}, {56, 56, 40}, {28, 28, 80}, {28, 28, 80}, {28, 28, 112},
                                              {28, 28, 112}, {14, 14, 192}, {14, 14, 192}, {14, 14, 192}};
    /* ResNet-50: the last sum is the features */
    static const struct mask_tensor deep[] = {{112, 112, 256}, {112, 112, 256}, {112, 112, 256}, {56, 56, 512},
                                              {56, 56, 512}, {56, 56, 512}, {56, 56, 512}, {28, 28, 1024},
                                              {28, 28, 1024}, {28, 28, 1024}, {28, 28, 1024}, {28, 28, 1024},
                                              {28, 28, 1024}, {14, 14, 2048}, {14, 14, 2048}, {14, 14, 2048}};
    static const struct mask_tensor one_each[] = {{56, 56, 64}, {28, 28, 128}, {14, 14, 256}};
    static const struct mask_tensor coarse[] = {{14, 14, 256}, {14, 14, 256}}, none[] = {{0, 0, 0}};

    (void)state;
    check(lite, 9, (struct mask_tensor){14, 14, 1280}, standard, (int[]){3, 5, 8, -1});
    check(lite, 9, (struct mask_tensor){14, 14, 1280}, fast, (int[]){1, 3, 5, 8, -1});
    check(deep, 16, (struct mask_tensor){14, 14, 2048}, standard, (int[]){7, 12, -1});
    check(deep, 16, (struct mask_tensor){14, 14, 2048}, fast, (int[]){6, 7, 12, -1});
    check(deep, 16, (struct mask_tensor){14, 14, 0}, standard, (int[]){7, 12, 15, -1}); /* no pooled head */
    check(one_each, 3, (struct mask_tensor){14, 14, 256}, standard, (int[]){1, -1});
    check(coarse, 2, (struct mask_tensor){14, 14, 256}, standard, (int[]){1, -1}); /* better than nothing */
    check(none, 1, (struct mask_tensor){14, 14, 256}, standard, (int[]){-1});
    check(lite, 0, (struct mask_tensor){14, 14, 1280}, standard, (int[]){-1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_of_networks_as_they_are)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
