/* The digits model that comes with the project: the first test digit of each kind, by `make run`'s own files. */
#include "test.h"

#include <math.h>

#include "app/model/folder_read.h"
#include "core/image/image.h"

#define FOLDER "config/models/digits"

struct fixture {
    struct model_folder folder;
    struct infomask_model *model;
    struct infomask_session *session;
};

static void no_warning(void *unused, const char *sentence)
{
    (void)unused;
    fail_msg("%s", sentence);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct infomask_error err = {0};

    assert_non_null(f);
    if (model_folder_read(FOLDER, INFOMASK_F32, NULL, no_warning, NULL, &f->folder, &err) != INFOMASK_OK ||
        infomask_model_load(&f->folder.spec, &f->model, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    assert_int_equal(infomask_session_create(f->model, NULL, &f->session, &err), INFOMASK_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    infomask_session_free(f->session);
    infomask_model_free(f->model);
    model_folder_fini(&f->folder);
    free(f);
    return 0;
}

static void *read_digit(int digit, size_t *size)
{
    char path[64];
    FILE *file;
    void *bytes = malloc(4096);

    (void)snprintf(path, sizeof path, "tests/data/digits/%d.png", digit);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 4096, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void each_digit_is_read(void **state)
{
    struct fixture *f = *state;
    struct infomask_limits limits = infomask_default_limits();
    struct infomask_classify_options options = {.samples = 8, .seed = 1};
    struct infomask_classification c;
    struct infomask_photo *photo;
    struct infomask_error err = {0};

    for (int digit = 0; digit < 10; digit++) {
        size_t size;
        void *bytes = read_digit(digit, &size);
        assert_int_equal(infomask_photo_open(bytes, size, &limits, &photo, &err), INFOMASK_OK);
        if (infomask_classify(f->session, photo, &options, &c, &err) != INFOMASK_OK)
            fail_msg("%d: %s", digit, err.text);
        assert_int_equal(c.order[0], digit);
        assert_true(c.information > 1 && c.information <= -log(5421.0 / 60000));
        assert_true(c.model_information > 0); /* its dropout is there */
        infomask_classification_fini(&c);
        infomask_photo_close(photo);
        free(bytes);
    }
}

static void it_is_small_and_has_class_maps(void **state)
{
    struct fixture *f = *state;
    const struct infomask_model_info *info = infomask_model_info(f->model);

    assert_int_equal(info->classes, 10);
    assert_int_equal(info->channels, 1);
    assert_true(info->class_map && info->noise && !info->fixed_size);
    assert_true(info->weight_bytes < 2000000); /* as packed: transformed 3 x 3 filters are four times their size */
    assert_true(fabs(info->prior_entropy - 2.3012) < 1e-3);
    assert_string_equal(f->folder.labels.names[7], "7");
}

static void grey_row(void *context, int y, uint8_t *row)
{
    (void)y;
    memset(row, 128, 3 * *(const size_t *)context);
}

/* JPEG is decoded at an eighth or a quarter of its size where that is enough. */
static void classify_grey(struct infomask_session *session, int width, int height)
{
    struct infomask_classification c;
    struct infomask_photo *photo;
    struct infomask_error err = {0};
    size_t row = (size_t)width, size;
    uint8_t *bytes;

    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){width, height, 50, NULL, 0}, grey_row, &row, &bytes, &size, &err), INFOMASK_OK);
    assert_int_equal(infomask_photo_open(bytes, size, NULL, &photo, &err), INFOMASK_OK);
    if (infomask_classify(session, photo, &(struct infomask_classify_options){0}, &c, &err) != INFOMASK_OK)
        fail_msg("%d x %d: %s", width, height, err.text);
    infomask_classification_fini(&c);
    infomask_photo_close(photo);
    free(bytes);
}

/* The view of a whole photo ends where its picture ends, however the quotients of their sizes are rounded. */
static void photos_of_every_size_are_read(void **state)
{
    struct fixture *f = *state;
    struct infomask_model_spec spec = f->folder.spec;
    struct infomask_model *squash;
    struct infomask_session *session;
    struct infomask_error err = {0};

    spec.fit = INFOMASK_SQUASH;
    assert_int_equal(infomask_model_load(&spec, &squash, &err), INFOMASK_OK);
    assert_int_equal(infomask_session_create(squash, NULL, &session, &err), INFOMASK_OK);
    for (int side = 8; side < 640; side++) {
        classify_grey(f->session, side, side + side % 3);
        classify_grey(session, side, 640 - side % 100);
    }
    infomask_session_free(session);
    infomask_model_free(squash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_digit_is_read),
        cmocka_unit_test(it_is_small_and_has_class_maps),
        cmocka_unit_test(photos_of_every_size_are_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
