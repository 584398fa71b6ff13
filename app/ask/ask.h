/* A question to a model: the model, what the parameters mean for it, a session and the client's own mask, taken and
 * given back together; and what its answer's view is made from.  The service and the command line ask through here. */
#ifndef APP_ASK_ASK_H
#define APP_ASK_ASK_H

#include "app/ask/options.h"
#include "app/settings/config.h"
#include "app/view/views.h"

struct ask {
    struct model *model;              /* held; NULL: none */
    const struct params *params;      /* borrowed; NULL: none, and all options are 0 */
    struct param_options options;     /* what they mean for this model: the struct is not to be copied */
    struct infomask_session *session; /* NULL until ask_session */
    uint8_t *own_mask;                /* NULL until ask_own_mask */
};

/* Takes over one hold of the model, on failure too: ask_close in any case.  *problem: what a failure is to a client. */
enum infomask_status ask_open(struct ask *ask, struct model *model, const struct params *params,
                              enum view_problem *problem, struct infomask_error *err)
    __attribute__((warn_unused_result));
void ask_close(struct ask *ask); /* all 0 does nothing */
/* Takes a session of the model for the caller alone. */
enum infomask_status ask_session(struct ask *ask, struct infomask_error *err) __attribute__((warn_unused_result));
/* The client's own mask of a photo, an encoded picture, becomes the one of the options.  What is wrong with it is no
 * fault of the photo's: *problem says what it is to a client. */
enum infomask_status ask_own_mask(struct ask *ask, const struct infomask_photo *photo, const void *data, size_t size,
                                  enum view_problem *problem, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The limits of photos in the settings. */
struct infomask_limits ask_limits(const struct config *config);

/* ---- What is answered -------------------------------------------------------------------------------------------- */

/* The file, and what a request adds (its id, its times), are the caller's to fill. */
struct view_head ask_head(const struct ask *ask, const struct infomask_photo_info *image);
struct view_classify_options ask_view_classify(const struct ask *ask);
double ask_in_units(const struct ask *ask, double nats);
/* The picture of a mask that the parameter `output` asks for. */
enum infomask_picture ask_picture(const struct ask *ask);
struct infomask_picture_options ask_picture_options(const struct ask *ask, enum infomask_picture picture,
                                                    enum infomask_format format);

#endif
