/* The routes: one table, from which matching, Allow, scopes and /openapi.json are made. */
#ifndef SERVER_CALL_ROUTES_H
#define SERVER_CALL_ROUTES_H

#include "server/call/context.h"
#include "server/call/reply.h"
#include "server/call/request.h"

typedef int route_handler(struct server_context *server, const struct request *request, struct reply *reply);

enum scope { SCOPE_NONE, SCOPE_INFER, SCOPE_ESTIMATES, SCOPE_ADMIN, SCOPE_ANY }; /* ANY: any key's */

enum route_flag {
    ROUTE_JOB = 1,        /* runs on a compute thread, through the queue; else on an HTTP thread */
    ROUTE_UPLOAD = 2,     /* the body is an image, raw or in a form; form fields are parameters */
    ROUTE_JSON = 4,       /* the body is JSON (request->body) */
    ROUTE_PARTS = 8,      /* several image parts are allowed; their field names are free */
    ROUTE_BINARY = 16,    /* the body is the handler's own business */
    ROUTE_PRIORITY = 32,  /* answered whatever the load: health and metrics */
    ROUTE_ASYNC = 64,     /* Prefer: respond-async is honoured */
    ROUTE_V2 = 128,       /* errors in the form of protocol v2 */
    ROUTE_PAGES = 256,    /* files for browsers: whatever Accept and the query say */
    ROUTE_CACHE = 512,    /* its answers may be kept */
    ROUTE_LINES = 2048,   /* several images are answered one by one, if Accept says so (lines.h) */
    ROUTE_SHARED = 4096,  /* where replicas share their state it waits for that, on the lane (context.h) */
    ROUTE_PARAMS = 8192,  /* the body is JSON, an object of parameters, or a form of them */
    ROUTE_MASK = 1024,    /* a form's part named mask is a mask of the client's own */
    ROUTE_NETWORK = 16384 /* it runs a network, and has it pinned (pin.h) */
};

#define ROUTE_BODY (ROUTE_UPLOAD | ROUTE_JSON | ROUTE_BINARY | ROUTE_PARAMS) /* a body is asked for */
#define UPLOADS (METHOD_POST | METHOD_PUT)

