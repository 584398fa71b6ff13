#include "core/base/sha256.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void sha256_hex(struct sha256_ctx *context, char hex[SHA256_HEX])
{
    static const char digit[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
    hex[2 * sizeof digest] = '\0';
}

void sha256_raw(const void *data, size_t size, uint8_t digest[SHA256_SIZE])
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, size, data);
    sha256_digest(&context, SHA256_SIZE, digest);
}

void sha256_bytes(const void *data, size_t size, char hex[SHA256_HEX])
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, size, data);
    sha256_hex(&context, hex);
}

enum infomask_status sha256_file(const char *path, char hex[SHA256_HEX], struct infomask_error *err)
{
    struct sha256_ctx context;
    unsigned char buffer[16384];
    size_t got;
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return error_set(err, INFOMASK_IO, "the file cannot be opened");
    sha256_init(&context);
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        sha256_update(&context, got, buffer);
    if (ferror(file)) {
        (void)fclose(file);
        return error_set(err, INFOMASK_IO, "the file cannot be read");
    }
    (void)fclose(file);
    sha256_hex(&context, hex);
    return INFOMASK_OK;
}
