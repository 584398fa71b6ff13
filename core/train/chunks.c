/* What the layers share: a pass cut into TRAIN_CHUNKS chunks of pictures, and the sum of what each left. */
#include <string.h>

#include "core/base/cpu.h"
#include "core/train/net.h"

void train_range(int n, int chunk, int *first, int *end)
{
    *first = (int)((long)n * chunk / TRAIN_CHUNKS);
    *end = (int)((long)n * (chunk + 1) / TRAIN_CHUNKS);
}

#define REDUCE_BLOCK 16384

struct reduce {
    struct train_param *param;
};

CPU_CLONES
static void reduce_block(void *context, int chunk, int worker)
{
    struct train_param *param = ((struct reduce *)context)->param;
    size_t first = (size_t)chunk * REDUCE_BLOCK;
    size_t end = first + REDUCE_BLOCK < param->count ? first + REDUCE_BLOCK : param->count;

    (void)worker;
    memcpy(param->gradient + first, param->partial + first, (end - first) * sizeof(float));
    for (int c = 1; c < TRAIN_CHUNKS; c++) {
        const float *partial = param->partial + (size_t)c * param->count;
        for (size_t i = first; i < end; i++)
            param->gradient[i] += partial[i];
    }
}

void train_reduce(const struct train_pass *pass, struct train_param *param)
{
    struct reduce reduce = {param};
    pool_for(pass->net->pool, (int)((param->count + REDUCE_BLOCK - 1) / REDUCE_BLOCK), reduce_block, &reduce);
}
