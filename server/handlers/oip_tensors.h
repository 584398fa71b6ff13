/* The tensors of the Open Inference Protocol v2 (REST), with the binary tensor and classification extensions: a body to
 * what is asked, results to a body.  No network, no models and no sockets here.
 *
 * Inputs: one tensor; FP32 in the model's own layout, or BYTES, whose elements are encoded photos.  In binary form FP32
 * is little-endian, and a BYTES element is its length (4 bytes, little-endian) and its bytes; in JSON FP32 is numbers,
 * flat or nested, and a BYTES element is base64.
 * Thread rule: a request and a reply belong to one thread at a time.
 */
#ifndef SERVER_HANDLERS_OIP_TENSORS_H
#define SERVER_HANDLERS_OIP_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/json/json.h"
#include "core/infomask.h"
#include "server/call/request.h"

#define OIP_MAX_ITEMS 64 /* pictures in one request */

/* X(ID, "name"): the outputs there are, in the order in which they are given when none is asked for. */
#define OIP_OUTPUTS(X)                   \
    X(PROBABILITIES, "probabilities")    \
    X(LOGITS, "logits")                  \
    X(PMI, "pmi")                        \
    X(MAP, "map")
enum oip_output_id {
#define OIP_ENUM(id, name) OIP_##id,
    OIP_OUTPUTS(OIP_ENUM)
#undef OIP_ENUM
    OIP_OUTPUT_COUNT
};
const char *oip_output_name(enum oip_output_id id);

struct oip_output {
    enum oip_output_id id;
    bool binary;
    int classification; /* > 0: as that many strings "value:index:label" instead of numbers */
};

struct oip_request {
    struct json *root;     /* the JSON part; what follows borrows from it and from the body */
    const char *id;        /* NULL: none */
    const char *target;    /* parameters.target: class of the map; NULL: each item's best */
    bool uniform;          /* parameters.prior is "uniform" */
    int count;             /* items */
    float *tensor;         /* FP32: [count, ...] as sent; owned; NULL for BYTES */
    int64_t shape[4];      /* FP32 */
    struct upload *images; /* BYTES: [count]; owned, the bytes are borrowed */
    unsigned char *decoded; /* base64 of JSON, decoded; owned */
    struct oip_output outputs[OIP_OUTPUT_COUNT];
    int output_count;      /* 0: all that the model has */
    bool binary_default;   /* parameters.binary_data_output */
};

/* json_size: of the JSON at the front of the body (Inference-Header-Content-Length), -1: all of it.  BAD_DATA with a
 * sentence that names what was wrong.  Call oip_request_fini on failure too. */
enum infomask_status oip_request_read(struct oip_request *request, const char *body, size_t size, int64_t json_size,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
void oip_request_fini(struct oip_request *request);

/* The reply: its JSON part is written first, tensors in binary form are appended behind it. */
struct oip_reply {
    struct json_writer writer;
    unsigned char *binary;
    size_t binary_size, binary_capacity;
    bool failed; /* out of memory */
};
void oip_reply_init(struct oip_reply *reply, const char *model, const char *version, const char *id);
void oip_reply_fini(struct oip_reply *reply);

/* Appends one output; values [count] in the order of shape [rank]. */
void oip_reply_numbers(struct oip_reply *reply, const char *name, bool binary, const int64_t *shape, int rank,
                       const float *values, size_t count);
/* Strings, shape [items, per item]. */
void oip_reply_strings(struct oip_reply *reply, const char *name, bool binary, const int64_t shape[2],
                       char *const *strings, size_t count);
/* The body (malloc'ed) and the size of its JSON part. */
enum infomask_status oip_reply_take(struct oip_reply *reply, char **body, size_t *size, size_t *json_size,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

/* Opens a tensor's object in a list: name, datatype and shape; what follows and its end are the caller's. */
void oip_tensor_open(struct json_writer *w, const char *name, const char *type, const int64_t *shape, int rank);

#endif
