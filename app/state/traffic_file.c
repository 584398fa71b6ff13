/* A window as a file: a header, then its arrays. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "app/state/traffic_window.h"
#include "core/base/checked.h"

#define MAGIC 0x31667472546d6d69u /* "immTrtf1" */

struct header {
    uint64_t magic, classes, row_limit, total;
    struct traffic_baseline baseline;
};

struct part {
    void *data;
    size_t bytes;
};
enum { PARTS = 4 };

static void parts_of(const struct window *w, struct part parts[PARTS])
{
    parts[0] = (struct part){w->prior, w->classes * sizeof *w->prior};
    parts[1] = (struct part){w->information, TRAFFIC_WINDOW * sizeof *w->information};
    parts[2] = (struct part){w->entropy, TRAFFIC_WINDOW * sizeof *w->entropy};
    parts[3] = (struct part){w->pmi, w->row_limit * w->classes * sizeof *w->pmi};
}

struct window *window_create(const char key[65], size_t classes, const double *prior)
{
    struct window *w = calloc(1, sizeof *w);
    size_t rows = TRAFFIC_ROW_BYTES / sizeof(float) / classes;

    if (w == NULL)
        return NULL;
    memcpy(w->key, key, sizeof w->key);
    w->classes = classes;
    w->row_limit = rows < TRAFFIC_ROWS ? rows : TRAFFIC_ROWS;
    w->prior = calloc(classes, sizeof *w->prior);
    w->information = calloc(TRAFFIC_WINDOW, sizeof *w->information);
    w->entropy = calloc(TRAFFIC_WINDOW, sizeof *w->entropy);
    w->pmi = calloc(w->row_limit * classes + 1, sizeof *w->pmi);
    if (w->prior == NULL || w->information == NULL || w->entropy == NULL || w->pmi == NULL) {
        window_free(w);
        return NULL;
    }
    memcpy(w->prior, prior, classes * sizeof *prior);
    return w;
}

void window_free(struct window *w)
{
    if (w == NULL)
        return;
    free(w->prior);
    free(w->information);
    free(w->entropy);
    free(w->pmi);
    free(w);
}

static char *path_of(const char *folder, const char key[65])
{
    char *path;

    return asprintf(&path, "%s/traffic-%.24s.bin", folder, key) < 0 ? NULL : path;
}

void *window_image(const struct window *w, size_t *size)
{
    const struct header header = {MAGIC, w->classes, w->row_limit, w->total, w->baseline};
    struct part parts[PARTS];
    size_t used = sizeof header;
    char *image;

    parts_of(w, parts);
    *size = sizeof header;
    for (int i = 0; i < PARTS; i++)
        *size += parts[i].bytes;
    image = malloc(*size);
    if (image == NULL)
        return NULL;
    memcpy(image, &header, sizeof header);
    for (int i = 0; i < PARTS; i++) {
        memcpy(image + used, parts[i].data, parts[i].bytes);
        used += parts[i].bytes;
    }
    return image;
}

enum infomask_status window_write(const char *folder, const char key[65], const void *image, size_t size,
                                  struct infomask_error *err)
{
    char *path = path_of(folder, key);
    enum infomask_status status = path != NULL ? file_write(path, image, size, err)
                                               : error_set(err, INFOMASK_MEMORY, "out of memory");

    free(path);
    return status;
}

/* Under the prior that the model has now, and with numbers only. */
static bool is_sound(const struct window *w, const struct header *header, const char *image)
{
    const float *pmi = (const float *)(const void *)(image + 2 * TRAFFIC_WINDOW * sizeof(double) +
                                                     w->classes * sizeof(double));
    const double *values = (const double *)(const void *)image;
    size_t rows = w->row_limit * w->classes;

    if (header->magic != MAGIC || memcmp(values, w->prior, w->classes * sizeof *values) != 0)
        return false;
    for (size_t i = 0; i < w->classes + 2 * TRAFFIC_WINDOW; i++)
        if (!isfinite(values[i]))
            return false;
    for (size_t i = 0; i < rows; i++)
        if (!isfinite(pmi[i]))
            return false;
    return isfinite(header->baseline.plug_in) && header->baseline.deviation >= 0 &&
           memchr(header->baseline.id, '\0', sizeof header->baseline.id) != NULL;
}

bool window_load(struct window *w, const char *folder)
{
    char *path = path_of(folder, w->key), *image = NULL;
    struct header header;
    struct part parts[PARTS];
    size_t size = 0, expected = sizeof header, used = sizeof header;
    struct infomask_error ignored;
    bool fine;

    parts_of(w, parts);
    for (int i = 0; i < PARTS; i++)
        expected += parts[i].bytes;
    fine = path != NULL && file_read(path, expected, &image, &size, &ignored) == INFOMASK_OK && size == expected;
    if (fine) {
        memcpy(&header, image, sizeof header);
        fine = header.classes == w->classes && header.row_limit == w->row_limit &&
               is_sound(w, &header, image + sizeof header);
    }
    for (int i = 0; fine && i < PARTS; i++) {
        memcpy(parts[i].data, image + used, parts[i].bytes);
        used += parts[i].bytes;
    }
    if (fine) {
        w->total = w->saved = header.total;
        w->baseline = header.baseline;
    }
    free(path);
    free(image);
    return fine;
}
