/* A file's bytes, read once, with their SHA-256.
 *
 * They are read into memory of our own: a file that is mapped instead ends the process when somebody cuts it (SIGBUS),
 * and may be another one when it is looked at again.  Another thread makes the digest while they come in.  What was
 * used can be given back piece by piece, so that something made of the bytes needs little more memory than they.
 *
 * Thread rule: one thread at a time.
 */
#ifndef INFOMASK_BASE_CONTENTS_H
#define INFOMASK_BASE_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/sha256.h"
#include "core/base/status.h"

#define CONTENTS_PIECEMEAL ((size_t)32 << 20) /* a larger file is worth giving back in pieces */

struct contents;

/* All of an open regular file of `size` bytes, at least 1 (its st_size).  IO if it cannot be read, or was changed
 * meanwhile. */
enum infomask_status contents_read(int fd, size_t size, struct contents **contents, struct infomask_error *err)
    __attribute__((warn_unused_result));
void contents_free(struct contents *contents); /* NULL does nothing */

/* [contents_size], on a page's boundary.  They may be changed once the digest is made. */
uint8_t *contents_data(struct contents *contents);
size_t contents_size(const struct contents *contents);

/* Reads them once more, after some were given back or changed.  IO if the file, still open, was changed since. */
enum infomask_status contents_again(struct contents *contents, int fd, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Waits for the digest of the bytes as they were read; lives as long as the contents. */
const char *contents_sha256(struct contents *contents);
/* The whole pages within [from, from + size) leave memory and become zeros.  The digest is waited for. */
void contents_give_back(struct contents *contents, const void *from, size_t size);

#endif
