#include "app/settings/npy.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "core/base/checked.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6
#define HEADER_MOST 65536
#define MOST_TEXT 4096 /* characters of a text */

static enum infomask_status bad(struct infomask_error *err, const char *what)
{
    return error_set(err, INFOMASK_BAD_DATA, "not a .npy file that can be read: %s", what);
}

/* Where the text of the header begins and how long it is. */
static enum infomask_status find_header(const unsigned char *bytes, size_t size, size_t *start, size_t *length,
                                        struct infomask_error *err)
{
    if (size < 10 || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return bad(err, "it does not begin with \\x93NUMPY");
    if (bytes[6] == 1) {
        *start = 10;
        *length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    } else if ((bytes[6] == 2 || bytes[6] == 3) && size >= 12) {
        *start = 12;
        *length = (size_t)bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    } else {
        return bad(err, "its format version is none of 1, 2, 3");
    }
    if (*length > HEADER_MOST || *length > size - *start)
        return bad(err, "its header is cut off");
    return INFOMASK_OK;
}

/* What follows 'key': in the dictionary that NumPy writes; NULL if it is not there. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (at == NULL)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    return at + 1 + strspn(at + 1, " ");
}

/* "(2, 3, 4)", "(5,)", "()" */
static enum infomask_status parse_shape(const char *at, struct npy *npy, struct infomask_error *err)
{
    if (at == NULL || *at++ != '(')
        return bad(err, "its header has no shape");
    npy->count = 1;
    for (;;) {
        char *end;
        unsigned long long dim;
        at += strspn(at, " ");
        if (*at == ')')
            return INFOMASK_OK;
        if (*at < '0' || *at > '9' || npy->rank == NPY_MAX_RANK)
            return bad(err, "its shape is not one of at most 8 sizes");
        dim = strtoull(at, &end, 10);
        npy->dims[npy->rank++] = (size_t)dim;
        if (!checked_mul(npy->count, (size_t)dim, &npy->count) || npy->count > NPY_MOST / sizeof(float))
            return error_set(err, INFOMASK_LIMIT, "the tensor has more than %zu elements, the most that is read",
                             NPY_MOST / sizeof(float));
        at = end + strspn(end, " ");
        if (*at == ',')
            at++;
        else if (*at != ')')
            return bad(err, "its shape is not one of at most 8 sizes");
    }
}

/* What a reader takes. */
enum wanted { FLOAT32, NUMBERS, TABLES, TEXTS }; /* TABLES: numbers, in either order */

/* How the elements of a file are stored. */
struct storage {
    const char *name; /* as NumPy writes it */
    size_t bytes;
    double (*value)(const void *element);
    bool turned;      /* the highest byte comes first */
};

#define STORAGE(name, type)                         \
    static double value_##name(const void *element) \
    {                                               \
        type v;                                     \
        memcpy(&v, element, sizeof v);              \
        return (double)v;                           \
    }
STORAGE(f4, float)
STORAGE(f8, double)
STORAGE(u1, uint8_t)
STORAGE(i1, int8_t)
STORAGE(u2, uint16_t)
STORAGE(i2, int16_t)
STORAGE(u4, uint32_t)
STORAGE(i4, int32_t)
STORAGE(u8, uint64_t)
STORAGE(i8, int64_t)
#undef STORAGE

static double value_f2(const void *element)
{
    uint16_t v;
    int exponent, fraction;
    double size;

    memcpy(&v, element, sizeof v);
    exponent = v >> 10 & 31;
    fraction = v & 1023;
    size = exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);
    if (exponent == 31)
        size = fraction > 0 ? NAN : INFINITY;
    return (v & 0x8000) != 0 ? -size : size;
}

static const struct storage storages[] = {
    {"'<f4'", 4, value_f4, false}, {"'<f8'", 8, value_f8, false}, {"'|b1'", 1, value_u1, false},
    {"'|u1'", 1, value_u1, false}, {"'|i1'", 1, value_i1, false}, {"'<u2'", 2, value_u2, false},
    {"'<i2'", 2, value_i2, false}, {"'<u4'", 4, value_u4, false}, {"'<i4'", 4, value_i4, false},
    {"'<u8'", 8, value_u8, false}, {"'<i8'", 8, value_i8, false}, {"'<f2'", 2, value_f2, false},
};

/* Of no bytes where there is none of that type. */
static struct storage find_storage(const char *type)
{
    for (size_t i = 0; type != NULL && i < sizeof storages / sizeof *storages; i++) {
        struct storage found = storages[i];
        size_t from;
        found.turned = strncmp(type, "'>", 2) == 0 && found.name[1] == '<';
        from = found.turned ? 2 : 0;
        if (strncmp(type + from, found.name + from, strlen(found.name) - from) == 0)
            return found;
    }
    return (struct storage){0};
}

