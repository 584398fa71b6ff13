/* Several images in one request, each answered as if it had come alone: a line of JSON each (NDJSON,
 * application/x-ndjson), or a part of multipart/mixed each, for pictures.  An image that is bad has its problem in its
 * place. */
#ifndef SERVER_CALL_LINES_H
#define SERVER_CALL_LINES_H

#include "server/call/routes.h"

/* What the request's Accept asks for, among what its route answers otherwise. */
enum several lines_asked(const struct request *request);

/* Handles each upload of the request by its route.  Returns the status, as a handler. */
int lines_handle(struct server_context *server, const struct request *request, struct reply *reply);

#endif
