/* .incbin puts the files into the binary's read-only data; the Makefile makes this object depend on them. */
#include "server/web/web.h"

#include <string.h>

#define EMBED(name, file)                                         \
    __asm__(".pushsection .rodata\n"                              \
            ".balign 16\n"                                        \
            "web_" #name "_begin:\n.incbin \"server/web/" file "\"\n" \
            "web_" #name "_end:\n.byte 0\n"                       \
            ".popsection\n");                                     \
    extern const unsigned char web_##name##_begin[], web_##name##_end[]

EMBED(page, "index.html");
EMBED(script, "app.js");
EMBED(style, "style.css");
EMBED(icon, "icon.svg");

static const struct {
    const char *path, *content_type;
    const unsigned char *begin, *end;
} files[] = {
    {"/", "text/html; charset=utf-8", web_page_begin, web_page_end},
    {"/app.js", "text/javascript; charset=utf-8", web_script_begin, web_script_end},
    {"/style.css", "text/css; charset=utf-8", web_style_begin, web_style_end},
    {"/icon.svg", "image/svg+xml", web_icon_begin, web_icon_end},
};

bool web_find(const char *path, struct web_file *file)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0) {
            *file = (struct web_file){files[i].content_type, files[i].begin, (size_t)(files[i].end - files[i].begin)};
            return true;
        }
    return false;
}