/* '<U5': five characters of four bytes; '|S5': five bytes. */
static struct storage text_storage(const char *type)
{
    unsigned long length = 0;

    if (type != NULL && (strncmp(type, "'<U", 3) == 0 || strncmp(type, "'|S", 3) == 0))
        length = strtoul(type + 3, NULL, 10);
    if (length == 0 || length > MOST_TEXT)
        return (struct storage){0};
    return (struct storage){type[2] == 'U' ? "U" : "S", length * (type[2] == 'U' ? 4 : 1), NULL, false};
}

static enum infomask_status check_type(const char *type, enum wanted wanted, const struct storage *storage,
                                       struct infomask_error *err)
{
    if (type != NULL && strncmp(type, "'|O'", 4) == 0)
        return error_set(err, INFOMASK_BAD_DATA,
                         "it holds Python objects (numpy: x.astype(float), or for texts x.astype(str))");
    if (wanted == TEXTS && storage->bytes == 0)
        return error_set(err, INFOMASK_BAD_DATA, "its type is not a text of 1 to %d characters", MOST_TEXT);
    if (wanted == FLOAT32 && (storage->value != value_f4 || storage->turned))
        return error_set(err, INFOMASK_BAD_DATA,
                         "not a .npy file of float32: its type is not '<f4' (numpy: x.astype(\"float32\"))");
    if (storage->bytes == 0)
        return error_set(err, INFOMASK_BAD_DATA,
                         "not a .npy file of numbers: its type is not a real number of at most 8 bytes (numpy: "
                         "x.astype(\"float32\"))");
    return INFOMASK_OK;
}

static enum infomask_status parse_header(char *header, enum wanted wanted, struct storage *storage, struct npy *npy,
                                         bool *columns_first, struct infomask_error *err)
{
    const char *order = value_of(header, "'fortran_order'"), *type = value_of(header, "'descr'");
    enum infomask_status status;

    *storage = wanted == TEXTS ? text_storage(type) : find_storage(type);
    status = check_type(type, wanted, storage, err);
    if (status != INFOMASK_OK)
        return status;
    *columns_first = order == NULL || strncmp(order, "False", 5) != 0;
    if (*columns_first && wanted != TABLES)
        return bad(err, "it is in Fortran order (numpy: np.ascontiguousarray(x))");
    status = parse_shape(value_of(header, "'shape'"), npy, err);
    *columns_first = *columns_first && npy->rank == 2;
    return status;
}

/* Where the elements lie, and how. */
struct elements {
    struct storage storage;
    const char *at;
    bool columns_first;
};

static enum infomask_status parse_shape_of(const void *bytes, size_t size, enum wanted wanted, struct npy *npy,
                                           struct elements *elements, struct infomask_error *err)
{
    size_t start = 0, length = 0, whole;
    enum infomask_status status = find_header(bytes, size, &start, &length, err);
    char *header;

    *npy = (struct npy){0};
    if (status != INFOMASK_OK)
        return status;
    header = malloc(length + 1);
    if (header == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    memcpy(header, (const char *)bytes + start, length);
    header[length] = '\0';
    status = parse_header(header, wanted, &elements->storage, npy, &elements->columns_first, err);
    free(header);
    if (status != INFOMASK_OK)
        return status;
    start += length;
    if (!checked_mul(npy->count, elements->storage.bytes, &whole) || size - start != whole)
        return error_set(err, INFOMASK_BAD_DATA,
                         "its shape asks for %zu elements of %zu bytes, but there are %zu bytes", npy->count,
                         elements->storage.bytes, size - start);
    elements->at = (const char *)bytes + start;
    return INFOMASK_OK;
}

static double element(const struct elements *elements, const struct npy *npy, size_t i)
{
    const struct storage *storage = &elements->storage;
    char turned[8];
    size_t at = i;

    if (elements->columns_first)
        at = i % npy->dims[1] * npy->dims[0] + i / npy->dims[1];
    if (!storage->turned)
        return storage->value(elements->at + at * storage->bytes);
    for (size_t b = 0; b < storage->bytes; b++)
        turned[b] = elements->at[(at + 1) * storage->bytes - 1 - b];
    return storage->value(turned);
}

static enum infomask_status parse(const void *bytes, size_t size, enum wanted wanted, struct npy *npy,
                                  struct infomask_error *err)
{
    struct elements elements;
    enum infomask_status status = parse_shape_of(bytes, size, wanted, npy, &elements, err);

