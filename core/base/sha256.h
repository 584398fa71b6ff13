/* SHA-256 (FIPS 180-4) of a block of bytes or of a file, by nettle. */
#ifndef INFOMASK_BASE_SHA256_H
#define INFOMASK_BASE_SHA256_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define SHA256_HEX 65 /* 64 lower-case hex digits and the NUL */

#define SHA256_SIZE 32

void sha256_raw(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);
void sha256_bytes(const void *data, size_t size, char hex[SHA256_HEX]);
/* Of a file, while the caller does something else.  Between start and finish the job is the other thread's; finish
 * waits for it, and is called once, whatever happened between.  Where no thread can be had, finish reads the file
 * itself. */
struct sha256_job {
    const char *path;
    char hex[SHA256_HEX];
    struct infomask_error err;
    enum infomask_status status;
    pthread_t thread;
    bool apart;
};
void sha256_start(struct sha256_job *job, const char *path);
enum infomask_status sha256_finish(struct sha256_job *job, char hex[SHA256_HEX], struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status sha256_file(const char *path, char hex[SHA256_HEX], struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
