/* What the handlers that run a network share: a question to a model (app/ask) with the request that asks it. */
#ifndef SERVER_HANDLERS_INFER_H
#define SERVER_HANDLERS_INFER_H

#include "app/ask/ask.h"
#include "server/call/routes.h"

struct infer {
    struct server_context *server;
    const struct request *request;
    struct reply *reply;
    struct infomask_limits limits;
    struct ask ask;
    struct infomask_photo *photo; /* of the first upload, where one is asked for */
};

/* The service's limits of photos, and the request's deadline. */
struct infomask_limits infer_limits(const struct server_context *server, const struct request *request);
/* Each returns 0, or the status of the reply that it filled; infer_end is called either way. */
int infer_begin(struct infer *infer, struct server_context *server, const struct request *request, struct reply *reply);
int infer_open(struct infer *infer, const struct upload *upload, struct infomask_photo **photo);
int infer_error(struct infer *infer, const struct infomask_error *error);
void infer_end(struct infer *infer);

/* The estimates' store, which the request waits for until its own deadline.  There must be one. */
struct estimates infer_estimates(const struct server_context *server, const struct request *request);

/* reply_error for what used the state; a fault of the state itself is an error line of the log, with its sentence. */
int infer_state_error(struct server_context *server, const struct request *request, struct reply *reply,
                      const struct infomask_error *error);

/* The head of a view. */
struct view_head infer_head(const struct infer *infer, const struct infomask_photo_info *image, const char *file);
/* Content-Disposition: the name of the upload with `what` behind it, such as coffee-mask.png; where there are letters
 * beyond ASCII, filename* beside it has them. */
void infer_name_file(struct infer *infer, const char *what, const char *content_type);
/* For the log and the metrics. */
void infer_note(struct infer *infer, const struct infomask_photo_info *image, int images);
/* Counts it as traffic of the model, unless the request has a prior of its own. */
void infer_note_traffic(const struct infer *infer, const struct infomask_classification *result);

#endif