/* X(ID, METHODS, pattern, SCOPE, FLAGS, handler, PARAMETERS, summary).  {name} in a pattern matches one segment. */
#define ROUTES(X)                                                                                                      \
    X(PAGE, METHOD_GET, "/", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "The web page")                            \
    X(PAGE_DOCS, METHOD_GET, "/docs", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "The reference")                  \
    X(PAGE_CLIENT, METHOD_GET, "/infomask.js", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "A client")              \
    X(PAGE_ELEMENT, METHOD_GET, "/info-mask.js", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "An element")          \
    X(PAGE_PYTHON, METHOD_GET, "/infomask.py", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "A client in Python")    \
    X(PAGE_FILE, METHOD_GET, "/web/{file}", NONE, ROUTE_PAGES, handle_page, TAKES_NOTHING, "The page's files")         \
    X(CLASSIFY, UPLOADS, "/v1/classify", INFER,                                                                        \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_UPLOAD | ROUTE_PARTS | ROUTE_CACHE | ROUTE_LINES,                              \
      handle_classify, TAKES_CLASSIFY, "Class probabilities and information")                                          \
    X(MASK, UPLOADS, "/v1/mask", INFER, ROUTE_NETWORK | ROUTE_JOB | ROUTE_UPLOAD | ROUTE_CACHE | ROUTE_LINES,          \
      handle_mask, TAKES_MASK,                                                                                         \
      "Where the information about the target class is")                                                               \
    X(FILTER, UPLOADS, "/v1/filter", INFER,                                                                            \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_UPLOAD | ROUTE_ASYNC | ROUTE_CACHE | ROUTE_MASK | ROUTE_LINES,                 \
      handle_filter, TAKES_FILTER,                                                                                     \
      "The photo with the target object removed, or only it kept, verified")                                           \
    X(ANALYZE, UPLOADS, "/v1/analyze", INFER,                                                                          \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_UPLOAD | ROUTE_CACHE | ROUTE_MASK | ROUTE_LINES,                               \
      handle_analyze, TAKES_ANALYZE, "Classification and mask in one reply")                                           \
    X(MODELS, METHOD_GET, "/v1/models", INFER, 0, handle_models, TAKES_NOTHING, "The models that can be asked")        \
    X(RELOAD, METHOD_POST, "/v1/models/reload", ADMIN, ROUTE_JOB, handle_reload, TAKES_NOTHING,                        \
      "Looks at the model folders again")                                                                              \
    X(MODEL, METHOD_GET, "/v1/models/{name}", INFER, 0, handle_model, TAKES_NOTHING, "One model")                      \
    X(LABELS, METHOD_GET, "/v1/models/{name}/labels", INFER, 0, handle_labels, TAKES_NOTHING, "Its classes")           \
    X(GROUPS, METHOD_GET, "/v1/models/{name}/groups", INFER, 0, handle_groups, TAKES_NOTHING, "Its groups of classes") \
    X(INFORMATION, METHOD_GET, "/v1/models/{name}/information", INFER, ROUTE_JOB, handle_information,                  \
      TAKES_INFORMATION, "The running, unlabelled information of the traffic, and the drift alarm")                    \
    X(ESTIMATE_CREATE, METHOD_POST, "/v1/estimates", ESTIMATES, ROUTE_JOB | ROUTE_JSON, handle_estimate_create,        \
      TAKES_NOTHING, "Opens an estimate of the mutual information of a labelled data set")                             \
    X(ESTIMATE_LIST, METHOD_GET, "/v1/estimates", ESTIMATES, ROUTE_JOB, handle_estimate_list, TAKES_PAGE,              \
      "The estimates from the oldest on, page by page")                                                                \
    X(ESTIMATE, METHOD_GET, "/v1/estimates/{id}", ESTIMATES, ROUTE_JOB, handle_estimate,                               \
      TAKES_ESTIMATE | TAKES_SUSPECTS, "One estimate")                                                                 \
    X(ESTIMATE_ASK, METHOD_POST, "/v1/estimates/{id}", ESTIMATES, ROUTE_JOB | ROUTE_PARAMS, handle_estimate,           \
      TAKES_ESTIMATE | TAKES_SUSPECTS,                                                                                 \
      "One estimate, as its GET, the parameters in a JSON object or a form: a prior may be too long for a URL")        \
    X(ESTIMATE_DELETE, METHOD_DELETE, "/v1/estimates/{id}", ESTIMATES, ROUTE_JOB, handle_estimate_delete,              \
      TAKES_NOTHING, "Forgets an estimate and its samples")                                                            \
    X(SAMPLES, UPLOADS, "/v1/estimates/{id}/samples", ESTIMATES,                                                       \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_UPLOAD | ROUTE_PARTS | ROUTE_ASYNC,                                            \
      handle_samples, TAKES_SAMPLES, "Adds labelled photos to an estimate")                                            \
    X(JOB, METHOD_GET, "/v1/jobs/{id}", ANY, ROUTE_SHARED, handle_job, TAKES_NOTHING,                                  \
      "What became of a request with Prefer: respond-async")                                                           \
    X(JOB_DELETE, METHOD_DELETE, "/v1/jobs/{id}", ANY, ROUTE_SHARED, handle_job_delete, TAKES_NOTHING,                 \
      "Cancels and forgets it")                                                                                        \
    X(JOB_RESULT, METHOD_GET, "/v1/jobs/{id}/result", ANY, ROUTE_SHARED, handle_job_result, TAKES_NOTHING,             \
      "What it was answered, as it would have been at once; 202 while it is not finished")                             \
    X(V2, METHOD_GET, "/v2", NONE, ROUTE_V2, handle_v2_server, TAKES_NOTHING,                                          \
      "Open Inference Protocol v2: the server")                                                                        \
    X(V2_LIVE, METHOD_GET, "/v2/health/live", NONE, ROUTE_PRIORITY | ROUTE_V2, handle_v2_live, TAKES_NOTHING,          \
      "Is the process alive")                                                                                          \
    X(V2_READY, METHOD_GET, "/v2/health/ready", NONE, ROUTE_PRIORITY | ROUTE_V2, handle_v2_ready, TAKES_NOTHING,       \
      "Does it take requests")                                                                                         \
    X(V2_STATISTICS, METHOD_GET, "/v2/models/stats", INFER, ROUTE_V2, handle_v2_statistics, TAKES_NOTHING,             \
      "What the models have done since they were loaded")                                                              \
    X(V2_MODEL, METHOD_GET, "/v2/models/{name}", INFER, ROUTE_V2, handle_v2_model, TAKES_NOTHING, "A model's tensors") \
    X(V2_MODEL_VERSION, METHOD_GET, "/v2/models/{name}/versions/{version}", INFER, ROUTE_V2, handle_v2_model,          \
      TAKES_NOTHING, "A model's tensors")                                                                              \
    X(V2_MODEL_READY, METHOD_GET, "/v2/models/{name}/ready", INFER, ROUTE_V2, handle_v2_model_ready, TAKES_NOTHING,    \
      "Can the model be asked")                                                                                        \
    X(V2_VERSION_READY, METHOD_GET, "/v2/models/{name}/versions/{version}/ready", INFER, ROUTE_V2,                     \
      handle_v2_model_ready, TAKES_NOTHING, "Can the model be asked")                                                  \
    X(V2_MODEL_STATISTICS, METHOD_GET, "/v2/models/{name}/stats", INFER, ROUTE_V2, handle_v2_model_statistics,         \
      TAKES_NOTHING, "What the model has done since it was loaded")                                                    \
    X(V2_VERSION_STATISTICS, METHOD_GET, "/v2/models/{name}/versions/{version}/stats", INFER, ROUTE_V2,                \
      handle_v2_model_statistics, TAKES_NOTHING, "What the model has done since it was loaded")                        \
    X(V2_INFER, METHOD_POST, "/v2/models/{name}/infer", INFER,                                                         \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_BINARY | ROUTE_V2, handle_v2_infer, TAKES_NOTHING,                             \
      "Tensors in, tensors out: JSON, or with the binary tensor extension")                             \
    X(V2_VERSION_INFER, METHOD_POST, "/v2/models/{name}/versions/{version}/infer", INFER,                              \
      ROUTE_NETWORK | ROUTE_JOB | ROUTE_BINARY | ROUTE_V2, handle_v2_infer, TAKES_NOTHING,                             \
      "Tensors in, tensors out: JSON, or with the binary tensor extension")                                            \
    X(V2_INDEX, METHOD_POST, "/v2/repository/index", ADMIN, ROUTE_V2, handle_v2_index, TAKES_NOTHING,                  \
      "The models that there are")                                                                                     \
    X(V2_LOAD, METHOD_POST, "/v2/repository/models/{name}/load", ADMIN, ROUTE_NETWORK | ROUTE_JOB | ROUTE_V2,          \
      handle_v2_load, TAKES_NOTHING, "Looks at the model folders again; the model must then be there, and is loaded")  \
    X(V2_UNLOAD, METHOD_POST, "/v2/repository/models/{name}/unload", ADMIN, ROUTE_JOB | ROUTE_V2, handle_v2_unload,    \
      TAKES_NOTHING, "Takes a model out of service and memory until it is loaded, or the folders are looked at again") \
    X(LIVEZ, METHOD_GET, "/livez", NONE, ROUTE_PRIORITY, handle_livez, TAKES_NOTHING, "Is the process alive")          \
    X(READYZ, METHOD_GET, "/readyz", NONE, ROUTE_PRIORITY, handle_readyz, TAKES_NOTHING, "Does it take requests")      \
    X(METRICS, METHOD_GET, "/metrics", ANY, ROUTE_PRIORITY, handle_metrics, TAKES_NOTHING, "Prometheus metrics")       \
    X(OPENAPI, METHOD_GET, "/openapi.json", NONE, ROUTE_PRIORITY, handle_openapi, TAKES_NOTHING,                       \
      "The description of this interface")

