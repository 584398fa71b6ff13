/* NumPy's .npy files (format 1.0 to 3.0) of little-endian float32 in C order: raw tensors for `infomask run`, and maps
 * of any real type for `infomask evaluate`. */
#ifndef APP_SETTINGS_NPY_H
#define APP_SETTINGS_NPY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

#define NPY_MAX_RANK 8

struct npy {
    int rank;
    size_t dims[NPY_MAX_RANK];
    size_t count; /* elements: the product of the dims, 1 for rank 0 */
    float *data;  /* [dims...] row-major; owned */
};

/* Reads a whole file of at most `most` bytes, by file_read ("-": standard input) or file_read_regular (files.h).
 * BAD_DATA with a sentence that says what was expected; IO; LIMIT. */
#define NPY_MOST ((size_t)4 << 30)
typedef enum infomask_status npy_reader(const char *path, size_t limit, char **data, size_t *size,
                                        struct infomask_error *err);
enum infomask_status npy_read(const char *path, npy_reader *read, size_t most, struct npy *npy,
                              struct infomask_error *err) __attribute__((warn_unused_result));
/* The same from memory. */
enum infomask_status npy_parse(const void *bytes, size_t size, struct npy *npy, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The same from any real type (float16 to 64, integer, bool; of either end first), as float32: somebody's maps. */
enum infomask_status npy_parse_numbers(const void *bytes, size_t size, struct npy *npy, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The same as double, into values [npy->count] (malloc'ed), NaN among them, also from Fortran order of two dimensions
 * (what pandas hands out); npy->data stays NULL. */
enum infomask_status npy_parse_doubles(const void *bytes, size_t size, struct npy *npy, double **values,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
/* Texts, NumPy's types U and S, as UTF-8: (*texts)[i], npy->count of them, in one piece of memory with the array
 * (malloc'ed).  Other types are BAD_DATA. */
bool npy_is_text(const void *bytes, size_t size);
enum infomask_status npy_parse_texts(const void *bytes, size_t size, struct npy *npy, char ***texts,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status npy_write(const char *path, const struct npy *npy, struct infomask_error *err)
    __attribute__((warn_unused_result));
void npy_fini(struct npy *npy);

#endif
