/* Doubles as their shortest decimal text that reads back as the same bits, and the double nearest to a text. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json.h"

#define LEAST 1e-4 /* within these %g has no exponent, and m * 10^k below has fewer than 120 bits */
#define MOST 1e15
#define DIGITS_17 10000000000000000u /* the least number of 17 digits */

#define SHORT_NUMBER 63           /* up to this many characters are copied as they are */
#define DIGITS_KEPT 800           /* what lies half the way between two doubles has at most 767 digits */
#define EXPONENT_MOST 1000000000000000 /* beyond any text's length: the digits cannot make up for it */

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

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* A number as 0.DIGITS times a power of ten. */
struct digits {
    char text[DIGITS_KEPT + 2]; /* and one more, for all that follow */
    int count;
    int64_t point; /* how many digits, from the first that is not 0, are before the decimal point */
};

/* The digits before the exponent; returns where they end.  Those past DIGITS_KEPT only say on which side of the number
 * made of the first ones it lies: one 1 says the same. */
static const char *take_digits(struct digits *d, const char *at, const char *end)
{
    bool fraction = false, more = false;

    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        bool leading = d->count == 0 && *at == '0';
        d->point += fraction ? -(int64_t)leading : !leading;
        if (d->count < DIGITS_KEPT && !leading)
            d->text[d->count++] = *at;
        else
            more = more || *at != '0';
    }
    if (more)
        d->text[d->count++] = '1';
    d->text[d->count] = '\0';
    return at;
}

/* At the e, or at the end. */
static int64_t take_exponent(const char *at, const char *end)
{
    int64_t exponent = 0;
    bool minus;

    if (at == end)
        return 0;
    at++;
    minus = *at == '-';
    for (at += *at == '-' || *at == '+'; at < end && exponent < EXPONENT_MOST; at++)
        exponent = exponent * 10 + (*at - '0');
    return minus ? -exponent : exponent;
}

static double read_long(const char *number, size_t size)
{
    char text[DIGITS_KEPT + 40];
    struct digits d = {.count = 0};
    bool minus = number[0] == '-';
    const char *end = number + size;
    int64_t exponent = take_exponent(take_digits(&d, number + minus, end), end);

    (void)snprintf(text, sizeof text, "%s.%se%lld", minus ? "-0" : "0", d.count > 0 ? d.text : "0",
                   (long long)(exponent + d.point));
    return strtod(text, NULL);
}

double json_double_read(const char *number, size_t size)
{
    char text[SHORT_NUMBER + 1];

    if (size > SHORT_NUMBER)
        return read_long(number, size);
    memcpy(text, number, size);
    text[size] = '\0';
    return strtod(text, NULL);
}
