#include "app/model/add/preset.h"

#include <string.h>

/* Values as the libraries have them that train such networks: torchvision and timm (imagenet, inception), Keras'
 * applications (tf, keras, caffe), CLIP's image encoders. */
static const struct preset presets[] = {
    {"imagenet",
     "RGB",
     {123.675, 116.28, 103.53},
     {58.395, 57.12, 57.375},
     "bilinear",
     "crop",
     0.875,
     0,
     PRESET_ANY_LAYOUT,
     true,
     "mean and deviation of ImageNet, as torchvision"},
    {"inception",
     "RGB",
     {127.5, 127.5, 127.5},
     {127.5, 127.5, 127.5},
     "bicubic",
     "crop",
     0.875,
     0,
     PRESET_ANY_LAYOUT,
     true,
     "-1 to 1, as timm's Inception and many vision transformers"},
    {"tf",
     "RGB",
     {127.5, 127.5, 127.5},
     {127.5, 127.5, 127.5},
     "bilinear",
     "squash",
     1,
     0,
     PRESET_NHWC,
     true,
     "-1 to 1, as Keras' MobileNet and Inception"},
    {"keras",
     "RGB",
     {0, 0, 0},
     {1, 1, 1},
     "bilinear",
     "squash",
     1,
     0,
     PRESET_NHWC,
     true,
     "bytes as they are: the network scales them itself, as Keras' EfficientNet"},
    {"caffe",
     "BGR",
     {103.939, 116.779, 123.68},
     {1, 1, 1},
     "bilinear",
     "squash",
     1,
     0,
     PRESET_ANY_LAYOUT,
     true,
     "BGR less ImageNet's mean, as Keras' ResNet50 and VGG"},
    {"clip",
     "RGB",
     {122.7709383, 116.7460125, 104.09373615},
     {68.5005327, 66.6321579, 70.3231463},
     "bicubic",
     "crop",
     1,
     0,
     PRESET_NCHW,
     true,
     "as the image encoders of CLIP"},
    {"unit", "RGB", {0, 0, 0}, {255, 255, 255}, "bilinear", "crop", 1, 0, PRESET_ANY_LAYOUT, false, "0 to 1"},
    {"bytes", "RGB", {0, 0, 0}, {1, 1, 1}, "bilinear", "crop", 1, 0, PRESET_ANY_LAYOUT, false, "0 to 255, as they are"},
};

const struct preset *preset_named(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

const char *preset_names(void)
{
    return "imagenet, inception, tf, keras, caffe, clip, unit, bytes";
}

const struct preset *preset_guess(const struct infomask_inspection *file, bool *known, const char **reason)
{
    *known = file->normalises || file->takes_unit || file->lightest > 0;
    if (file->normalises && file->takes_bytes) {
        *reason = file->whole_numbers ? "the file takes whole numbers" : "the network scales bytes itself";
        return preset_named(file->nhwc && file->channels == 3 ? "keras" : "bytes");
    }
    if (file->normalises) {
        *reason = "the network normalises values from 0 to 1 itself";
        return preset_named("unit");
    }
    if (file->takes_unit) {
        *reason = "the file is of ultralytics, whose networks take values from 0 to 1";
        return preset_named("unit");
    }
    if (file->lightest > 0) {
        *reason = "the file's metadata say so";
        return preset_named(file->lightest > 1 ? "bytes" : file->darkest < 0 ? "inception" : "unit");
    }
    *reason = "assumed: nothing in the file tells how its photos were normalised";
    return preset_named(file->channels == 1 ? "unit" : file->nhwc ? "tf" : "imagenet");
}

struct preset preset_blue_first(const struct preset *preset)
{
    struct preset turned = *preset;

    if (strcmp(preset->color, "BGR") == 0)
        return turned;
    turned.color = "BGR";
    for (int i = 0; i < 3; i++) {
        turned.mean[i] = preset->mean[2 - i];
        turned.std[i] = preset->std[2 - i];
    }
    return turned;
}

const char *preset_contradiction(const struct preset *preset, const struct infomask_inspection *file)
{
    if (preset->photos && file->channels == 1)
        return "is for photos of three channels, but the network takes one";
    if (preset->layout == PRESET_NHWC && !file->nhwc)
        return "is for networks whose channels come last (NHWC), but this one takes NCHW";
    if (preset->layout == PRESET_NCHW && file->nhwc)
        return "is for networks whose channels come first (NCHW), but this one takes NHWC";
    if (file->whole_numbers && (preset->std[0] != 1 || preset->mean[0] != 0))
        return "normalises, but the file takes whole numbers from 0 to 255: the preset for it is bytes";
    if (file->normalises && !file->takes_bytes && strcmp(preset->name, "unit") != 0)
        return "normalises, but the network does that itself and takes values from 0 to 1: the preset for it is unit";
    if (file->normalises && file->takes_bytes && preset->std[0] > 1)
        return "normalises, but the network does that itself and takes bytes: the preset for it is bytes";
    return NULL;
}