    if (status != INFOMASK_OK)
        return status;
    npy->data = malloc(npy->count > 0 ? npy->count * sizeof(float) : 1);
    if (npy->data == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < npy->count; i++)
        npy->data[i] = (float)element(&elements, npy, i);
    return INFOMASK_OK;
}

enum infomask_status npy_parse_doubles(const void *bytes, size_t size, struct npy *npy, double **values,
                                       struct infomask_error *err)
{
    struct elements elements;
    enum infomask_status status = parse_shape_of(bytes, size, TABLES, npy, &elements, err);

    *values = NULL;
    if (status != INFOMASK_OK)
        return status;
    *values = malloc(npy->count > 0 ? npy->count * sizeof(double) : 1);
    if (*values == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < npy->count; i++)
        (*values)[i] = element(&elements, npy, i);
    return INFOMASK_OK;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

bool npy_is_text(const void *bytes, size_t size)
{
    struct infomask_error err;
    struct elements elements;
    struct npy npy;

    return parse_shape_of(bytes, size, TEXTS, &npy, &elements, &err) == INFOMASK_OK;
}

/* One UCS-4 character as UTF-8; what no character is becomes a question mark. */
static char *put_character(char *to, uint32_t c)
{
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        c = '?';
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* NumPy pads with zeros. */
static char *put_text(char *to, const char *from, const struct storage *storage)
{
    size_t unit = storage->name[0] == 'U' ? 4 : 1;

    for (size_t i = 0; i < storage->bytes; i += unit) {
        uint32_t c = (uint8_t)from[i];
        if (unit == 4)
            memcpy(&c, from + i, sizeof c);
        if (c == 0)
            break;
        if (unit == 4)
            to = put_character(to, c);
        else
            *to++ = (char)c;
    }
    *to++ = '\0';
    return to;
}

enum infomask_status npy_parse_texts(const void *bytes, size_t size, struct npy *npy, char ***texts,
                                     struct infomask_error *err)
{
    struct elements elements;
    enum infomask_status status = parse_shape_of(bytes, size, TEXTS, npy, &elements, err);
    size_t pointers, room;
    char *to;

    *texts = NULL;
    if (status != INFOMASK_OK)
        return status;
    if (!checked_mul(npy->count, sizeof **texts, &pointers) ||
        !checked_mul(npy->count, elements.storage.bytes + 1, &room) || room > SIZE_MAX - pointers - 1 ||
        (*texts = malloc(pointers + room + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    to = (char *)*texts + pointers;
    for (size_t i = 0; i < npy->count; i++) {
        (*texts)[i] = to;
        to = put_text(to, elements.at + i * elements.storage.bytes, &elements.storage);
    }
    return INFOMASK_OK;
}

enum infomask_status npy_parse(const void *bytes, size_t size, struct npy *npy, struct infomask_error *err)
{
    return parse(bytes, size, FLOAT32, npy, err);
}

enum infomask_status npy_parse_numbers(const void *bytes, size_t size, struct npy *npy, struct infomask_error *err)
{
    return parse(bytes, size, NUMBERS, npy, err);
}

enum infomask_status npy_read(const char *path, npy_reader *read, size_t most, struct npy *npy,
                              struct infomask_error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = read(path, most, &bytes, &size, err);

    *npy = (struct npy){0};
    if (status == INFOMASK_OK)
        status = npy_parse(bytes, size, npy, err);
    free(bytes);
    return status;
}

/* The header padded with spaces so that the data begins at a multiple of 64. */
static size_t make_header(const struct npy *npy, char header[512])
{
    char *text = header + 10;
    size_t used = (size_t)snprintf(text, 400, "{'descr': '<f4', 'fortran_order': False, 'shape': ("), length;

    for (int i = 0; i < npy->rank; i++)
        used += (size_t)snprintf(text + used, 400 - used, "%s%zu%s", i > 0 ? ", " : "", npy->dims[i],
                                 npy->rank == 1 ? "," : "");
    used += (size_t)snprintf(text + used, 400 - used, "), }");
    length = (10 + used + 1 + 63) / 64 * 64 - 10;
    memset(text + used, ' ', length - used - 1);
    text[length - 1] = '\n';
    memcpy(header, MAGIC "\x01\x00", 8);
    header[8] = (char)(length & 0xFF);
    header[9] = (char)(length >> 8);
    return 10 + length;
}

enum infomask_status npy_write(const char *path, const struct npy *npy, struct infomask_error *err)
{
    char header[512];
    size_t start = make_header(npy, header), size = npy->count * sizeof(float);
    char *bytes = malloc(start + size);
    enum infomask_status status;

    if (bytes == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    memcpy(bytes, header, start);
    memcpy(bytes + start, npy->data, size);
    status = file_write(path, bytes, start + size, err);
    free(bytes);
    return status;
}

void npy_fini(struct npy *npy)
{
    free(npy->data);
    *npy = (struct npy){0};
}
