#include <math.h>

#include "core/image/pixels.h"

static double linear(double v) { return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4); }

/* The cube root with the linear piece near black that CIE 15 gives it. */
static double lab_root(double t) { return t > 216.0 / 24389.0 ? cbrt(t) : (24389.0 / 27.0 * t + 16.0) / 116.0; }

void pixels_lab(const float *rgb, size_t n, float *lab)
{
    for (size_t i = 0; i < n; i++) {
        double r = linear(rgb[3 * i]), g = linear(rgb[3 * i + 1]), b = linear(rgb[3 * i + 2]);
        double x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.950456;
        double y = 0.212671 * r + 0.715160 * g + 0.072169 * b;
        double z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754;
        double fx = lab_root(x), fy = lab_root(y), fz = lab_root(z);
        lab[3 * i] = (float)(116.0 * fy - 16.0);
        lab[3 * i + 1] = (float)(500.0 * (fx - fy));
        lab[3 * i + 2] = (float)(200.0 * (fy - fz));
    }
}
