/* A PNG may say in numbers what others say in a profile: gAMA and cHRM (PNG 11.3.3).  What we write in its place may be
 * a JPEG, so they become a profile: a matrix and a power function, ICC.1:2001-04. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/codec/decode.h"

enum { HEADER = 128, TAGS = 9, TABLE = 4 + 12 * TAGS, XYZ = 20, CURVE = 16, TEXT = 16, NAME = 12 + 8 + 79 };
enum { SIZE = HEADER + TABLE + 4 * XYZ + CURVE + TEXT + NAME + 1 };

#define LEAST_GAMMA 0.1
#define MOST_GAMMA 10
#define MOST_XYZ 8

static const double d50[3] = {.9642, 1, .8249};

struct matrix {
    double m[3][3];
};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xFFFF);
}

/* ---- Colour ------------------------------------------------------------------------------------------------------ */

static struct matrix product(const struct matrix *a, const struct matrix *b)
{
    struct matrix out;

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out.m[i][j] = a->m[i][0] * b->m[0][j] + a->m[i][1] * b->m[1][j] + a->m[i][2] * b->m[2][j];
    return out;
}

static void transform(const struct matrix *a, const double *v, double *out)
{
    for (int i = 0; i < 3; i++)
        out[i] = a->m[i][0] * v[0] + a->m[i][1] * v[1] + a->m[i][2] * v[2];
}

/* By its cofactors; of infinities and NaN where there is none. */
static struct matrix inverse(const struct matrix *a)
{
    struct matrix out;
    double det = 0;

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out.m[j][i] = a->m[(i + 1) % 3][(j + 1) % 3] * a->m[(i + 2) % 3][(j + 2) % 3] -
                          a->m[(i + 1) % 3][(j + 2) % 3] * a->m[(i + 2) % 3][(j + 1) % 3];
    for (int j = 0; j < 3; j++)
        det += a->m[0][j] * out.m[j][0];
    for (int i = 0; i < 9; i++)
        out.m[i / 3][i % 3] /= det;
    return out;
}

/* XYZ of a chromaticity, Y = 1. */
static void xyz_of(const double *xy, double *xyz)
{
    xyz[0] = xy[0] / xy[1];
    xyz[1] = 1;
    xyz[2] = (1 - xy[0] - xy[1]) / xy[1];
}

/* Bradford's adaptation of the white to D50 (ICC.1:2001-04, annex E). */
static struct matrix adaptation(const double *white)
{
    static const struct matrix cone = {{{.8951, .2664, -.1614}, {-.7502, 1.7135, .0367}, {.0389, -.0685, 1.0296}}};
    double from[3], to[3];
    struct matrix scaled, back = inverse(&cone);

    transform(&cone, white, from);
    transform(&cone, d50, to);
    for (int i = 0; i < 9; i++)
        scaled.m[i / 3][i % 3] = cone.m[i / 3][i % 3] * to[i / 3] / from[i / 3];
    return product(&back, &scaled);
}

/* XYZ of red, green and blue under D50, as columns; xy [4, 2]: white, red, green, blue.  False: there are none. */
static bool colorants(const double *xy, struct matrix *out)
{
    double white[3], column[3], share[3];
    struct matrix primaries, back, to_d50;

    xyz_of(xy, white);
    for (int j = 0; j < 3; j++) {
        xyz_of(xy + 2 * (j + 1), column);
        for (int i = 0; i < 3; i++)
            primaries.m[i][j] = column[i];
    }
    back = inverse(&primaries);
    transform(&back, white, share); /* they add up to white */
    for (int i = 0; i < 9; i++)
        primaries.m[i / 3][i % 3] *= share[i % 3];
    to_d50 = adaptation(white);
    *out = product(&to_d50, &primaries);
    for (int i = 0; i < 9; i++)
        if (!(fabs(out->m[i / 3][i % 3]) < MOST_XYZ)) /* nor NaN */
            return false;
    return true;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

static void put_fixed(uint8_t *p, double v) { put32(p, (uint32_t)(int32_t)lrint(v * 65536)); }

static void put_xyz(uint8_t *p, double x, double y, double z)
{
    memcpy(p, "XYZ ", 4);
    put_fixed(p + 8, x);
    put_fixed(p + 12, y);
    put_fixed(p + 16, z);
}

static void put_header(uint8_t *icc)
{
    put32(icc, SIZE);
    put32(icc + 8, 0x02100000);
    memcpy(icc + 12, "mntrRGB XYZ ", 12);
    memcpy(icc + 36, "acsp", 4);
    for (int i = 0; i < 3; i++)
        put_fixed(icc + 68 + 4 * i, d50[i]);
    put32(icc + HEADER, TAGS);
}

static void put_tag(uint8_t *icc, int number, const char *name, uint32_t at, uint32_t size)
{
    uint8_t *p = icc + HEADER + 4 + 12 * number;

    memcpy(p, name, 4);
    put32(p + 4, at);
    put32(p + 8, size);
}

uint8_t *icc_make(double gamma, const double *xy, size_t *size)
{
    static const char *const names[] = {"wtpt", "rXYZ", "gXYZ", "bXYZ"}, *const curves[] = {"rTRC", "gTRC", "bTRC"};
    uint32_t at = HEADER + TABLE;
    struct matrix of;
    uint8_t *icc = gamma > LEAST_GAMMA && gamma < MOST_GAMMA && colorants(xy, &of) ? calloc(1, SIZE) : NULL;

    if (icc == NULL)
        return NULL;
    put_header(icc);
    put_xyz(icc + at, d50[0], d50[1], d50[2]);
    for (int i = 0; i < 4; i++, at += XYZ) {
        put_tag(icc, i, names[i], at, XYZ);
        if (i > 0)
            put_xyz(icc + at, of.m[0][i - 1], of.m[1][i - 1], of.m[2][i - 1]);
    }
    memcpy(icc + at, "curv", 4);
    put32(icc + at + 8, 1);
    put16(icc + at + 12, (unsigned)lrint(gamma * 256));
    for (int i = 0; i < 3; i++)
        put_tag(icc, 4 + i, curves[i], at, 14);
    at += CURVE;
    memcpy(icc + at, "text\0\0\0\0none", 13);
    put_tag(icc, 7, "cprt", at, 13);
    at += TEXT;
    memcpy(icc + at, "desc", 4);
    put32(icc + at + 8, 5);
    memcpy(icc + at + 12, "gAMA", 5);
    put_tag(icc, 8, "desc", at, NAME);
    *size = SIZE;
    return icc;
}
