/* Weights of two, four and eight bits in blocks, each with a scale of its own: constants of the graph once read. */
#include "core/graph/onnx_import.h"

#define MOST_SIDE (1 << 24) /* of a matrix */

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* The node's i-th input, whose numbers the file knows. */
static enum infomask_status known_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = onnx_any_input(im, i, tensor);

    if (status == INFOMASK_OK && !graph_is_constant(im->graph, *tensor))
        return onnx_unsupported(im, "blocks with scales are supported for weights of the file only");
    return status;
}

/* The same of integers from 0 to 255. */
static enum infomask_status bytes_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = known_input(im, i, tensor);
    size_t n = status == INFOMASK_OK ? graph_elements(tensor_at(im, *tensor)) : 0;

    for (size_t k = 0; k < n; k++) {
        float value = tensor_at(im, *tensor)->data[k];
        if (!(value >= 0 && value <= 255) || value != (float)(int)value)
            return onnx_broken(im, "input %d holds what is no byte", i);
    }
    return status;
}

static void drop_spent(struct onnx_import *im, int tensor)
{
    if (onnx_is_spent(im, tensor))
        graph_drop_constant(im->graph, tensor);
}

/* ---- DequantizeLinear -------------------------------------------------------------------------------------------- */

static bool scales_fit(const struct graph_tensor *x, const struct graph_tensor *s, int64_t axis, int64_t block)
{
    bool fit = s->rank == x->rank;

    for (int d = 0; fit && d < x->rank; d++)
        fit = s->dims[d] == (d == axis ? (x->dims[d] - 1) / block + 1 : x->dims[d]);
    return fit;
}

static void scale_blocks(const struct graph_tensor *x, const float *scale, const float *zero, int64_t axis,
                         int64_t block, float *out)
{
    size_t inner = 1, n = (size_t)x->dims[axis], blocks = (n - 1) / (size_t)block + 1;
    size_t count = graph_elements(x);

    for (int d = (int)axis + 1; d < x->rank; d++)
        inner *= (size_t)x->dims[d];
    for (size_t i = 0; i < count; i++) {
        size_t row = i / inner, at = (row / n * blocks + row % n / (size_t)block) * inner + i % inner;
        out[i] = (x->data[i] - (zero != NULL ? zero[at] : 0)) * scale[at];
    }
}

enum infomask_status onnx_import_blocks(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 1), block = onnx_attribute_int(im, "block_size", 0);
    int x, scale, zero = GRAPH_NONE, out;
    float *data;
    struct graph_tensor t;
    enum infomask_status status = known_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = known_input(im, 1, &scale);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = known_input(im, 2, &zero);
    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    if (block < 1 || !onnx_axis(&axis, t.rank) || !scales_fit(&t, tensor_at(im, scale), axis, block) ||
        (zero != GRAPH_NONE && !scales_fit(&t, tensor_at(im, zero), axis, block)))
        return onnx_broken(im, "its scales do not fit blocks of %lld", (long long)block);
    status = graph_new_constant(im->graph, t.rank, t.dims, &out, &data, im->err);
    if (status != INFOMASK_OK)
        return status;
    scale_blocks(tensor_at(im, x), tensor_at(im, scale)->data, zero != GRAPH_NONE ? tensor_at(im, zero)->data : NULL,
                 axis, block, data);
    drop_spent(im, x);
    return onnx_output_is(im, 0, out, ONNX_FLOATS);
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* A matrix of weights, a row of k for each of n outputs, as a product's operators have it. */
struct blocks {
    size_t k, n, size, count; /* count: blocks of a row */
    int bits; /* of a number; of bitsandbytes' the type */
    const float *bytes, *scales, *zeros;
    size_t zero_bytes; /* of a row of zeros; 0: they are floats */
};

static enum infomask_status read_sides(struct onnx_import *im, struct blocks *b)
{
    int64_t k = onnx_attribute_int(im, "K", 0), n = onnx_attribute_int(im, "N", 0);
    int64_t size = onnx_attribute_int(im, "block_size", 0);

    if (k < 1 || n < 1 || size < 1 || k > MOST_SIDE || n > MOST_SIDE || size > MOST_SIDE)
        return onnx_broken(im, "its K, N or block_size is wrong");
    *b = (struct blocks){.k = (size_t)k, .n = (size_t)n, .size = (size_t)size, .count = (size_t)((k - 1) / size + 1)};
    return INFOMASK_OK;
}

/* `bits` of the bytes from bit `at` on. */
static int bits_at(const float *bytes, size_t at, int bits)
{
    return (int)bytes[at / 8] >> at % 8 & ((1 << bits) - 1);
}

static float zero_of(const struct blocks *b, size_t row, size_t block)
{
    if (b->zeros == NULL)
        return (float)(1 << (b->bits - 1));
    if (b->zero_bytes == 0)
        return b->zeros[row * b->count + block];
    return (float)bits_at(b->zeros + row * b->zero_bytes, block * (size_t)b->bits, b->bits);
}

static float nbits_at(const struct blocks *b, size_t row, size_t k)
{
    size_t block = k / b->size;
    const float *bytes = b->bytes + (row * b->count + block) * (b->size * (size_t)b->bits / 8);
    int q = bits_at(bytes, k % b->size * (size_t)b->bits, b->bits);

    return ((float)q - zero_of(b, row, block)) * b->scales[row * b->count + block];
}

