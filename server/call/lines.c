#include "server/call/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "server/call/dispatch.h"
#include "server/message/fields.h"

enum several lines_asked(const struct request *request)
{
    static const char *const offers[] = {"application/json", "image/png",  "image/jpeg",
                                         "image/webp",       "application/x-ndjson", "multipart/mixed"};
    bool pictures = request->route->id == ROUTE_ID_MASK || request->route->id == ROUTE_ID_FILTER;
    int best = request->accept == NULL ? 0 : field_accept_best(request->accept, offers, pictures ? 6 : 5);

    return best == 4 ? SEVERAL_LINES : best == 5 ? SEVERAL_MIXED : SEVERAL_NO;
}

static void add_timing(struct infomask_timing *sum, const struct infomask_timing *one)
{
    sum->decode += one->decode;
    sum->preprocess += one->preprocess;
    sum->network += one->network;
    sum->information += one->information;
    sum->map += one->map;
    sum->mask += one->mask;
    sum->fill += one->fill;
    sum->encode += one->encode;
}

#define BOUNDARY_SIZE 40

/* Random: no picture holds it, whatever its sender knows. */
static void make_boundary(char text[BOUNDARY_SIZE])
{
    unsigned long long random[2] = {0};

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        random[0] = (unsigned long long)clock_ms();
    (void)snprintf(text, BOUNDARY_SIZE, "%016llx%016llx", random[0], random[1]);
}

static void put_part(FILE *out, const char *boundary, const struct reply *one)
{
    (void)fprintf(out, "--%s\r\nContent-Type: %s\r\n", boundary, one->content_type);
    for (int i = 0; i < one->header_count; i++)
        (void)fprintf(out, "%s: %s\r\n", one->headers[i].name, one->headers[i].value);
    (void)fprintf(out, "Content-Length: %zu\r\n\r\n", one->size);
    (void)fwrite(one->data, 1, one->size, out);
    (void)fputs("\r\n", out);
}

/* One image by itself; false: it was answered by a picture, where a line is wanted. */
static bool put_one(struct server_context *server, const struct request *whole, int i, const char *boundary,
                    struct reply *sum, FILE *out)
{
    struct request request = *whole;
    struct reply one;
    bool lines = whole->several == SEVERAL_LINES, fits;

    request.uploads = &whole->uploads[i];
    request.upload_count = 1;
    request.several = SEVERAL_NO;
    request.accept = lines ? "application/json" : "image/png, application/json;q=0.1";
    reply_init(&one);
    if (request_expired((void *)(uintptr_t)whole))
        (void)reply_problem(&one, &request, VIEW_DEADLINE_EXCEEDED,
                            "the request's deadline passed before it was answered");
    else
        (void)dispatch(server, &request, &one);
    fits = !lines || one.content_type == NULL || strstr(one.content_type, "json") != NULL;
    if (lines && fits)
        (void)fwrite(one.data, 1, one.size, out);
    else if (fits)
        put_part(out, boundary, &one);
    memcpy(sum->model, one.model, sizeof sum->model);
    sum->images += one.images;
    add_timing(&sum->timing, &one.timing);
    reply_fini(&one);
    return fits;
}

int lines_handle(struct server_context *server, const struct request *request, struct reply *reply)
{
    char *text = NULL, type[80], boundary[BOUNDARY_SIZE];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool fits = true, mixed = request->several == SEVERAL_MIXED;

    if (out == NULL)
        return reply_no_memory(reply, request);
    make_boundary(boundary);
    for (int i = 0; i < request->upload_count && fits; i++)
        fits = put_one(server, request, i, boundary, reply, out);
    if (mixed)
        (void)fprintf(out, "--%s--\r\n", boundary);
    if (fclose(out) != 0 || !fits) {
        free(text);
        return fits ? reply_no_memory(reply, request)
                    : reply_problem(
                          reply, request, VIEW_BAD_PARAMETER,
                          "format must be json for lines of JSON; ask for pictures with Accept: multipart/mixed");
    }
    if (!mixed)
        return reply_take(reply, 200, "application/x-ndjson", text, size);
    (void)snprintf(type, sizeof type, "multipart/mixed; boundary=\"%s\"", boundary);
    (void)reply_take(reply, 200, NULL, text, size);
    reply_header(reply, "Content-Type", "%s", type);
    return 200;
}
