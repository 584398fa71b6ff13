/* Canvases of digits, larger than the training view: "filter out all digits 0". */
#include "test.h"

#include "app/model/folder_read.h"
#include "core/image/image.h"
#include "core/infomask_mask.h"

enum { SIDE = 28, CELL = 56, ACROSS = 4, DOWN = 3, WIDTH = ACROSS * CELL, HEIGHT = DOWN * CELL, PIXELS = WIDTH * HEIGHT };

struct fixture {
    struct model_folder folder;
    struct infomask_model *model;
    struct infomask_session *session;
    uint8_t digit[10][SIDE * SIDE];
};

static void no_warning(void *unused, const char *sentence)
{
    (void)unused;
    fail_msg("%s", sentence);
}

static void read_digit(int digit, uint8_t *pixels)
{
    char path[64];
    uint8_t bytes[4096];
    struct image image;
    struct infomask_error err = {0};
    size_t size;
    FILE *file;

    (void)snprintf(path, sizeof path, "tests/data/digits/%d.png", digit);
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(image_decode(bytes, size, NULL, &image, &err), INFOMASK_OK);
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = image.pixels[i * image.channels];
    image_fini(&image);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct infomask_error err = {0};

    assert_non_null(f);
    if (model_folder_read("config/models/digits", INFOMASK_F32, NULL, no_warning, NULL, &f->folder, &err) != INFOMASK_OK ||
        infomask_model_load(&f->folder.spec, &f->model, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    assert_int_equal(infomask_session_create(f->model, NULL, &f->session, &err), INFOMASK_OK);
    for (int digit = 0; digit < 10; digit++)
        read_digit(digit, f->digit[digit]);
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

/* The digit of each cell of the canvas; -1: none. */
static void compose(const struct fixture *f, const int *digits, uint8_t *canvas)
{
    memset(canvas, 0, PIXELS);
    for (int i = 0; i < ACROSS * DOWN; i++) {
        int left = i % ACROSS * CELL + i * 11 % (CELL - SIDE), top = i / ACROSS * CELL + i * 17 % (CELL - SIDE);
        for (int y = 0; y < SIDE && digits[i] >= 0; y++)
            memcpy(canvas + (top + y) * WIDTH + left, f->digit[digits[i]] + y * SIDE, SIDE);
    }
}

static void canvas_row(void *context, int y, uint8_t *row)
{
    memcpy(row, (const uint8_t *)context + y * WIDTH, WIDTH);
}

struct subject {
    uint8_t *bytes;
    struct infomask_photo *photo;
    struct infomask_classification c;
};

static struct subject open_canvas(const struct fixture *f, uint8_t *canvas)
{
    struct image_png png = {.width = WIDTH, .height = HEIGHT, .channels = 1, .bits = 8};
    struct infomask_limits limits = infomask_default_limits();
    struct infomask_classify_options options = {0};
    struct infomask_error err = {0};
    struct subject s;
    size_t size;

    assert_int_equal(image_encode_png(&png, canvas_row, canvas, &s.bytes, &size, &err), INFOMASK_OK);
    assert_int_equal(infomask_photo_open(s.bytes, size, &limits, &s.photo, &err), INFOMASK_OK);
    infomask_photo_whole(s.photo);
    assert_int_equal(infomask_classify(f->session, s.photo, &options, &s.c, &err), INFOMASK_OK);
    return s;
}

static void close_canvas(struct subject *s)
{
    infomask_classification_fini(&s->c);
    infomask_photo_close(s->photo);
    free(s->bytes);
}

/* Exactly the ink of the target's digits, as many objects as there are of them. */
static void each_digit_is_cut_out_alone(void **state)
{
    static const int all[] = {3, 0, -1, 8, 1, 6, 4, 2, 9, 5, 7, 0};
    struct fixture *f = *state;
    struct infomask_mask_options options = infomask_default_mask_options();
    uint8_t canvas[PIXELS], alone[PIXELS];
    struct infomask_mask mask;
    struct infomask_error err = {0};
    struct subject s;

    compose(f, all, canvas);
    s = open_canvas(f, canvas);
    for (int target = 0; target < 10; target++) {
        int only[ACROSS * DOWN];
        options.targets = &target;
        options.target_count = 1;
        for (int i = 0; i < ACROSS * DOWN; i++)
            only[i] = all[i] == target ? target : -1;
        compose(f, only, alone);
        if (infomask_mask(f->session, s.photo, &s.c, &options, &mask, &err) != INFOMASK_OK)
            fail_msg("%d: %s", target, err.text);
        assert_int_equal(mask.rule, INFOMASK_THRESHOLD_WINDOW);
        assert_int_equal(mask.object_count, target == 0 || target == 5 ? 2 : 1); /* this 5 has two strokes */
        for (int i = 0; i < PIXELS; i++)
            assert_int_equal(mask.pixels[i] != 0, alone[i] != 0);
        infomask_mask_fini(&mask);
    }
    close_canvas(&s);
}

static void check_filtered(const struct infomask_filtered *filtered, const uint8_t *want)
{
    struct infomask_error err = {0};
    struct image image;

    assert_int_equal(image_decode(filtered->image.data, filtered->image.size, NULL, &image, &err), INFOMASK_OK);
    for (int i = 0; i < PIXELS; i++)
        assert_int_equal(image.pixels[i * image.channels], want[i]);
    image_fini(&image);
}

/* All zeros go, whatever else is there stays as it was; without a zero nothing changes. */
static void all_zeros_are_filtered_out(void **state)
{
    static const int with[] = {0, 7, -1, 0, 5, 0, 3, -1, 8, 1, 0, 4};
    struct fixture *f = *state;
    struct infomask_filter_options options = infomask_default_filter_options();
    struct infomask_filtered filtered;
    struct infomask_error err = {0};
    int without[ACROSS * DOWN], target = 0;
    uint8_t canvas[PIXELS], want[PIXELS];

    options.mask.targets = &target;
    options.mask.target_count = 1;
    for (int i = 0; i < ACROSS * DOWN; i++)
        without[i] = with[i] == 0 ? -1 : with[i];
    compose(f, without, want);
    compose(f, with, canvas);
    for (int zeros = 1; zeros >= 0; zeros--) {
        struct subject s = open_canvas(f, zeros == 1 ? canvas : want);
        if (infomask_filter(f->session, s.photo, &s.c, &options, NULL, &filtered, &err) != INFOMASK_OK)
            fail_msg("%s", err.text);
        check_filtered(&filtered, want);
        assert_int_equal(filtered.passes, zeros);
        assert_int_equal(filtered.mask.object_count, zeros * 4);
        infomask_filtered_fini(&filtered);
        close_canvas(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_digit_is_cut_out_alone),
        cmocka_unit_test(all_zeros_are_filtered_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
