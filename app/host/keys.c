#include "app/host/keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "core/base/sha256.h"

#define MAX_KEYS 10000
#define MAX_FILE (4 * 1024 * 1024)

struct key {
    char name[KEY_NAME_SIZE], hash[SHA256_HEX];
    unsigned scopes;
};

struct keys {
    pthread_mutex_t lock;
    struct key *table;
    size_t count;
    bool configured, has_admin;
};

enum infomask_status keys_create(struct keys **out, struct infomask_error *err)
{
    struct keys *keys = calloc(1, sizeof *keys);

    if (keys == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the keys");
    (void)pthread_mutex_init(&keys->lock, NULL);
    *out = keys;
    return INFOMASK_OK;
}

void keys_free(struct keys *keys)
{
    if (keys == NULL)
        return;
    (void)pthread_mutex_destroy(&keys->lock);
    free(keys->table);
    free(keys);
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

static bool read_scopes(char *text, unsigned *scopes)
{
    char *word;

    *scopes = 0;
    while ((word = strsep(&text, ",")) != NULL) {
        if (strcmp(word, "infer") == 0)
            *scopes |= KEY_INFER;
        else if (strcmp(word, "estimates") == 0)
            *scopes |= KEY_ESTIMATES;
        else if (strcmp(word, "admin") == 0)
            *scopes |= KEY_ADMIN | KEY_INFER | KEY_ESTIMATES;
        else
            return false;
    }
    return *scopes != 0;
}

static char *next_word(char **at)
{
    char *word;

    do
        word = strsep(at, " \t\r");
    while (word != NULL && *word == '\0');
    return word;
}

/* NULL: read (or nothing on the line: *key has no name); else what is wrong. */
static const char *read_line(char *line, struct key *key)
{
    char *comment = strchr(line, '#'), *name, *scopes, *hash;

    *key = (struct key){0};
    if (comment != NULL)
        *comment = '\0';
    name = next_word(&line);
    if (name == NULL)
        return NULL;
    scopes = next_word(&line);
    hash = next_word(&line);
    if (scopes == NULL || hash == NULL || next_word(&line) != NULL)
        return "needs a name, scopes and a SHA-256";
    if (strlen(name) >= sizeof key->name)
        return "has a name of more than 63 bytes";
    if (!read_scopes(scopes, &key->scopes))
        return "has a scope other than infer, estimates and admin";
    if (strlen(hash) != SHA256_HEX - 1 || strspn(hash, "0123456789abcdef") != SHA256_HEX - 1)
        return "has no SHA-256 of 64 lower-case hex digits";
    memcpy(key->name, name, strlen(name) + 1);
    memcpy(key->hash, hash, SHA256_HEX);
    return NULL;
}

static enum infomask_status read_lines(char *text, struct key *table, size_t *count, struct infomask_error *err)
{
    char *line;

    for (int number = 1; (line = strsep(&text, "\n")) != NULL; number++) {
        struct key key;
        const char *wrong = read_line(line, &key);
        if (wrong == NULL && key.name[0] != '\0' && *count == MAX_KEYS)
            wrong = "is one key too many (10000 at most)";
        if (wrong != NULL)
            return error_set(err, INFOMASK_BAD_DATA, "line %d of the file of keys %s", number, wrong);
        if (key.name[0] != '\0')
            table[(*count)++] = key;
    }
    return INFOMASK_OK;
}

enum infomask_status keys_read_text(struct keys *keys, const char *text, struct infomask_error *err)
{
    char *copy = strdup(text);
    size_t lines = 1, count = 0;
    struct key *table, *old;
    enum infomask_status status;

    for (const char *p = text; *p != '\0'; p++)
        lines += *p == '\n';
    table = calloc(lines < MAX_KEYS ? lines : MAX_KEYS, sizeof *table);
    status = copy == NULL || table == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the keys")
                                           : read_lines(copy, table, &count, err);
    free(copy);
    if (status != INFOMASK_OK) {
        free(table);
        return status;
    }
    (void)pthread_mutex_lock(&keys->lock);
    old = keys->table;
    keys->table = table;
    keys->count = count;
    keys->configured = true;
    keys->has_admin = false;
    for (size_t i = 0; i < count; i++)
        keys->has_admin = keys->has_admin || (table[i].scopes & KEY_ADMIN);
    (void)pthread_mutex_unlock(&keys->lock);
    free(old);
    return INFOMASK_OK;
}

enum infomask_status keys_read(struct keys *keys, const char *path, struct infomask_error *err)
{
    char *text;
    size_t size;
    enum infomask_status status = file_read(path, MAX_FILE, &text, &size, err);

    if (status != INFOMASK_OK) {
        error_prefix(err, "the file of keys %.200s", path);
        return status;
    }
    status = keys_read_text(keys, text, err);
    free(text);
    return status;
}

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

bool keys_configured(struct keys *keys)
{
    (void)pthread_mutex_lock(&keys->lock);
    bool configured = keys->configured;
    (void)pthread_mutex_unlock(&keys->lock);
    return configured;
}

size_t keys_count(struct keys *keys)
{
    size_t count;

    (void)pthread_mutex_lock(&keys->lock);
    count = keys->count;
    (void)pthread_mutex_unlock(&keys->lock);
    return count;
}

bool keys_has_admin(struct keys *keys)
{
    (void)pthread_mutex_lock(&keys->lock);
    bool admin = keys->has_admin;
    (void)pthread_mutex_unlock(&keys->lock);
    return admin;
}

/* In a time that does not depend on where they differ. */
static bool same_hash(const char a[SHA256_HEX], const char b[SHA256_HEX])
{
    unsigned difference = 0;

    for (int i = 0; i < SHA256_HEX; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

unsigned keys_check(struct keys *keys, const char *presented, char name[KEY_NAME_SIZE])
{
    char hash[SHA256_HEX];
    unsigned scopes = 0;

    sha256_bytes(presented, strlen(presented), hash);
    (void)pthread_mutex_lock(&keys->lock);
    for (size_t i = 0; i < keys->count; i++)
        if (same_hash(hash, keys->table[i].hash)) {
            scopes = keys->table[i].scopes;
            memcpy(name, keys->table[i].name, KEY_NAME_SIZE);
        }
    (void)pthread_mutex_unlock(&keys->lock);
    return scopes;
}
