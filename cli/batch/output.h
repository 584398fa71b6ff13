/* Where the results of classify, mask and filter go, and as what: the flags that the three share, what the name of -o
 * says, and pictures to files, folders, a pipe or the terminal. */
#ifndef CLI_BATCH_OUTPUT_H
#define CLI_BATCH_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "app/json/json.h"
#include "cli/arguments.h"
#include "core/infomask.h"

enum output_form {
    OUTPUT_TEXT,    /* for people */
    OUTPUT_JSON,    /* one value: the service's object, or {"results": [...]} */
    OUTPUT_LINES,   /* a JSON value a line, as it goes */
    OUTPUT_PICTURE,
    OUTPUT_FORMS    /* nothing is said yet */
};

struct output {
    const char *path;      /* -o; NULL: standard output */
    enum output_form form;
    const char *extension; /* of a picture: "png", "jpg", "webp"; NULL for the other forms */
    bool folder;           /* path is a folder: one picture a photo, named as the photo */
    bool quiet, pretty;
    bool show;             /* pictures are drawn on the terminal, beside -o if that is given */
    bool resume;           /* what path has is left out */
    const char *list;      /* --files-from */
    bool json, lines, text; /* flags as they were given */
    bool many;             /* there may be more than one photo */
};

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

enum {
    OUTPUT_FLAG_PRETTY = 900,
    OUTPUT_FLAG_SHOW,
    OUTPUT_FLAG_JSON,
    OUTPUT_FLAG_LINES,
    OUTPUT_FLAG_TEXT,
    OUTPUT_FLAG_LIST,
    OUTPUT_FLAG_RESUME
};

#define OUTPUT_FLAGS(what)                                                                                            \
    {'o', "output-file", "FILE", what}, {'q', "quiet", NULL, "say nothing but errors on standard error"},             \
        {OUTPUT_FLAG_JSON, "json", NULL,                                                                              \
         "print JSON, as the service answers (the default where it goes into a pipe)"},                               \
        {OUTPUT_FLAG_LINES, "jsonl", NULL, "print a line of JSON for each photo as soon as it is done"},              \
        {OUTPUT_FLAG_TEXT, "text", NULL, "print for people (the default on a terminal)"},                             \
        {OUTPUT_FLAG_PRETTY, "pretty", NULL, "indent the JSON"},                                                      \
        {OUTPUT_FLAG_LIST, "files-from", "FILE",                                                                      \
         "read names of photos and folders from FILE (- is standard input), one a line or ended by NULs"},            \
    {                                                                                                                 \
        OUTPUT_FLAG_RESUME, "resume", NULL, "go on with the lines or pictures that are at -o: leave out what is done" \
    }
#define OUTPUT_FLAG_OF_SHOW \
    {OUTPUT_FLAG_SHOW, "show", NULL, "draw the picture on the terminal (kitty, sixels, else half blocks)"}

/* Takes one of them; false: it is none. */
bool output_take(struct output *output, int letter, const char *value);

/* ---- What it will be --------------------------------------------------------------------------------------------- */

struct output_spec {
    const char *noun;             /* "a mask", for sentences */
    bool png, jpeg, webp;         /* pictures that the command writes */
    enum output_form piped;       /* without a word about it, where it goes into a pipe or nowhere said */
    enum output_form at_terminal; /* the same, on a terminal */
    /* what --format asks for: a form, with the extension if it is a picture; OUTPUT_FORMS: it was not given */
    enum output_form format;
    const char *format_extension;
};

/* Fills form, extension and folder from the flags, the name of -o and `many`, and makes the folder; complains on
 * standard error.  Returns -1 to go on, else the exit code. */
int output_open(struct output *output, const struct cli *cli, const struct output_spec *spec)
    __attribute__((warn_unused_result));

/* As its extension says; PNG without one. */
enum infomask_format output_format(const struct output *output);

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* Writes a picture to `path` (NULL or "-": standard output), or draws it, or both.  *over: output_is_over of what went
 * wrong. */
enum infomask_status output_picture(const struct output *output, const char *path,
                                    const struct infomask_encoded *encoded, bool *over, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Will what could not be written, for this errno, not be written for the next photo either?  The disk is full, the
 * quota used up, the file system read-only. */
bool output_is_over(int code);

#endif