/* Of bitsandbytes: "FP4", and the quantiles of a normal distribution (Dettmers et al. 2023, QLoRA, appendix E). */
static float bnb4_at(const struct blocks *b, size_t row, size_t k)
{
    static const float values[2][16] = {
        {0, 5.208333333e-3F, .66666667F, 1, .33333333F, .5F, .16666667F, .25F, 0, -5.208333333e-3F, -.66666667F, -1,
         -.33333333F, -.5F, -.16666667F, -.25F},
        {-1, -.6961928009986877F, -.5250730514526367F, -.39491748809814453F, -.28444138169288635F,
         -.18477343022823334F, -.09105003625154495F, 0, .07958029955625534F, .16093020141124725F,
         .24611230194568634F, .33791524171829224F, .44070982933044434F, .5626170039176941F, .7229568362236023F, 1}};
    size_t i = row * b->k + k;
    int byte = (int)b->bytes[i / 2];

    return values[b->bits][i % 2 ? byte & 15 : byte >> 4] * b->scales[i / b->size];
}

/* The product with the matrix, turned as MatMul has it, which is w in `text`. */
static enum infomask_status spell_product(struct onnx_import *im, const struct blocks *b, int bytes,
                                          float at(const struct blocks *, size_t, size_t), const char *text)
{
    const int64_t dims[2] = {(int64_t)b->k, (int64_t)b->n};
    int w;
    float *data;
    enum infomask_status status = graph_new_constant(im->graph, 2, dims, &w, &data, im->err);

    if (status != INFOMASK_OK)
        return status;
    for (size_t k = 0; k < b->k; k++)
        for (size_t row = 0; row < b->n; row++)
            data[k * b->n + row] = at(b, row, k);
    drop_spent(im, bytes);
    return onnx_spell_with(im, w, text);
}

/* Zero points: floats, one a block, or integers of `bits`, each row's on bytes of its own. */
static enum infomask_status read_zeros(struct onnx_import *im, struct blocks *b)
{
    bool floats = onnx_has(im, 3) && onnx_numbers_of(im, 3) == ONNX_FLOATS;
    int zeros;
    enum infomask_status status;

    if (!onnx_has(im, 3))
        return INFOMASK_OK;
    status = floats ? known_input(im, 3, &zeros) : bytes_input(im, 3, &zeros);
    if (status != INFOMASK_OK)
        return status;
    b->zeros = tensor_at(im, zeros)->data;
    b->zero_bytes = floats ? 0 : (b->count * (size_t)b->bits + 7) / 8;
    if (graph_elements(tensor_at(im, zeros)) != b->n * (b->zero_bytes ? b->zero_bytes : b->count))
        return onnx_broken(im, "its zero points do not fit its blocks");
    return INFOMASK_OK;
}

/* Inputs 1 and 2, which have to be so many bytes and scales. */
static enum infomask_status read_weights(struct onnx_import *im, struct blocks *b, size_t byte_count,
                                         size_t scale_count, int *bytes)
{
    int scales = GRAPH_NONE;
    enum infomask_status status = bytes_input(im, 1, bytes);

    if (status == INFOMASK_OK)
        status = known_input(im, 2, &scales);
    if (status != INFOMASK_OK)
        return status;
    if (graph_elements(tensor_at(im, *bytes)) != byte_count || graph_elements(tensor_at(im, scales)) != scale_count)
        return onnx_broken(im, "its weights or scales do not fit K, N and block_size");
    b->bytes = tensor_at(im, *bytes)->data;
    b->scales = tensor_at(im, scales)->data;
    return INFOMASK_OK;
}

enum infomask_status onnx_import_matmul_nbits(struct onnx_import *im)
{
    int64_t bits = onnx_attribute_int(im, "bits", 4);
    int bytes;
    struct blocks b;
    enum infomask_status status = read_sides(im, &b);

    if (status == INFOMASK_OK && ((bits != 2 && bits != 4 && bits != 8) || onnx_has(im, 4)))
        return onnx_unsupported(im, onnx_has(im, 4) ? "weights in another order (g_idx) are not supported"
                                                    : "only weights of 2, 4 and 8 bits are supported");
    if (status != INFOMASK_OK)
        return status;
    b.bits = (int)bits;
    status = read_weights(im, &b, b.n * b.count * (b.size * (size_t)bits / 8), b.n * b.count, &bytes);
    if (status == INFOMASK_OK && b.size * (size_t)bits % 8 != 0)
        return onnx_broken(im, "its weights or scales do not fit K, N and block_size");
    if (status == INFOMASK_OK)
        status = read_zeros(im, &b);
    if (status != INFOMASK_OK)
        return status;
    return spell_product(im, &b, bytes, nbits_at, "y = MatMul 0 w; a = Add y 5; .0 = Identity a");
}

enum infomask_status onnx_import_matmul_bnb4(struct onnx_import *im)
{
    int64_t type = onnx_attribute_int(im, "quant_type", 1);
    int bytes;
    struct blocks b;
    enum infomask_status status = read_sides(im, &b);

    if (status == INFOMASK_OK && ((type != 0 && type != 1) || !onnx_attribute_int(im, "transB", 1)))
        return onnx_unsupported(im, "only turned weights of FP4 and NF4 are supported");
    if (status == INFOMASK_OK)
        status = read_weights(im, &b, (b.n * b.k + 1) / 2, (b.n * b.k - 1) / b.size + 1, &bytes);
    if (status != INFOMASK_OK)
        return status;
    b.bits = (int)type;
    return spell_product(im, &b, bytes, bnb4_at, ".0 = MatMul 0 w");
}
