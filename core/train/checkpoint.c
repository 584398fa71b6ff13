/* A checkpoint: a header, the epochs so far, then every parameter with its moments and every running statistic, in
 * layer order. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/train/fit.h"

struct header {
    char magic[8];
    char run[72]; /* SHA-256 in hex and zeros */
    uint64_t parameters, epoch, step;
};

static const char magic[8] = "IMTRAIN2";

typedef size_t transfer(void *block, size_t size, size_t count, FILE *file);

/* layers without parameters have no block */
static size_t put(void *block, size_t size, size_t count, FILE *file)
{
    return count > 0 ? fwrite(block, size, count, file) : 0;
}

static size_t get(void *block, size_t size, size_t count, FILE *file)
{
    return count > 0 ? fread(block, size, count, file) : 0;
}

/* The one list of what a checkpoint holds, for both directions. */
static bool transfer_all(const struct train_net *net, FILE *file, transfer *move)
{
    bool ok = true;

    for (int i = 0; i < net->layer_count; i++) {
        const struct train_layer *layer = &net->layers[i];
        const struct train_param *params[] = {&layer->weights, &layer->bias};
        for (int j = 0; j < 2; j++) {
            ok = ok && move(params[j]->value, sizeof(float), params[j]->count, file) == params[j]->count;
            ok = ok && move(params[j]->moment1, sizeof(float), params[j]->count, file) == params[j]->count;
            ok = ok && move(params[j]->moment2, sizeof(float), params[j]->count, file) == params[j]->count;
        }
        if (layer->kind == TRAIN_BATCH_NORM) {
            size_t c = (size_t)layer->in.c;
            ok = ok && move(layer->running_mean, sizeof(float), c, file) == c;
            ok = ok && move(layer->running_variance, sizeof(float), c, file) == c;
        }
    }
    return ok;
}

enum infomask_status train_checkpoint_write(const struct train_net *net, const char *path,
                                            const struct train_progress *progress, struct infomask_error *err)
{
    struct header header = {.parameters = train_net_parameters(net), .epoch = progress->epoch, .step = progress->step};
    size_t epochs = (size_t)progress->epoch;
    char side[4096];
    FILE *file;
    bool ok;

    if (snprintf(side, sizeof side, "%s.new", path) >= (int)sizeof side)
        return error_set(err, INFOMASK_ARGUMENT, "the checkpoint's path is longer than %zu bytes", sizeof side - 5);
    file = fopen(side, "wb");
    if (file == NULL)
        return error_set(err, INFOMASK_IO, "the checkpoint cannot be written: %s", strerror(errno));
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.run, progress->run, sizeof progress->run);
    ok = fwrite(&header, sizeof header, 1, file) == 1 &&
         fwrite(progress->history, sizeof *progress->history, epochs, file) == epochs && transfer_all(net, file, put) &&
         fflush(file) == 0 && fsync(fileno(file)) == 0;
    ok = fclose(file) == 0 && ok;
    if (!ok || rename(side, path) != 0) {
        int why = errno;
        (void)remove(side);
        return error_set(err, INFOMASK_IO, "the checkpoint cannot be written: %s", strerror(why));
    }
    return INFOMASK_OK;
}

enum infomask_status train_checkpoint_read(struct train_net *net, const char *path, struct train_progress *progress,
                                           struct infomask_error *err)
{
    struct header header;
    size_t epochs;
    FILE *file = fopen(path, "rb");
    bool ok;

    if (file == NULL)
        return error_set(err, INFOMASK_IO, "there is no checkpoint to resume from");
    ok = fread(&header, sizeof header, 1, file) == 1 && memcmp(header.magic, magic, sizeof magic) == 0;
    if (!ok || header.parameters != train_net_parameters(net) ||
        memcmp(header.run, progress->run, sizeof progress->run) != 0) {
        (void)fclose(file);
        return error_set(err, INFOMASK_BAD_DATA, "the checkpoint is of a run with other options, data or kernels");
    }
    epochs = (size_t)header.epoch; /* at most the run's: the run is the same */
    ok = fread(progress->history, sizeof *progress->history, epochs, file) == epochs && transfer_all(net, file, get);
    (void)fclose(file);
    if (!ok)
        return error_set(err, INFOMASK_BAD_DATA, "the checkpoint is truncated");
    progress->epoch = header.epoch;
    progress->step = header.step;
    return INFOMASK_OK;
}
