/* Thin parts that join a mask, on pictures drawn by hand. */
#include "test.h"

#include <string.h>

#include "core/mask/mask.h"

#define H 60
#define W 80

struct picture {
    float saliency[H * W], x[H * W], gate[H * W];
};

static void fill(float *m, int left, int top, int width, int height, float value)
{
    for (int y = top; y < top + height; y++)
        for (int x = left; x < left + width; x++)
            m[y * W + x] = value;
}

/* A body of 40 x 20 in the mask, on ground of .1. */
static void draw_body(struct picture *p)
{
    *p = (struct picture){0};
    fill(p->saliency, 0, 0, W, H, 0.1F);
    fill(p->saliency, 20, 10, 40, 20, 0.9F);
    fill(p->x, 20, 10, 40, 20, 0.9F);
    fill(p->gate, 20, 10, 40, 20, 1);
}

static size_t join(struct picture *p, bool gated)
{
    size_t count = 0;

    assert_int_equal(mask_limbs(p->saliency, H, W, p->x, gated ? p->gate : NULL, NULL), INFOMASK_OK);
    for (int i = 0; i < H * W; i++)
        count += p->x[i] >= 0.5F && (!gated || p->gate[i] >= 0.5F);
    return count - 40 * 20;
}

static void a_faint_leg_joins_the_body(void **state)
{
    struct picture p;

    (void)state;
    for (int gated = 0; gated < 2; gated++) {
        draw_body(&p);
        fill(p.saliency, 25, 30, 6, 15, 0.35F);
        fill(p.saliency, 31, 42, 12, 5, 0.35F); /* round a corner */
        assert_int_equal(join(&p, gated), 6 * 15 + 12 * 5);
    }
}

static void what_is_faint_wide_or_apart_does_not(void **state)
{
    struct picture p;

    (void)state;
    draw_body(&p);
    fill(p.saliency, 25, 30, 6, 15, 0.2F); /* hardly more than the ground */
    assert_int_equal(join(&p, true), 0);
    draw_body(&p);
    fill(p.saliency, 25, 30, 20, 20, 0.35F); /* as wide as a body */
    assert_int_equal(join(&p, true), 0);
    draw_body(&p);
    fill(p.saliency, 25, 33, 6, 15, 0.35F); /* not touching it */
    assert_int_equal(join(&p, true), 0);
    memset(&p, 0, sizeof p);
    fill(p.saliency, 25, 30, 6, 15, 0.9F); /* no body */
    assert_int_equal(join(&p, true) + 40 * 20, 0);
}

static void pictures_smaller_than_a_part_are_left(void **state)
{
    float saliency[3] = {0, 1, 0}, x[3] = {0, 1, 0};

    (void)state;
    assert_int_equal(mask_limbs(saliency, 1, 3, x, NULL, NULL), INFOMASK_OK);
    assert_true(x[0] == 0 && x[1] == 1 && x[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_faint_leg_joins_the_body),
        cmocka_unit_test(what_is_faint_wide_or_apart_does_not),
        cmocka_unit_test(pictures_smaller_than_a_part_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
