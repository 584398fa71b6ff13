#include "core/base/random.h"

#include <math.h>

struct random_block random_block(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return (struct random_block){{c0, c1, c2, c3}};
}

struct random_stream random_stream(uint64_t seed, uint64_t stream)
{
    return (struct random_stream){.seed = seed, .stream = stream};
}

uint32_t random_u32(struct random_stream *stream)
{
    if (stream->left == 0) {
        stream->block = random_block(stream->seed, stream->stream, stream->index++);
        stream->left = 4;
    }
    return stream->block.word[4 - stream->left--];
}

/* Lemire's multiply-and-reject */
uint32_t random_below(struct random_stream *stream, uint32_t bound)
{
    uint64_t product = (uint64_t)random_u32(stream) * bound;

    if ((uint32_t)product < bound) {
        uint32_t threshold = -bound % bound;
        while ((uint32_t)product < threshold)
            product = (uint64_t)random_u32(stream) * bound;
    }
    return (uint32_t)(product >> 32);
}

double random_unit(struct random_stream *stream)
{
    uint64_t high = random_u32(stream) >> 5, low = random_u32(stream) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double random_normal(struct random_stream *stream)
{
    double radius = sqrt(-2.0 * log1p(-random_unit(stream)));
    return radius * cos(2.0 * M_PI * random_unit(stream));
}
