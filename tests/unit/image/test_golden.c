/* The network's input of three photos, bit for bit as an independent implementation made it. */
#include "test.h"

#include "core/base/pool.h"
#include "core/image/image.h"

enum { SIDE = 224, SAMPLES = SIDE * SIDE * 3 };

static uint8_t *load(const char *folder, const char *name, const char *suffix, size_t *size)
{
    char path[256];
    FILE *file;
    uint8_t *data;
    long length;

    (void)snprintf(path, sizeof path, "tests/data/%s/%s%s", folder, name, suffix);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    length = ftell(file);
    assert_true(length > 0);
    rewind(file);
    data = malloc((size_t)length);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)length, file), length);
    assert_int_equal(fclose(file), 0);
    *size = (size_t)length;
    return data;
}

static void check(const char *name, const char *suffix, struct pool *pool)
{
    static const struct image_normalise normalise = {
        .color = IMAGE_RGB, .mean = {127, 127, 127}, .std = {128, 128, 128}};
    struct infomask_error err = {0};
    struct image image;
    struct image_view view;
    size_t size, golden_size;
    uint8_t *file = load("photos", name, suffix, &size), *golden = load("golden", name, ".input.f32", &golden_size);
    float *tensor = malloc(SAMPLES * sizeof *tensor);

    assert_non_null(tensor);
    assert_int_equal(golden_size, SAMPLES * sizeof(float));
    assert_int_equal(image_decode(file, size, NULL, &image, &err), INFOMASK_OK);
    view = image_view_crop(image.width, image.height, 0.875, SIDE, SIDE);
    assert_int_equal(image_tensor(&image, &view, &normalise, pool, tensor, &err), INFOMASK_OK);
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t channel = i % 3, pixel = i / 3;
        assert_memory_equal(&tensor[i], golden + (channel * SIDE * SIDE + pixel) * sizeof(float), sizeof(float));
    }
    image_fini(&image);
    free(tensor);
    free(golden);
    free(file);
}

static void photos_become_the_golden_tensors(void **state)
{
    struct pool *pool;

    (void)state;
    check("chelsea", ".png", NULL);
    check("coffee", ".png", NULL);
    check("rocket", ".jpg", NULL);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        check("coffee", ".png", pool);
        check("rocket", ".jpg", pool);
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
