#include "cli/batch/photos.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/batch/interrupt.h"

#define MOST_NAME 65536 /* bytes of a line: a path has at most 4,096 */
#define WIDEST_NAME 48

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
}

/* Takes path. */
static enum infomask_status add(struct photos *photos, char *path, size_t sample, bool found, int failure,
                                struct infomask_error *err)
{
    if (path != NULL && photos->count == photos->capacity) {
        size_t capacity = photos->capacity > 0 ? 2 * photos->capacity : 64;
        struct photo_entry *entries = reallocarray(photos->entries, capacity, sizeof *entries);
        if (entries == NULL) {
            free(path);
            return no_memory(err);
        }
        photos->entries = entries;
        photos->capacity = capacity;
    }
    if (path == NULL)
        return no_memory(err);
    photos->entries[photos->count++] = (struct photo_entry){path, path + sample, found, failure};
    return INFOMASK_OK;
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

static int by_bytes(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name); /* not by locale: the order is the same everywhere */
}

static enum infomask_status visit(struct photos *photos, FTS *walk, FTSENT *entry, size_t root,
                                  struct infomask_error *err)
{
    bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';

    if (hidden) {
        (void)fts_set(walk, entry, FTS_SKIP);
        return INFOMASK_OK;
    }
    switch (entry->fts_info) {
    case FTS_F:
    case FTS_SLNONE: /* a link to nothing is named when its turn comes */
    case FTS_NS:
        return add(photos, strdup(entry->fts_path), root, true, entry->fts_info == FTS_F ? 0 : ENOENT, err);
    case FTS_DNR:
    case FTS_ERR:
        return add(photos, strdup(entry->fts_path), root, true, entry->fts_errno, err);
    default: /* folders themselves, circles of links, devices and pipes */
        return INFOMASK_OK;
    }
}

static enum infomask_status add_folder(struct photos *photos, const char *folder, struct infomask_error *err)
{
    char *root = strdup(folder), *roots[] = {root, NULL};
    size_t length = strlen(folder), skip;
    enum infomask_status status = INFOMASK_OK;
    FTS *walk;
    FTSENT *entry;

    if (root == NULL)
        return no_memory(err);
    while (length > 1 && root[length - 1] == '/')
        root[--length] = '\0';
    skip = root[length - 1] == '/' ? length : length + 1;
    walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_bytes);
    if (walk == NULL)
        status = error_set(err, INFOMASK_IO, "%.200s: %s", folder, strerror(errno));
    while (status == INFOMASK_OK && (entry = fts_read(walk)) != NULL)
        status = visit(photos, walk, entry, entry->fts_level > 0 ? skip : 0, err);
    if (walk != NULL)
        (void)fts_close(walk);
    free(root);
    return status;
}

/* What comes behind the folders that lead out of here: OUT/ mirrors the rest. */
static size_t sample_of_name(const char *path)
{
    const char *sample = path + strspn(path, "/"), *up;

    while (strncmp(sample, "./", 2) == 0)
        sample += 2 + strspn(sample + 2, "/");
    while ((up = strstr(sample, "../")) != NULL)
        sample = up + 3;
    return (size_t)(sample - path);
}

static enum infomask_status add_name(struct photos *photos, const char *name, bool mirrored, struct infomask_error *err)
{
    struct stat at;

    if (stat(name, &at) == 0 && S_ISDIR(at.st_mode))
        return add_folder(photos, name, err);
    return add(photos, strdup(name), mirrored ? sample_of_name(name) : (size_t)(file_name(name) - name), false, 0, err);
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

struct names {
    int fd;
    char *buffer; /* [MOST_NAME] */
    size_t used, at;
    char separator; /* what ended the first name: '\n' or NUL */
    bool known, ended;
};

static enum infomask_status names_open(const char *path, struct names **names, struct infomask_error *err)
{
    struct names *made = calloc(1, sizeof *made);

