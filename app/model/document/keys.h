/* model.json read key by key, with sentences that name the key. */
#ifndef APP_MODEL_DOCUMENT_KEYS_H
#define APP_MODEL_DOCUMENT_KEYS_H

#include "app/json/json.h"
#include "app/model/folder_read.h"

/* One object of it. */
struct document_reader {
    const struct json *object; /* NULL: not there, every key is absent */
    const char *prefix;        /* "", "input.", ... */
    struct infomask_error *err;
    enum infomask_status status; /* the first failure; then nothing more is read */
};

/* BAD_MODEL: the key `key` ... */
void document_fails(struct document_reader *reader, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void document_must_be(struct document_reader *reader, const char *key, const char *what, const struct json *node);

/* The member, or NULL where it is absent or something failed before. */
const struct json *document_member(const struct document_reader *reader, const char *key);
/* An object inside; the caller hands its status back when it is read. */
struct document_reader document_object(const struct document_reader *outer, const char *key, const char *prefix);

/* Absent keys leave *value as it was. */
void document_string(struct document_reader *reader, const char *key, const char **value);
void document_number(struct document_reader *reader, const char *key, double low, double high, double *value);
void document_integer(struct document_reader *reader, const char *key, int low, int high, int *value);
/* words: "RGB|BGR|GRAY"; *value: the index of the one that it is. */
void document_choice(struct document_reader *reader, const char *key, const char *words, int *value);

/* The path of a file that a key names, malloc'ed; NULL where there is none.  A folder says which of its own files to
 * read, and none outside it. */
char *document_own_file(struct document_reader *reader, const char *folder, const char *key, const char *name);

/* Tells of members that are none of keys, "|name|version|", of the model `name`; warn may be NULL. */
void document_warn_of_unknown(const struct document_reader *reader, const char *keys, const char *name,
                              model_warn *warn, void *context);

#endif
