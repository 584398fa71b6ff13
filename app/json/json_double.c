/* Doubles as their shortest decimal text that reads back as the same bits. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/json/json.h"

#define LEAST 1e-4 /* within these %g has no exponent, and m * 10^k below has fewer than 120 bits */
#define MOST 1e15
#define DIGITS_17 10000000000000000u /* the least number of 17 digits */

__extension__ typedef unsigned __int128 wide;

/* digits / 10^decimals, without the zeros at its end */
static int fixed_text(uint64_t digits, int decimals, bool minus, char text[JSON_DOUBLE_TEXT])
{
    char reversed[JSON_DOUBLE_TEXT];
    int size = 0, length = 0;

    for (; decimals > 0 && digits % 10 == 0; decimals--)
        digits /= 10;
    for (int i = 0; i <= decimals || digits > 0; i++, digits /= 10) {
        if (i == decimals && i > 0)
            reversed[size++] = '.';
        reversed[size++] = (char)('0' + digits % 10);
    }
    if (minus)
        text[length++] = '-';
    while (size > 0)
        text[length++] = reversed[--size];
    text[length] = '\0';
    return length;
}

/* LEAST <= |value| < MOST, in whole numbers: |value| = m / 2^s, and scaled / 2^s = |value| 10^k has 17 digits.  Of
 * these the last two, one or none are rounded away (to even), as long as what is left is nearer to the value than half
 * the way to the next double. */
static int shortest(double value, char text[JSON_DOUBLE_TEXT])
{
    int exponent, k = 2;
    uint64_t m = (uint64_t)ldexp(frexp(fabs(value), &exponent), 53), digits;
    int s = 53 - exponent;
    wide power = 100;

    for (; (m * power >> s) < DIGITS_17; k++)
        power *= 10;
    for (unsigned cut = 2, unit = 100;; cut--, unit /= 10) {
        wide scaled = m * power, step = (wide)unit << s;
        digits = (uint64_t)((scaled + step / 2) / step);
        if (digits * step - scaled == step / 2)
            digits &= ~(uint64_t)1;
        bool below = digits * step < scaled;
        wide error = below ? scaled - digits * step : digits * step - scaled;
        if (below && m == (uint64_t)1 << 52) /* the doubles below a power of two are twice as dense */
            error *= 2;
        if (cut == 0 || 2 * error < power || (2 * error == power && m % 2 == 0))
            return fixed_text(digits, k - (int)cut, value < 0, text);
    }
}

/* Any decimal of up to 15 digits survives a normal double, and %g drops the zeros at its end: 15 digits are the
 * shortest if they read back; else 16, else 17, which always do.  Subnormal doubles may need fewer than 15. */
int json_double_text(double finite, char text[JSON_DOUBLE_TEXT])
{
    int digits = fpclassify(finite) == FP_SUBNORMAL ? 1 : 15, length = 0;
    double back;

    if (fabs(finite) >= LEAST && fabs(finite) < MOST) /* most numbers; the way below takes ten times as long */
        return shortest(finite, text);
    do {
        length = snprintf(text, JSON_DOUBLE_TEXT, "%.*g", digits, finite);
        back = strtod(text, NULL);
    } while (digits++ < 17 && (back < finite || back > finite));
    return length;
}