    if (made != NULL)
        made->buffer = malloc(MOST_NAME);
    if (made == NULL || made->buffer == NULL) {
        free(made);
        return no_memory(err);
    }
    made->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (made->fd < 0) {
        free(made->buffer);
        free(made);
        return error_set(err, INFOMASK_IO, "%.200s: cannot be read: %s", path, strerror(errno));
    }
    *names = made;
    return INFOMASK_OK;
}

static void names_close(struct names *names)
{
    if (names == NULL)
        return;
    if (names->fd != STDIN_FILENO)
        (void)close(names->fd);
    free(names->buffer);
    free(names);
}

/* The end of the name that begins at `at`, or NULL: it is not all there. */
static char *find_end(struct names *names)
{
    char *from = names->buffer + names->at;
    size_t left = names->used - names->at;

    for (size_t i = 0; !names->known && i < left; i++)
        if (from[i] == '\n' || from[i] == '\0') {
            names->separator = from[i];
            names->known = true;
        }
    return names->known ? memchr(from, names->separator, left) : NULL;
}

/* Reads what is there.  False: nothing came (not yet, a signal, or the end). */
static bool fill(struct names *names, bool wait)
{
    struct pollfd ready = {names->fd, POLLIN, 0};
    ssize_t got;

    memmove(names->buffer, names->buffer + names->at, names->used - names->at);
    names->used -= names->at;
    names->at = 0;
    if (wait ? !interrupt_await_input(names->fd) : poll(&ready, 1, 0) <= 0)
        return false;
    got = read(names->fd, names->buffer + names->used, MOST_NAME - 1 - names->used);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    names->ended = got <= 0;
    names->used += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The next name, NUL-terminated in the buffer; NULL: none (yet). */
static char *next_name(struct names *names, bool wait, struct infomask_error *err)
{
    char *end, *name;

    while ((end = find_end(names)) == NULL && !names->ended) {
        if (names->used - names->at >= MOST_NAME - 1) {
            (void)error_set(err, INFOMASK_BAD_DATA, "the list of photos has a line of more than %d bytes",
                            MOST_NAME - 1);
            return NULL;
        }
        if (!fill(names, wait) && !names->ended)
            return NULL;
    }
    if (end == NULL && names->at == names->used)
        return NULL;
    if (end == NULL)
        end = names->buffer + names->used++; /* the last line may lack its end; fill leaves room for it */
    name = names->buffer + names->at;
    *end = '\0';
    names->at = (size_t)(end - names->buffer) + 1;
    if (names->separator == '\n' && end > name && end[-1] == '\r')
        end[-1] = '\0';
    return name;
}

/* Reads one name into the entries.  False: there was none (yet). */
static bool read_name(struct photos *photos, bool wait, struct infomask_error *err)
{
    char *name = next_name(photos->more, wait, err);

    if (name == NULL)
        return false;
    if (strcmp(name, "-") == 0) /* a file of that name: standard input is the list's */
        return add_name(photos, "./-", true, err) == INFOMASK_OK;
    return name[0] == '\0' || add_name(photos, name, true, err) == INFOMASK_OK;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

enum infomask_status photos_open(struct photos *photos, char *const *operands, int count, const char *list, bool whole,
                                 struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    *photos = (struct photos){0};
    err->status = INFOMASK_OK;
    for (int i = 0; i < count && status == INFOMASK_OK; i++)
        status = add_name(photos, operands[i], false, err);
    if (status == INFOMASK_OK && list != NULL)
        status = names_open(list, &photos->more, err);
    if (status == INFOMASK_OK && list != NULL && (whole || strcmp(list, "-") != 0)) {
        while (read_name(photos, true, err))
            continue;
        status = err->status;
        names_close(photos->more);
        photos->more = NULL;
    }
    if (status != INFOMASK_OK)
        photos_close(photos);
    return status;
}

void photos_close(struct photos *photos)
{
    for (size_t i = 0; i < photos->count; i++)
        free(photos->entries[i].path);
    free(photos->entries);
    names_close(photos->more);
    *photos = (struct photos){0};
}

void photos_forget(struct photos *photos)
{
    if (photos->more == NULL || photos->taken < photos->count)
        return;
    for (size_t i = 0; i < photos->count; i++)
        free(photos->entries[i].path);
    photos->count = photos->taken = 0;
}

bool photos_take(struct photos *photos, bool wait, struct photo_entry *entry, bool *end, struct infomask_error *err)
{
    err->status = INFOMASK_OK;
    while (photos->taken == photos->count && photos->more != NULL)
        if (!read_name(photos, wait, err))
            break;
    if (photos->taken < photos->count) {
        *entry = photos->entries[photos->taken++];
        return true;
    }
    *end = photos->more == NULL || photos->more->ended || err->status != INFOMASK_OK || interrupt_signal() != 0;
    return false;
}

int photos_name_width(const struct photos *photos)
{
    size_t width = 0;

    for (size_t i = 0; i < photos->count; i++) {
        size_t length = strlen(photos->entries[i].path);
        width = length > width ? length : width;
    }
    return width < WIDEST_NAME ? (int)width : WIDEST_NAME;
}
