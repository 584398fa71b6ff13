/* The network's input of three photos, bit for bit as an independent implementation made it. */
#include "test.h"

#include "core/base/pool.h"
#include "core/image/image.h"
#include "files.h"

enum { SIDE = 224, SAMPLES = SIDE * SIDE * 3 };

static void check(const char *photo, const char *tensor_name, struct pool *pool)
{
    static const struct image_normalise normalise = {
        .color = IMAGE_RGB, .mean = {127, 127, 127}, .std = {128, 128, 128}};
    struct infomask_error err = {0};
    struct image image;
    struct image_view view;
    struct file file = file_load("photos", photo), golden = file_load("golden", tensor_name);
    float *tensor = malloc(SAMPLES * sizeof *tensor);

    assert_non_null(tensor);
    assert_int_equal(golden.size, SAMPLES * sizeof(float));
    assert_int_equal(image_decode(file.data, file.size, NULL, &image, &err), INFOMASK_OK);
    view = image_view_crop(image.width, image.height, 0.875, SIDE, SIDE);
    assert_int_equal(image_tensor(&image, &view, &normalise, pool, tensor, &err), INFOMASK_OK);
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t channel = i % 3, pixel = i / 3;
        assert_memory_equal(&tensor[i], golden.data + (channel * SIDE * SIDE + pixel) * sizeof(float), sizeof(float));
    }
    image_fini(&image);
    free(tensor);
    free(golden.data);
    free(file.data);
}

static void photos_become_the_golden_tensors(void **state)
{
    struct pool *pool;

    (void)state;
    check("chelsea.png", "chelsea.input.f32", NULL);
    check("coffee.png", "coffee.input.f32", NULL);
    check("rocket.jpg", "rocket.input.f32", NULL);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        check("coffee.png", "coffee.input.f32", pool);
        check("rocket.jpg", "rocket.input.f32", pool);
        pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(photos_become_the_golden_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
