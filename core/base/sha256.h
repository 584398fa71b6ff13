/* SHA-256 (FIPS 180-4) of a block of bytes or of a file, by nettle. */
#ifndef INFOMASK_BASE_SHA256_H
#define INFOMASK_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define SHA256_HEX 65 /* 64 lower-case hex digits and the NUL */

#define SHA256_SIZE 32

void sha256_raw(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);
void sha256_bytes(const void *data, size_t size, char hex[SHA256_HEX]);
/* The digest of what was put into a nettle context, which begins anew. */
struct sha256_ctx;
void sha256_hex(struct sha256_ctx *context, char hex[SHA256_HEX]);
enum infomask_status sha256_file(const char *path, char hex[SHA256_HEX], struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
