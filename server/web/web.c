/* .incbin puts the files into the binary's read-only data; the Makefile makes this object depend on them, and keeps the
 * gzip streams of the texts in the folder of generated files. */
#include "server/web/web.h"

#include <string.h>

#define EMBED(name, file)                                 \
    __asm__(".pushsection .rodata\n"                      \
            ".balign 16\n"                                \
            "web_" #name "_begin:\n.incbin \"" file "\"\n" \
            "web_" #name "_end:\n.byte 0\n"               \
            ".popsection\n");                             \
    extern const unsigned char web_##name##_begin[], web_##name##_end[]
#define TEXT(name, path, file, type, page) EMBED(name, "web/" file ".gz");
#define PHOTO(name, path, file, type, page) EMBED(name, "server/web/photos/" file);

#define HTML "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

/* X(name, path, file, content type, is it a document) */
#define TEXTS(X)                                                              \
    X(page, "/", "index.html", HTML, true)                                    \
    X(reference, "/docs", "docs.html", HTML, true)                            \
    X(client, "/infomask.js", "infomask.js", SCRIPT, false)                   \
    X(widget, "/info-mask.js", "info-mask.js", SCRIPT, false)                 \
    X(python, "/infomask.py", "infomask.py", "text/x-python; charset=utf-8", false) \
    X(app, "/web/app.js", "app.js", SCRIPT, false)                            \
    X(camera, "/web/camera.js", "camera.js", SCRIPT, false)                   \
    X(cards, "/web/cards.js", "cards.js", SCRIPT, false)                      \
    X(docs, "/web/docs.js", "docs.js", SCRIPT, false)                         \
    X(folder, "/web/folder.js", "folder.js", SCRIPT, false)                   \
    X(format, "/web/format.js", "format.js", SCRIPT, false)                   \
    X(names, "/web/names.js", "names.js", SCRIPT, false)                      \
    X(parameters, "/web/parameters.js", "parameters.js", SCRIPT, false)       \
    X(photos, "/web/photos.js", "photos.js", SCRIPT, false)                   \
    X(status, "/web/status.js", "status.js", SCRIPT, false)                   \
    X(take, "/web/take.js", "take.js", SCRIPT, false)                         \
    X(style, "/web/style.css", "style.css", "text/css; charset=utf-8", false) \
    X(icon, "/web/icon.svg", "icon.svg", "image/svg+xml", false)
#define PHOTOS(X)                                                \
    X(coffee, "/web/coffee.jpg", "coffee.jpg", "image/jpeg", false)    \
    X(chelsea, "/web/chelsea.jpg", "chelsea.jpg", "image/jpeg", false) \
    X(rocket, "/web/rocket.jpg", "rocket.jpg", "image/jpeg", false)

TEXTS(TEXT)
PHOTOS(PHOTO)

static const struct {
    const char *path, *content_type;
    const unsigned char *begin, *end;
    bool gzip, page;
} files[] = {
#define TEXT_ROW(name, path, file, type, page) {path, type, web_##name##_begin, web_##name##_end, true, page},
#define PHOTO_ROW(name, path, file, type, page) {path, type, web_##name##_begin, web_##name##_end, false, page},
    TEXTS(TEXT_ROW) PHOTOS(PHOTO_ROW)
};

bool web_find(const char *path, struct web_file *file)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0) {
            *file = (struct web_file){files[i].content_type, files[i].begin, (size_t)(files[i].end - files[i].begin),
                                      files[i].gzip, files[i].page};
            return true;
        }
    return false;
}
