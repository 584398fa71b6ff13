/* How a classifier wants its photos: what people call by one word, and what a file's own shape says of it. */
#ifndef APP_MODEL_ADD_PRESET_H
#define APP_MODEL_ADD_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/infomask_lab.h"

enum preset_layout { PRESET_ANY_LAYOUT, PRESET_NCHW, PRESET_NHWC };

struct preset {
    const char *name;
    const char *color; /* "RGB", "BGR"; photos of one channel are GRAY whatever it says */
    double mean[3], std[3]; /* of 0..255, in the order of the colour */
    const char *resize, *fit;
    double crop;
    int resize_to; /* squash: to this side first, then the centre is cut out; 0: straight to the network's size */
    enum preset_layout layout;
    bool photos; /* three channels only */
    const char *about;
};

/* NULL: no preset has that name. */
const struct preset *preset_named(const char *name);
/* All names with commas between them. */
const char *preset_names(void);

/* What the file itself gives to understand; *known: it tells (its first layers normalise), else it is the most common
 * one for such a file and nothing but a guess.  reason: half a sentence for people. */
const struct preset *preset_guess(const struct infomask_inspection *file, bool *known, const char **reason);
/* The same for pictures whose first channel is blue. */
struct preset preset_blue_first(const struct preset *preset);

/* Why the preset cannot be meant for such a file; NULL: it can. */
const char *preset_contradiction(const struct preset *preset, const struct infomask_inspection *file);

#endif
