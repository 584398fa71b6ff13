/* The web page and its files. */
#include "server/call/routes.h"
#include "server/web/web.h"

int handle_page(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct web_file file;

    (void)server;
    if (!web_find(request->path, &file))
        return reply_problem(reply, request, VIEW_NO_SUCH_ROUTE, "there is no page %.100s", request->path);
    if (file.page) {
        reply_header(reply, "Content-Security-Policy", "%s", WEB_POLICY);
        reply_header(reply, "Referrer-Policy", "no-referrer");
        reply_header(reply, "Cross-Origin-Opener-Policy", "same-origin");
    }
    reply->packed = file.gzip;
    (void)reply_static(reply, 200, file.content_type, file.data, file.size);
    /* The tag is of the content: a browser asks again on every visit and gets 304 until the binary is another. */
    return reply_tagged(reply, request);
}