#define ROUTE_DECLARE(id, methods, pattern, scope, flags, handler, groups, summary) route_handler handler;
ROUTES(ROUTE_DECLARE)
#undef ROUTE_DECLARE

enum route_id {
#define ROUTE_ENUM(id, methods, pattern, scope, flags, handler, groups, summary) ROUTE_ID_##id,
    ROUTES(ROUTE_ENUM)
#undef ROUTE_ENUM
    ROUTE_COUNT
};

struct route {
    enum route_id id;
    unsigned methods;
    const char *pattern;
    enum scope scope;
    unsigned flags, groups;
    route_handler *handler;
    const char *summary;
};
const struct route *route_info(enum route_id id);

#define ROUTE_PATH_MAX 512

struct route_match {
    const struct route *route; /* NULL: no such path, or not with this method */
    unsigned allowed;          /* methods of the path, 0: no such path */
    char storage[ROUTE_PATH_MAX];
    const char *capture[REQUEST_CAPTURES]; /* into storage */
};
/* path: decoded, begins with '/'.  Literal patterns go before {...}. */
void route_find(const char *path, enum method method, struct route_match *match);

/* "GET, HEAD, OPTIONS" */
#define ROUTE_ALLOW_SIZE 64
void route_allow(unsigned methods, char text[ROUTE_ALLOW_SIZE]);
const char *scope_name(enum scope scope);

#endif
