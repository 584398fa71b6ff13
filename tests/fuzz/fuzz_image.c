/* Any bytes as an image.  The property: the header's promise is kept (size, channels, orientation), every pixel can be
 * read, a failure has its sentence and leaves nothing, and a cut-out equals the whole. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT = 16 };

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            __builtin_trap(); \
    } while (0)

/* Small, so that an execution is cheap; the deadline ends what is not. */
static bool expired(void *context)
{
    int *left = context;

    return --*left < 0;
}

static struct image_limits small_limits(int *left)
{
    struct image_limits limits = image_default_limits;

    *left = 4000;
    limits.max_pixels = 1 << 18;
    limits.max_side = 2048;
    limits.max_scans = 20;
    limits.decoder_memory = 8 << 20;
    limits.expired = expired;
    limits.deadline_context = left;
    return limits;
}

static void check_failure(enum infomask_status status, const struct infomask_error *err, const struct image *image)
{
    REQUIRE(err->status == status && strlen(err->text) > 0 && strlen(err->text) < sizeof err->text - 1);
    REQUIRE(image->pixels == NULL && image->icc == NULL);
    REQUIRE(status == INFOMASK_UNSUPPORTED_FORMAT || status == INFOMASK_BAD_IMAGE ||
            status == INFOMASK_TOO_MANY_PIXELS || status == INFOMASK_DEADLINE || status == INFOMASK_MEMORY);
}

static void check_whole(const struct image *image, const struct image_info *info)
{
    unsigned sum = 0;

    REQUIRE(image->width == info->width && image->height == info->height);
    REQUIRE(image->channels == (info->alpha ? 4 : 3) && info->orientation >= 1 && info->orientation <= 8);
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height * (size_t)image->channels; i++)
        sum += image->pixels[i];
    REQUIRE(sum < UINT32_MAX);
    REQUIRE((image->icc == NULL) == (image->icc_size == 0) && image->icc_size <= 1 << 20);
}

/* The centre of the whole and of the part are resampled to the same pixels. */
static void check_view(const uint8_t *data, size_t size, const struct image_info *info, const struct image *whole)
{
    struct image_view view = image_view_crop(info->width, info->height, 0.6, OUT, OUT), scaled;
    uint8_t expected[OUT * OUT * 3], got[OUT * OUT * 3];
    struct infomask_error err = {0};
    struct image_limits limits;
    struct image part;
    int left;
    enum infomask_status status;

    limits = small_limits(&left);
    status = image_decode_view(&(struct image_source){data, size, &limits, NULL}, info, &view, &part, &scaled, &err);
    if (status != INFOMASK_OK) { /* it stops earlier than the whole, so it must not see more damage */
        REQUIRE(status == INFOMASK_DEADLINE || status == INFOMASK_MEMORY);
        return;
    }
    REQUIRE(image_resample(&part, &scaled, got, &err) == INFOMASK_OK);
    if (image_view_scale(info, &view) == 8) {
        REQUIRE(image_resample(whole, &view, expected, &err) == INFOMASK_OK);
        REQUIRE(memcmp(expected, got, sizeof got) == 0);
    }
    image_fini(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infomask_error err = {0};
    struct image_limits limits;
    struct image_info info;
    struct image image = {0};
    int left;
    enum infomask_status status;

    limits = small_limits(&left);
    status = image_probe(data, size, &limits, &info, &err);
    if (status != INFOMASK_OK) {
        check_failure(status, &err, &image);
        return 0;
    }
    status = image_decode(data, size, &limits, &image, &err);
    if (status != INFOMASK_OK) {
        check_failure(status, &err, &image);
        return 0;
    }
    check_whole(&image, &info);
    check_view(data, size, &info, &image);
    image_fini(&image);
    return 0;
}
