/* The windows in the state: a row each, and their last photos as parts, one for each time that somebody told some. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/state/estimates_store.h"
#include "app/state/traffic_window.h"

#define FORGOTTEN_S (30 * 24 * 3600) /* without a photo, of a model that nobody has any more */

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static enum infomask_status run_on(struct store_connection *connection, int sql, const char *key, int64_t number,
                                   struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, sql, err);

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, key);
    store_bind_integer(s, 2, number);
    return store_run(s, err);
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

/* *there false: there is no such window yet. */
static enum infomask_status hold(struct store_connection *connection, const char *key, bool *there, uint64_t *total,
                                 struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_HOLD, err);
    enum infomask_status status;

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, key);
    status = store_step(s, there, err);
    if (status == INFOMASK_OK && *there)
        *total = (uint64_t)store_integer(s, 0);
    store_reset(s);
    return status;
}

/* The windows of models that are long gone leave with it. */
static enum infomask_status make(struct store_connection *connection, const char *key, struct infomask_error *err)
{
    static const int expire[] = {SQL_TRAFFIC_EXPIRE_PARTS, SQL_TRAFFIC_EXPIRE_STEPS, SQL_TRAFFIC_EXPIRE};
    enum infomask_status status = run_on(connection, SQL_TRAFFIC_MAKE, key, now_s(), err);

    for (int i = 0; i < 3 && status == INFOMASK_OK; i++) {
        struct store_statement *s = store_statement(connection, expire[i], err);
        if (s == NULL)
            return err->status;
        store_bind_integer(s, 1, now_s() - FORGOTTEN_S);
        status = store_run(s, err);
    }
    return status;
}

/* Nobody else changes the window until the transaction's end. */
static enum infomask_status hold_or_make(struct store_connection *connection, const char *key, uint64_t *total,
                                         struct infomask_error *err)
{
    bool there;
    enum infomask_status status = hold(connection, key, &there, total, err);

    if (status == INFOMASK_OK && !there)
        status = make(connection, key, err);
    if (status == INFOMASK_OK && !there)
        status = hold(connection, key, &there, total, err);
    return status == INFOMASK_OK && !there ? error_set(err, INFOMASK_IO, "the window is gone") : status;
}

/* *added false: it was there. */
static enum infomask_status add(struct store_connection *connection, const struct traffic_told *told, uint64_t first,
                                bool *added, struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_ADD, err);
    const struct traffic_part *part = &told->part;
    enum infomask_status status;

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, told->key);
    store_bind_integer(s, 2, (int64_t)first);
    store_bind_integer(s, 3, (int64_t)part->count);
    store_bind_text(s, 4, told->writer);
    store_bind_integer(s, 5, (int64_t)told->number);
    store_bind_bytes(s, 6, part->photo, part->photos * sizeof *part->photo);
    if (part->rows > 0)
        store_bind_bytes(s, 7, part->pmi, part->rows * told->classes * sizeof *part->pmi);
    status = store_step(s, added, err);
    return status == INFOMASK_OK && *added ? store_run(s, err) : status;
}

static enum infomask_status grow(struct store_connection *connection, const char *key, uint64_t total,
                                 struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_GROW, err);

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, key);
    store_bind_integer(s, 2, (int64_t)total);
    store_bind_integer(s, 3, now_s());
    return store_run(s, err);
}

/* ---- The week's history ------------------------------------------------------------------------------------------ */

/* The rows from step `from` on; one that is damaged is as if it were not there. */
static enum infomask_status load_steps(struct store_connection *connection, const char *key, int64_t from,
                                       struct history *history, struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_STEPS, err);
    enum infomask_status status = s != NULL ? INFOMASK_OK : err->status;
    bool row = true;

    history_clear(history);
    if (status == INFOMASK_OK) {
        store_bind_text(s, 1, key);
        store_bind_integer(s, 2, from);
    }
    while (status == INFOMASK_OK && (status = store_step(s, &row, err)) == INFOMASK_OK && row) {
        size_t size;
        const void *bytes = store_bytes(s, 1, &size);
        (void)history_take(history, store_integer(s, 0), bytes, size);
    }
    if (s != NULL)
        store_reset(s);
    return status;
}

static enum infomask_status save_step(struct store_connection *connection, const char *key,
                                      const struct history *history, int64_t step, struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_SET_STEP, err);
    void *row = malloc(history_row_size(history));
    enum infomask_status status;

    if (s == NULL || row == NULL) {
        free(row);
        return s == NULL ? err->status : error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    }
    history_row(history, step, row);
    store_bind_text(s, 1, key);
    store_bind_integer(s, 2, step);
    store_bind_bytes(s, 3, row, history_row_size(history));
    status = store_run(s, err);
    free(row);
    return status;
}

static int64_t last_step(const struct history *history, const struct traffic_part *part)
{
    int64_t last = 0, step;

    for (size_t i = 0; i < part->photos; i++)
        if ((step = history_step(history, part->answer[i].hour)) > last)
            last = step;
    return last;
}

