/* The file of quantised weights.  All numbers little-endian:
 *
 *     magic    16 bytes, "infomask int8 1\n"
 *     sha256   64 hex digits, of all that follows
 *     model    64 hex digits, SHA-256 of the ONNX file that the weights are for
 *     u32      layers, at least 1; then each layer:
 *       u32    length of its name (1 to 1,000), and the name: the output tensor of its node
 *       u32    0, or 1: the layer is kept in bf16, and nothing more follows of it
 *       u32    n outputs, u32 k inputs
 *       f32    scale of the activations (positive), u32 their zero (0 to 255)
 *       f32    scales of the weights [n] (positive), f32 biases [n]
 *       s8     weights [n, k] (-127 to 127)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/checked.h"
#include "core/quant/quant.h"

#define MAGIC "infomask int8 1\n"
#define MAGIC_SIZE 16
#define DIGITS 64
#define HEAD (MAGIC_SIZE + DIGITS)
#define MOST_NAME 1000
#define MOST_LAYERS 100000u
#define MOST_SIDE (1u << 24) /* of a layer's weights */
#define MOST_FILE ((size_t)2 << 30)

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct bytes {
    unsigned char *data; /* NULL: only counting */
    size_t size;
};

static void put(struct bytes *b, const void *from, size_t size)
{
    if (b->data != NULL && size > 0)
        memcpy(b->data + b->size, from, size);
    b->size += size;
}

static void put_u32(struct bytes *b, uint32_t v)
{
    const unsigned char bytes[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                                    (unsigned char)(v >> 24)};
    put(b, bytes, sizeof bytes);
}

static void put_floats(struct bytes *b, const float *v, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        put_u32(b, bits);
    }
}

static void put_layer(struct bytes *b, const struct engine_int8_layer *layer)
{
    size_t length = strlen(layer->tensor);

    put_u32(b, (uint32_t)length);
    put(b, layer->tensor, length);
    put_u32(b, layer->bf16);
    if (layer->bf16)
        return;
    put_u32(b, (uint32_t)layer->n);
    put_u32(b, (uint32_t)layer->k);
    put_floats(b, &layer->x_scale, 1);
    put_u32(b, (uint32_t)layer->x_zero);
    put_floats(b, layer->scale, layer->n);
    put_floats(b, layer->bias, layer->n);
    put(b, layer->w, (size_t)layer->n * (size_t)layer->k);
}

static void put_all(struct bytes *b, const struct quant *quant)
{
    b->size = HEAD;
    put(b, quant->model, DIGITS);
    put_u32(b, (uint32_t)quant->int8.count);
    for (int i = 0; i < quant->int8.count; i++)
        put_layer(b, &quant->int8.layers[i]);
    if (b->data != NULL) {
        char hex[SHA256_HEX];
        sha256_bytes(b->data + HEAD, b->size - HEAD, hex);
        memcpy(b->data, MAGIC, MAGIC_SIZE);
        memcpy(b->data + MAGIC_SIZE, hex, DIGITS);
    }
}

/* Under another name first: who reads the file meanwhile has the old one, whole. */
static bool write_file(const char *path, const struct bytes *b)
{
    size_t length = strlen(path);
    char *other = malloc(length + 5);
    FILE *file;
    bool fine;

    if (other == NULL)
        return false;
    (void)snprintf(other, length + 5, "%s.new", path);
    file = fopen(other, "wb");
    fine = file != NULL && fwrite(b->data, 1, b->size, file) == b->size && fflush(file) == 0 &&
           fsync(fileno(file)) == 0;
    if (file != NULL)
        fine = fclose(file) == 0 && fine;
    fine = fine && rename(other, path) == 0;
    if (!fine && file != NULL)
        (void)remove(other);
    free(other);
    return fine;
}

enum infomask_status quant_write(const struct quant *quant, const char *path, struct infomask_error *err)
{
    struct bytes b = {0};
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < quant->int8.count; i++)
        if (strlen(quant->int8.layers[i].tensor) > MOST_NAME)
            return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "a layer's name is longer than %d bytes", MOST_NAME);
    put_all(&b, quant);
    b.data = malloc(b.size);
    if (b.data == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to write the quantised weights");
    put_all(&b, quant);
    if (!write_file(path, &b))
        status = error_set(err, INFOMASK_IO, "the quantised weights cannot be written");
    free(b.data);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at, *end;
    bool bad; /* something was missing or out of its range: nothing more is read */
};

static const unsigned char *take(struct cursor *c, size_t size)
{
    const unsigned char *from = c->at;

    if (c->bad || (size_t)(c->end - c->at) < size) {
        c->bad = true;
        return NULL;
    }
    c->at += size;
    return from;
}

