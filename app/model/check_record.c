#include "app/model/check_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "core/base/build.h"

#define MOST_BYTES (1 << 16)
#define MOST_CHECKS 64

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static char *path_beside(const struct check_record *record)
{
    return file_join(record->folder, "check.json");
}

static char *path_in_state(const struct check_record *record)
{
    char *state = record->state_dir != NULL ? place_of_state_path(record->state_dir) : NULL, *path = NULL;

    if (state != NULL && asprintf(&path, "%s/checks/%s.json", state, record->name) < 0)
        path = NULL;
    free(state);
    return path;
}

/* The record at a path if it is this program's; NULL: there is none. */
static struct json *read_record(const char *path)
{
    char *text = NULL, build[BUILD_ID];
    const char *of;
    struct json *document = NULL;
    size_t size;

    build_id(build);
    if (path == NULL || build[0] == '\0' || file_read_regular(path, MOST_BYTES, &text, &size, NULL) != INFOMASK_OK)
        return NULL;
    if (json_parse(text, size, NULL, &document, NULL) != INFOMASK_OK)
        document = NULL;
    free(text);
    of = json_string(json_get(document, "build"));
    if (of != NULL && strcmp(of, build) == 0)
        return document;
    json_free(document);
    return NULL;
}

/* ---- Finding ----------------------------------------------------------------------------------------------------- */

static bool is_about(const struct json *check, const struct check_record *record)
{
    const char *isa = json_string(json_get(check, "isa")), *precision = json_string(json_get(check, "precision"));

    return isa != NULL && precision != NULL && strcmp(isa, record->isa) == 0 &&
           strcmp(precision, record->precision) == 0;
}

static bool read_check(const struct json *check, struct infomask_known *known)
{
    const char *digest = json_string(json_get(check, "digest"));

    if (digest == NULL || strlen(digest) != sizeof known->digest - 1 ||
        !json_bool(json_get(check, "equal"), &known->equal) || !json_number(json_get(check, "error"), &known->error) ||
        !json_number(json_get(check, "most"), &known->most))
        return false;
    memcpy(known->digest, digest, sizeof known->digest);
    return true;
}

static bool find_in(const struct json *document, const struct check_record *record, struct infomask_known *known)
{
    for (const struct json *check = json_first(json_get(document, "checks")); check != NULL; check = json_next(check))
        if (is_about(check, record))
            return read_check(check, known);
    return false;
}

bool check_record_find(const struct check_record *record, struct infomask_known *known)
{
    char *paths[2] = {path_beside(record), path_in_state(record)};
    bool found = false;

    for (int i = 0; i < 2; i++) {
        struct json *document = found ? NULL : read_record(paths[i]);
        found = found || find_in(document, record, known);
        json_free(document);
        free(paths[i]);
    }
    return found;
}

/* ---- Keeping ----------------------------------------------------------------------------------------------------- */

static void put_check(struct json_writer *w, const struct check_record *record, const struct infomask_known *known)
{
    json_object_open(w, NULL);
    json_put_string(w, "isa", record->isa);
    json_put_string(w, "precision", record->precision);
    json_put_string(w, "digest", known->digest);
    json_put_bool(w, "equal", known->equal);
    json_put_double(w, "error", known->error);
    json_put_double(w, "most", known->most);
    json_object_close(w);
}

/* What is known of other kernels and precisions stays. */
static enum infomask_status write_record(const char *path, const struct check_record *record,
                                         const struct infomask_known *known, struct infomask_error *err)
{
    struct json *before = read_record(path);
    char *text = NULL, build[BUILD_ID];
    size_t size = 0;
    int others = 0;
    struct json_writer w;
    enum infomask_status status;

    build_id(build);
    json_writer_init(&w, 2);
    json_object_open(&w, NULL);
    json_put_string(&w, "build", build);
    json_array_open(&w, "checks");
    put_check(&w, record, known);
    for (const struct json *check = json_first(json_get(before, "checks")); check != NULL; check = json_next(check))
        if (!is_about(check, record) && ++others < MOST_CHECKS)
            json_put_node(&w, NULL, check);
    json_array_close(&w);
    json_object_close(&w);
    json_free(before);
    status = json_writer_take(&w, &text, &size, err);
    if (status == INFOMASK_OK)
        status = file_write(path, text, size, err);
    free(text);
    return status;
}

enum infomask_status check_record_keep(const struct check_record *record, const struct infomask_known *known,
                                       struct infomask_error *err)
{
    char *path = path_beside(record);
    enum infomask_status status = path != NULL ? write_record(path, record, known, err)
                                               : error_set(err, INFOMASK_MEMORY, "out of memory");

    free(path);
    if (status == INFOMASK_OK || status == INFOMASK_MEMORY)
        return status;
    path = path_in_state(record); /* the models' folder may be for reading only */
    if (path != NULL && file_make_parents(path, err) == INFOMASK_OK)
        status = write_record(path, record, known, err);
    free(path);
    return status;
}
