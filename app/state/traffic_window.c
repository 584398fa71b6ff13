/* Rings of photos, and pieces of them. */
#include "app/state/traffic_window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rings ------------------------------------------------------------------------------------------------------- */

bool ring_init(struct ring *ring, size_t classes)
{
    size_t rows = TRAFFIC_ROW_BYTES / (sizeof(float) * classes + 1); /* no row more, and never by 0 */

    *ring = (struct ring){.classes = classes, .row_limit = rows < TRAFFIC_ROWS ? rows : TRAFFIC_ROWS};
    ring->photos = calloc(TRAFFIC_WINDOW, sizeof *ring->photos);
    ring->pmi = calloc(ring->row_limit * classes + 1, sizeof *ring->pmi);
    ring->answers = calloc(TRAFFIC_WINDOW, sizeof *ring->answers);
    return ring->photos != NULL && ring->pmi != NULL && ring->answers != NULL;
}

void ring_fini(struct ring *ring)
{
    free(ring->photos);
    free(ring->answers);
    free(ring->pmi);
    *ring = (struct ring){0};
}

void ring_clear(struct ring *ring)
{
    ring->total = 0;
}

void ring_put(struct ring *ring, struct photo_numbers photo, struct photo_answer answer, const double *pmi)
{
    ring->photos[ring->total % TRAFFIC_WINDOW] = photo;
    ring->answers[ring->total % TRAFFIC_WINDOW] = answer;
    if (ring->row_limit > 0) {
        float *row = ring->pmi + (size_t)(ring->total % ring->row_limit) * ring->classes;
        for (size_t y = 0; y < ring->classes; y++)
            row[y] = (float)pmi[y];
    }
    ring->total++;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

void traffic_part_fini(struct traffic_part *part)
{
    free(part->storage);
    *part = (struct traffic_part){0};
}

/* How many of the places from `from` up to `to` are among the last `kept`. */
static size_t left_of(const struct ring *ring, uint64_t from, uint64_t to, size_t kept)
{
    uint64_t oldest = ring->total > kept ? ring->total - kept : 0;

    if (from < oldest)
        from = oldest;
    return to > from ? (size_t)(to - from) : 0;
}

bool ring_copy(const struct ring *ring, uint64_t from, uint64_t to, bool pmi, struct traffic_part *part)
{
    size_t photos = left_of(ring, from, to, TRAFFIC_WINDOW);
    size_t rows = pmi ? left_of(ring, from, to, ring->row_limit) : 0;
    size_t photo_bytes = photos * sizeof *ring->photos, row_bytes = ring->classes * sizeof *ring->pmi;
    size_t answer_bytes = photos * sizeof *ring->answers;
    char *storage = malloc(photo_bytes + answer_bytes + rows * row_bytes + 1), *answer = storage + photo_bytes,
         *row = answer + answer_bytes;

    if (storage == NULL)
        return false;
    for (size_t i = 0; i < photos; i++)
        memcpy(storage + i * sizeof *ring->photos, &ring->photos[(to - photos + i) % TRAFFIC_WINDOW],
               sizeof *ring->photos);
    for (size_t i = 0; i < photos; i++)
        memcpy(answer + i * sizeof *ring->answers, &ring->answers[(to - photos + i) % TRAFFIC_WINDOW],
               sizeof *ring->answers);
    for (size_t i = 0; i < rows; i++)
        memcpy(row + i * row_bytes, ring->pmi + (size_t)((to - rows + i) % ring->row_limit) * ring->classes, row_bytes);
    *part = (struct traffic_part){.first = from,
                                  .count = to - from,
                                  .photos = photos,
                                  .rows = rows,
                                  .photo = (const void *)storage,
                                  .answer = (const void *)answer,
                                  .pmi = (const void *)row,
                                  .storage = storage};
    return true;
}

void ring_take(struct ring *ring, const struct traffic_part *part)
{
    uint64_t end = part->first + part->count;
    size_t row_bytes = ring->classes * sizeof *ring->pmi;

    for (size_t i = 0; i < part->photos; i++)
        ring->photos[(end - part->photos + i) % TRAFFIC_WINDOW] = part->photo[i];
    for (size_t i = 0; i < part->rows; i++)
        memcpy(ring->pmi + (size_t)((end - part->rows + i) % ring->row_limit) * ring->classes,
               part->pmi + i * ring->classes, row_bytes);
    ring->total = end;
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

static double most_information(const double *prior, size_t classes)
{
    double most = 0;

    for (size_t y = 0; y < classes; y++)
        most = fmax(most, -log(prior[y]));
    return most;
}

struct window *window_create(const char key[TRAFFIC_KEY_SIZE], size_t classes, const double *prior)
{
    struct window *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    memcpy(w->key, key, sizeof w->key);
    w->prior = malloc(classes * sizeof *w->prior);
    w->most_information = most_information(prior, classes);
    w->history = history_create(classes, w->most_information);
    if (!ring_init(&w->shared, classes) || !ring_init(&w->own, classes) || w->prior == NULL || w->history == NULL) {
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
    history_free(w->history);
    ring_fini(&w->shared);
    ring_fini(&w->own);
    free(w);
}
