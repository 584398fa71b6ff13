/* Who may ask: keys and scopes, rates, and which pages of other origins. */
#ifndef SERVER_CALL_ACCESS_H
#define SERVER_CALL_ACCESS_H

#include "server/call/call.h"

/* Whose turn the queue counts it as: its key's, else its address'; 0: a local socket's. */
uint64_t access_client(const struct call *call);

/* 0, or the status of a refusal (401, 403, 400, 429).  Fills in the request's client. */
int access_check(struct call *call, const struct head *head);

/* Fills in what a request whose body is whole costs; 0, or 429: its client has less left. */
int access_cost(struct call *call);
/* 0, or the status of a refusal: 421 for a Host that is not served here (a page that rebinds its name to our address
 * asks with its own), 403 for what another site's page makes a browser do. */
int access_site(struct call *call, const struct head *head);

/* Adds the CORS headers if the Origin (NULL: none) is one that the configuration allows; with methods and header names
 * for a preflight (an OPTIONS request). */
void access_cors(struct call *call, const struct head *head);

#endif
