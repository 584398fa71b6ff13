/* Reading of the files under tests/data. */
#ifndef TESTS_UNIT_IMAGE_FILES_H
#define TESTS_UNIT_IMAGE_FILES_H

#include "test.h"

#include <stdbool.h>

struct file {
    uint8_t *data;
    size_t size;
};

/* tests/data/FOLDER/NAME; ends the test if it is not there. */
static inline struct file file_load(const char *folder, const char *name)
{
    struct file file = {0};
    char path[512];
    FILE *in;
    long size;

    (void)snprintf(path, sizeof path, "tests/data/%s/%s", folder, name);
    in = fopen(path, "rb");
    if (in == NULL)
        fail_msg("%s is missing", path);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    size = ftell(in);
    assert_true(size > 0);
    rewind(in);
    file.data = malloc((size_t)size);
    assert_non_null(file.data);
    file.size = fread(file.data, 1, (size_t)size, in);
    assert_int_equal(file.size, size);
    assert_int_equal(fclose(in), 0);
    return file;
}

#endif
