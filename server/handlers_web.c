/* The web page and its files. */
#include <stdio.h>
#include <string.h>

#include "core/base/sha256.h"
#include "server/routes.h"
#include "server/web.h"

/* The tag is of the content: a browser asks again on every visit and gets 304 until the binary is another. */
static bool is_known(const struct request *request, const char *tag)
{
    return request->if_none_match != NULL && strstr(request->if_none_match, tag) != NULL;
}

int handle_page(struct server_context *server, const struct request *request, struct reply *reply)
{
    char hash[SHA256_HEX], tag[20];
    struct web_file file;

    (void)server;
    if (!web_find(request->path, &file))
        return reply_problem(reply, request, VIEW_NO_SUCH_ROUTE, "there is no page %.100s", request->path);
    sha256_bytes(file.data, file.size, hash);
    (void)snprintf(tag, sizeof tag, "\"%.16s\"", hash);
    reply_header(reply, "ETag", "%s", tag);
    reply_header(reply, "Cache-Control", "no-cache");
    reply_header(reply, "Content-Security-Policy", "%s", WEB_POLICY);
    reply_header(reply, "Referrer-Policy", "no-referrer");
    reply_header(reply, "Cross-Origin-Opener-Policy", "same-origin");
    if (is_known(request, tag))
        return reply_empty(reply, 304);
    return reply_static(reply, 200, file.content_type, file.data, file.size);
}