/* Where the photos' last step is there already, only it is read and written: nothing ages. */
static enum infomask_status add_steps(struct store_connection *connection, const struct traffic_told *told,
                                      struct history *history, struct infomask_error *err)
{
    const struct traffic_part *part = &told->part;
    int64_t last = last_step(history, part), newest;
    enum infomask_status status = load_steps(connection, told->key, last, history, err);
    bool known = history_newest(history) > 0;

    if (status == INFOMASK_OK && !known)
        status = load_steps(connection, told->key, 0, history, err);
    if (status != INFOMASK_OK)
        return status;
    newest = history_newest(history);
    for (size_t i = 0; i < part->photos; i++)
        history_add(history, part->answer[i].hour, part->answer[i].predicted, part->photo[i].information,
                    part->photo[i].entropy);
    for (int64_t step = newest > 0 ? newest : 1; status == INFOMASK_OK && step <= history_newest(history); step++) {
        step = step < history_oldest(history) ? history_oldest(history) : step;
        status = save_step(connection, told->key, history, step, err);
    }
    if (status == INFOMASK_OK && !known)
        status = save_step(connection, told->key, history, 0, err);
    return status == INFOMASK_OK && !known ? run_on(connection, SQL_TRAFFIC_TRIM_STEPS, told->key,
                                                    history_oldest(history), err)
                                           : status;
}

static enum infomask_status tell_steps(struct store_connection *connection, const struct traffic_told *told,
                                       struct infomask_error *err)
{
    struct history *history;
    enum infomask_status status;

    if (told->part.photos == 0 || told->part.answer == NULL)
        return INFOMASK_OK;
    history = history_create(told->classes, told->most_information);
    status = history == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the traffic")
                             : add_steps(connection, told, history, err);
    history_free(history);
    return status;
}

struct remembering {
    const char *key;
    struct history *history;
};

static enum infomask_status remember(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct remembering *remembering = context;

    return load_steps(connection, remembering->key, 0, remembering->history, err);
}

enum infomask_status traffic_store_history(const struct estimates *estimates, const char *key, struct history *history,
                                           struct infomask_error *err)
{
    struct remembering remembering = {key, history};

    return store_read(estimates->shared->store, estimates->deadline_ms, remember, &remembering, err);
}

static enum infomask_status tell(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct traffic_told *told = context;
    uint64_t total = 0;
    bool added = false;
    enum infomask_status status = hold_or_make(connection, told->key, &total, err);

    if (status == INFOMASK_OK)
        status = add(connection, told, total, &added, err);
    if (status != INFOMASK_OK || !added)
        return status;
    total += told->part.count;
    status = grow(connection, told->key, total, err);
    if (status == INFOMASK_OK)
        status = tell_steps(connection, told, err);
    if (status == INFOMASK_OK && total > TRAFFIC_WINDOW)
        status = run_on(connection, SQL_TRAFFIC_TRIM, told->key, (int64_t)(total - TRAFFIC_WINDOW), err);
    if (status == INFOMASK_OK && total > told->row_limit)
        status = run_on(connection, SQL_TRAFFIC_TRIM_ROWS, told->key, (int64_t)(total - told->row_limit), err);
    return status;
}

enum infomask_status traffic_store_tell(const struct estimates *estimates, const struct traffic_told *told,
                                        struct infomask_error *err)
{
    return store_write(estimates->shared->store, estimates->deadline_ms, tell, (void *)(uintptr_t)told, err);
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

void traffic_news_fini(struct traffic_news *news)
{
    while (news->parts != NULL) {
        struct traffic_part *next = news->parts->next;
        traffic_part_fini(news->parts);
        free(news->parts);
        news->parts = next;
    }
}

static enum infomask_status look_at_head(struct store_connection *connection, struct traffic_news *news,
                                         struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_HEAD, err);
    enum infomask_status status;
    const char *id;
    bool there;

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, news->key);
    status = store_step(s, &there, err);
    if (status == INFOMASK_OK && there) {
        struct traffic_baseline *b = &news->baseline;
        news->total = (uint64_t)store_integer(s, 0);
        id = store_text(s, 1);
        if (id != NULL && strlen(id) < sizeof b->id && store_integer(s, 2) > 0) {
            memcpy(b->id, id, strlen(id) + 1);
            b->samples = (uint64_t)store_integer(s, 2);
            b->plug_in = store_real(s, 3);
            b->deviation = store_real(s, 4);
            b->overconfidence = store_real(s, 5);
        }
    }
    store_reset(s);
    return status;
}

static bool all_finite(const struct traffic_part *part, size_t classes)
{
    for (size_t i = 0; i < part->photos; i++)
        if (!isfinite(part->photo[i].information) || !isfinite(part->photo[i].entropy))
            return false;
    for (size_t i = 0; i < part->rows * classes; i++)
        if (!isfinite(part->pmi[i]))
            return false;
    return true;
}

