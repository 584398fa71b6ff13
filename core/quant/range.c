/* The range of activations: a histogram by the upper 16 bits of each value, and the search on it. */
#include <math.h>
#include <string.h>

#include "core/quant/internal.h"

#define STEPS 255
#define SHRINKS 64 /* candidates for each end: 1, 63/64, ... of what was seen */

void range_count(struct range_counts *counts, const float *x, size_t n)
{
    float least = counts->least, largest = counts->largest;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        counts->bins[bits >> 16]++;
        least = x[i] < least ? x[i] : least;
        largest = x[i] > largest ? x[i] : largest;
    }
    counts->least = least;
    counts->largest = largest;
}

void range_merge(struct range_counts *into, const struct range_counts *from)
{
    for (size_t i = 0; i < RANGE_BINS; i++)
        into->bins[i] += from->bins[i];
    into->least = fminf(into->least, from->least);
    into->largest = fmaxf(into->largest, from->largest);
}

/* The middle of a bin. */
static double bin_value(uint32_t bin)
{
    uint32_t bits = bin << 16 | 0x8000;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* Sum of the squared errors: rounding is even within a step, what lies outside is moved to the end. */
static double squared_error(const struct range_counts *counts, double low, double high)
{
    double step = (high - low) / STEPS, rounding = step * step / 12, sum = 0;

    for (uint32_t bin = 0; bin < RANGE_BINS; bin++) {
        double value, outside;
        if (counts->bins[bin] == 0)
            continue;
        value = bin_value(bin);
        outside = value < low ? low - value : value > high ? value - high : 0;
        sum += (double)counts->bins[bin] * (rounding + outside * outside);
    }
    return sum;
}

void range_best(const struct range_counts *counts, float *low, float *high)
{
    double ends[2] = {fmin((double)counts->least, 0), fmax((double)counts->largest, 0)};
    const double widest[2] = {ends[0], ends[1]};

    /* each end in turn with the other one fixed, until nothing changes: the error is smooth and has one valley */
    for (int round = 0; round < 8; round++) {
        bool changed = false;
        for (int end = 0; end < 2; end++) {
            double best = squared_error(counts, ends[0], ends[1]);
            for (int i = SHRINKS; i > 0; i--) {
                double tried[2] = {ends[0], ends[1]}, error;
                tried[end] = widest[end] * i / SHRINKS;
                error = squared_error(counts, tried[0], tried[1]);
                if (error < best) {
                    best = error;
                    ends[end] = tried[end];
                    changed = true;
                }
            }
        }
        if (!changed)
            break;
    }
    *low = (float)ends[0];
    *high = (float)ends[1];
}

void range_scale(float low, float high, float *scale, int *zero)
{
    double from = fmin((double)low, 0), to = fmax((double)high, 0), step = (to - from) / STEPS;

    *scale = step > 0 && isnormal((float)step) ? (float)step : 1;
    *zero = (int)fmin(fmax(rint(-from / (double)*scale), 0), STEPS);
}
