/* A folder under /tmp for one test, and a small model folder in it. */
#ifndef TESTS_UNIT_APP_SCRATCH_H
#define TESTS_UNIT_APP_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"

static inline int scratch_make(void **state)
{
    char *folder = strdup("/tmp/infomask-test-XXXXXX");
    if (folder == NULL || mkdtemp(folder) == NULL)
        return -1;
    *state = folder;
    return 0;
}

static inline int scratch_unlink(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline int scratch_remove(void **state)
{
    int result = nftw(*state, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

static inline void scratch_put(const char *folder, const char *name, const void *data, size_t size)
{
    char *path = file_join(folder, name);
    assert_int_equal(file_write(path, data, size, NULL), INFOMASK_OK);
    free(path);
}

/* parent/name with a network of 10 classes for 3-channel pictures of any size */
static inline void scratch_model(const char *parent, const char *name)
{
    static const char labels[] = "c0\nc1\nc2\tcat\nc3\nc4\nc5\nc6\nc7\nc8\nc9\n";
    char *folder = file_join(parent, name), *network = NULL, document[200];
    size_t size = 0;

    (void)mkdir(folder, 0700);
    assert_int_equal(file_read("tests/data/onnx/net_resnet.onnx", 1 << 20, &network, &size, NULL), INFOMASK_OK);
    scratch_put(folder, "model.onnx", network, size);
    scratch_put(folder, "labels.txt", labels, sizeof labels - 1);
    (void)snprintf(document, sizeof document,
                   "{\"name\":\"%s\",\"labels\":\"labels.txt\",\"input\":{\"width\":33,\"height\":29}}", name);
    scratch_put(folder, "model.json", document, strlen(document));
    free(network);
    free(folder);
}

/* What a model_warn was told last, and how often. */
struct heard {
    int count;
    char last[400];
};

static inline void hear(void *context, const char *sentence)
{
    struct heard *heard = context;
    heard->count++;
    (void)snprintf(heard->last, sizeof heard->last, "%s", sentence);
}

#endif
