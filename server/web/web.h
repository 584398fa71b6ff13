/* The web page, the modules for other pages, and the reference: the files of server/web/, embedded when the binary is
 * built, texts as gzip. */
#ifndef SERVER_WEB_WEB_H
#define SERVER_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>

struct web_file {
    const char *content_type;
    const void *data; /* static */
    size_t size;
    bool gzip;        /* data is a gzip stream of the file */
    bool page;        /* a document: it gets the policy of what it may do */
};

/* The file served at `path` ("/", "/docs", "/web/app.js"); false: there is none. */
bool web_find(const char *path, struct web_file *file);

/* What a browser may do with the page: nothing from elsewhere, nothing inline. */
#define WEB_POLICY                                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#endif
