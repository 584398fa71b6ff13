/* Seeded random numbers that do not depend on the order of the calls: the n-th number of a stream is a function of
 * (seed, stream, n) only, so that any thread may make any of them.  Philox4x32-10 (Salmon et al., SC 2011). */
#ifndef INFOMASK_BASE_RANDOM_H
#define INFOMASK_BASE_RANDOM_H

#include <stdint.h>

struct random_block {
    uint32_t word[4];
};

/* The block number `index` of stream `stream` under `seed`. */
struct random_block random_block(uint64_t seed, uint64_t stream, uint64_t index);

/* A cursor over one stream.  Belongs to one thread. */
struct random_stream {
    uint64_t seed, stream, index;
    struct random_block block;
    int left;
};

struct random_stream random_stream(uint64_t seed, uint64_t stream);
uint32_t random_u32(struct random_stream *stream);
/* Uniform in [0, bound), without bias; bound > 0. */
uint32_t random_below(struct random_stream *stream, uint32_t bound);
/* Uniform in [0, 1), 53 bits. */
double random_unit(struct random_stream *stream);
/* Standard normal (Box and Muller; two uniforms a number). */
double random_normal(struct random_stream *stream);

#endif