/* Zero, and bad, outside [least, most]. */
static uint32_t take_u32(struct cursor *c, uint32_t least, uint32_t most)
{
    const unsigned char *p = take(c, 4);
    uint32_t v = p == NULL ? 0 : (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

    c->bad = c->bad || v < least || v > most;
    return c->bad ? 0 : v;
}

static float take_float(struct cursor *c, bool positive)
{
    uint32_t bits = take_u32(c, 0, UINT32_MAX);
    float v;

    memcpy(&v, &bits, sizeof v);
    c->bad = c->bad || !isfinite(v) || (positive && !(v > 0 && isnormal(v)));
    return v;
}

static float *take_floats(struct cursor *c, int n, bool positive)
{
    float *v;

    if (c->bad || (size_t)(c->end - c->at) / 4 < (size_t)n) {
        c->bad = true;
        return NULL;
    }
    v = malloc((size_t)n * sizeof *v);
    for (int i = 0; v != NULL && i < n; i++)
        v[i] = take_float(c, positive);
    return v;
}

static int8_t *take_weights(struct cursor *c, size_t count)
{
    const unsigned char *from = take(c, count);
    int8_t *w = from == NULL ? NULL : malloc(count);

    if (w == NULL)
        return NULL;
    memcpy(w, from, count);
    for (size_t i = 0; i < count; i++)
        c->bad = c->bad || w[i] == -128;
    return w;
}

static char *take_name(struct cursor *c)
{
    uint32_t length = take_u32(c, 1, MOST_NAME);
    const unsigned char *from = take(c, length);
    char *name = from == NULL ? NULL : strndup((const char *)from, length);

    c->bad = c->bad || (name != NULL && strlen(name) != length);
    return name;
}

/* False: no memory.  What the cursor found bad is for the caller to see. */
static bool take_layer(struct cursor *c, struct engine_int8_layer *layer)
{
    size_t count = 0;

    layer->tensor = take_name(c);
    layer->bf16 = take_u32(c, 0, 1) == 1;
    if (c->bad || layer->bf16)
        return c->bad || layer->tensor != NULL;
    layer->n = (int)take_u32(c, 1, MOST_SIDE);
    layer->k = (int)take_u32(c, 1, MOST_SIDE);
    layer->x_scale = take_float(c, true);
    layer->x_zero = (int)take_u32(c, 0, 255);
    layer->scale = take_floats(c, layer->n, true);
    layer->bias = take_floats(c, layer->n, false);
    c->bad = c->bad || !checked_mul((size_t)layer->n, (size_t)layer->k, &count);
    layer->w = take_weights(c, count);
    return c->bad || (layer->tensor != NULL && layer->scale != NULL && layer->bias != NULL && layer->w != NULL);
}

static enum infomask_status damaged(struct infomask_error *err)
{
    return error_set(err, INFOMASK_BAD_MODEL, "the file of int8 weights is damaged");
}

static enum infomask_status take_layers(struct cursor *c, struct quant *quant, struct infomask_error *err)
{
    uint32_t count = take_u32(c, 1, MOST_LAYERS);
    struct engine_int8_layer *layers = calloc((size_t)count + 1, sizeof *layers);
    bool memory = layers != NULL;

    quant->int8.layers = layers;
    for (uint32_t i = 0; i < count && memory && !c->bad; i++) {
        quant->int8.count++;
        memory = take_layer(c, &layers[i]);
    }
    if (!memory)
        return error_set(err, INFOMASK_MEMORY, "no memory for the int8 weights");
    return c->bad || c->at != c->end ? damaged(err) : INFOMASK_OK;
}

enum infomask_status quant_read_bytes(const void *data, size_t size, const char *model, struct quant **out,
                                      struct infomask_error *err)
{
    const unsigned char *bytes = data;
    struct cursor c = {bytes, bytes + size, false};
    struct quant *quant;
    char hex[SHA256_HEX];
    enum infomask_status status;

    if (size < HEAD + DIGITS || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return error_set(err, INFOMASK_BAD_MODEL, "this is not a file of int8 weights of a known version");
    sha256_bytes(bytes + HEAD, size - HEAD, hex);
    if (memcmp(hex, bytes + MAGIC_SIZE, DIGITS) != 0)
        return damaged(err);
    if (model != NULL && memcmp(model, bytes + HEAD, DIGITS) != 0)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "the int8 weights were made for another version of the network: quantise "
                         "it again");
    quant = calloc(1, sizeof *quant);
    if (quant == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the int8 weights");
    memcpy(quant->model, bytes + HEAD, DIGITS);
    c.at += HEAD + DIGITS;
    status = take_layers(&c, quant, err);
    if (status != INFOMASK_OK) {
        quant_free(quant);
        return status;
    }
    *out = quant;
    return INFOMASK_OK;
}

/* The whole file, malloc'ed; NULL if it cannot be read. */
static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *data = NULL;
    long length;

    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && (size_t)length <= MOST_FILE) {
        *size = (size_t)length;
        data = malloc(*size + 1);
        rewind(file);
        if (data != NULL && fread(data, 1, *size, file) != *size) {
            free(data);
            data = NULL;
        }
    }
    (void)fclose(file);
    return data;
}

enum infomask_status quant_read(const char *path, const char *model, struct quant **quant, struct infomask_error *err)
{
    size_t size = 0;
    unsigned char *data = read_file(path, &size);
    enum infomask_status status;

    if (data == NULL)
        return error_set(err, INFOMASK_IO, "the file of int8 weights cannot be read");
    status = quant_read_bytes(data, size, model, quant, err);
    free(data);
    return status;
}
