/* API keys: who may ask what.
 *
 * The file has a line a key: its name, its scopes with commas between them (infer, estimates, admin; admin includes the
 * others), and the SHA-256 of the key in hex (printf %s KEY | sha256sum); '#' begins a comment.  The keys themselves
 * are nowhere; they should be random and long (openssl rand -hex 32), which is why a plain hash is enough.  Every
 * comparison looks at the whole table and at every byte.  Thread rule: any thread; keys_read swaps the table under the
 * readers.
 */
#ifndef APP_HOST_KEYS_H
#define APP_HOST_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

#define KEY_NAME_SIZE 64

enum key_scope { KEY_INFER = 1, KEY_ESTIMATES = 2, KEY_ADMIN = 4 };

struct keys;

/* No keys yet: nothing needs one, and nobody is an admin. */
enum infomask_status keys_create(struct keys **keys, struct infomask_error *err) __attribute__((warn_unused_result));
void keys_free(struct keys *keys);

/* Reads a file in place of what was there; on failure that stays.  IO, BAD_DATA with the line. */
enum infomask_status keys_read(struct keys *keys, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status keys_read_text(struct keys *keys, const char *text, struct infomask_error *err)
    __attribute__((warn_unused_result));

bool keys_configured(struct keys *keys);
size_t keys_count(struct keys *keys);
bool keys_has_admin(struct keys *keys);
/* The scopes of a presented key, and its name; 0: it is none. */
unsigned keys_check(struct keys *keys, const char *presented, char name[KEY_NAME_SIZE]);

#endif