/* The current row as a part; damaged: *sound false. */
static enum infomask_status copy_part(struct store_statement *s, const struct traffic_news *news,
                                      struct traffic_part *part, bool *sound, struct infomask_error *err)
{
    size_t photo_bytes, row_bytes = news->classes * sizeof(float), pmi_bytes;
    const void *photos = store_bytes(s, 2, &photo_bytes), *pmi = store_bytes(s, 3, &pmi_bytes);
    char *storage;

    *part = (struct traffic_part){.first = (uint64_t)store_integer(s, 0), .count = (uint64_t)store_integer(s, 1)};
    part->photos = photo_bytes / sizeof *part->photo;
    part->rows = pmi_bytes / row_bytes;
    *sound = photo_bytes % sizeof *part->photo == 0 && pmi_bytes % row_bytes == 0 && part->photos <= TRAFFIC_WINDOW &&
             part->rows <= news->row_limit && part->rows <= part->count && part->photos <= part->count;
    if (!*sound)
        return INFOMASK_OK;
    storage = malloc(photo_bytes + pmi_bytes + 1);
    if (storage == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
    if (photo_bytes > 0)
        memcpy(storage, photos, photo_bytes);
    if (pmi_bytes > 0)
        memcpy(storage + photo_bytes, pmi, pmi_bytes);
    part->storage = storage;
    part->photo = (const void *)storage;
    part->pmi = (const void *)(storage + photo_bytes);
    *sound = all_finite(part, news->classes);
    return INFOMASK_OK;
}

/* Each part must begin where the one before ends, and the last one must end at the total. */
static enum infomask_status look_at_parts(struct store_connection *connection, struct traffic_news *news, uint64_t at,
                                          struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_TRAFFIC_PARTS, err);
    struct traffic_part **last = &news->parts;
    enum infomask_status status = s != NULL ? INFOMASK_OK : err->status;
    bool row = true, sound = true;

    if (status == INFOMASK_OK) {
        store_bind_text(s, 1, news->key);
        store_bind_integer(s, 2, (int64_t)at);
    }
    while (status == INFOMASK_OK && sound && (status = store_step(s, &row, err)) == INFOMASK_OK && row) {
        *last = calloc(1, sizeof **last);
        if (*last == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the traffic");
        status = copy_part(s, news, *last, &sound, err);
        sound = sound && (last == &news->parts ? (*last)->first <= at : (*last)->first == at);
        at = (*last)->first + (*last)->count;
        last = &(*last)->next;
    }
    if (s != NULL)
        store_reset(s);
    news->damaged = status == INFOMASK_OK && (!sound || at != news->total);
    return status;
}

static enum infomask_status look(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct traffic_news *news = context;
    uint64_t from = news->since;
    enum infomask_status status;

    traffic_news_fini(news);
    news->total = 0;
    news->damaged = false;
    news->baseline = (struct traffic_baseline){0};
    status = look_at_head(connection, news, err);
    if (status != INFOMASK_OK || news->total == from)
        return status;
    if (news->total < from) /* it began anew */
        from = 0;
    if (news->total > TRAFFIC_WINDOW && from < news->total - TRAFFIC_WINDOW)
        from = news->total - TRAFFIC_WINDOW;
    return look_at_parts(connection, news, from, err);
}

enum infomask_status traffic_store_look(const struct estimates *estimates, struct traffic_news *news,
                                        struct infomask_error *err)
{
    return store_read(estimates->shared->store, estimates->deadline_ms, look, news, err);
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

struct setting {
    const char *key;
    const struct traffic_baseline *baseline;
};

static enum infomask_status set_baseline(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct setting *setting = context;
    const struct traffic_baseline *b = setting->baseline;
    uint64_t total;
    enum infomask_status status = hold_or_make(connection, setting->key, &total, err);
    struct store_statement *s = status == INFOMASK_OK ? store_statement(connection, SQL_TRAFFIC_BASELINE, err) : NULL;

    if (s == NULL)
        return err->status;
    store_bind_text(s, 1, setting->key);
    store_bind_text(s, 2, b->id);
    store_bind_integer(s, 3, (int64_t)b->samples);
    store_bind_real(s, 4, b->plug_in);
    store_bind_real(s, 5, b->deviation);
    store_bind_real(s, 6, b->overconfidence);
    return store_run(s, err);
}

enum infomask_status traffic_store_set_baseline(const struct estimates *estimates, const char *key,
                                                const struct traffic_baseline *baseline, struct infomask_error *err)
{
    struct setting setting = {key, baseline};

    return store_write(estimates->shared->store, estimates->deadline_ms, set_baseline, &setting, err);
}

static enum infomask_status forget(struct store_connection *connection, void *context, struct infomask_error *err)
{
    enum infomask_status status = run_on(connection, SQL_TRAFFIC_TRIM, context, INT64_MAX, err);

    return status == INFOMASK_OK ? grow(connection, context, 0, err) : status;
}

enum infomask_status traffic_store_forget(const struct estimates *estimates, const char *key,
                                          struct infomask_error *err)
{
    return store_write(estimates->shared->store, estimates->deadline_ms, forget, (void *)(uintptr_t)key, err);
}
