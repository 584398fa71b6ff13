/* Bodies that hold photos, taken apart: the photo as it is, a form, or JSON with the photo in base64. */
#ifndef SERVER_CALL_UPLOADS_H
#define SERVER_CALL_UPLOADS_H

#include "server/call/call.h"

/* The whole body of a route with ROUTE_UPLOAD, or of one with ROUTE_PARAMS, which has no photo.  JSON is only noted:
 * reading it takes a while, and is for the thread that handles the call.  0, or the status of a refusal. */
int uploads_take(struct call *call);

/* Reads a body of JSON: {"image": "base64 or a data: URL", ...parameters}, or parameters only.  The photo takes the
 * place of its text in the body.  0, or the status of a refusal. */
int uploads_take_json(struct call *call);

/* 400 remote_url: `name` asks for something to be fetched. */
int uploads_refuse_url(struct call *call, const char *name);

#endif
