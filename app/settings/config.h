/* Settings: defaults < INI file < environment (INFOMASK_...) < flags, all from one table.
 *
 * The table below is the single source: the struct's fields, the keys of config/infomask.ini, the variables
 * INFOMASK_NAME, the flags --name (with dashes), `infomask config`, the help texts and the checks of ranges.  An
 * unknown key is an error that names the line.  A config is filled by one thread and then only read.
 */
#ifndef APP_SETTINGS_CONFIG_H
#define APP_SETTINGS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* X(SECTION, TYPE, name, default, minimum, maximum, description)
 * INT and SIZE (bytes; K, M, G may follow: powers of 1,024) and REAL have a range; BOOL is
 * true|false|yes|no|on|off|1|0; STRING has a maximum length; CHOICE's minimum is its words "a|b|c" (maximum unused). */
#define CONFIG_SETTINGS(X)                                                                                            \
    X("server", STRING, listen, "127.0.0.1", 0, 255, "address to listen on")                                          \
    X("server", INT, port, 8080, 0, 65535, "port to listen on; 0 takes a free one")                                   \
    X("server", INT, queue, 64, 1, 100000, "requests that may wait for a compute thread; more are answered 503")      \
    X("server", INT, max_connections, 1000, 1, 100000, "connections at a time; more are answered 503")                \
    X("server", INT, max_connections_per_address, 256, 0, 100000,                                                     \
      "connections at a time of one address (IPv6: of one /64); 0: no limit, for a service behind a proxy")           \
    X("server", SIZE, max_body, 32 * 1024 * 1024, 1024, 2147483647, "bytes of a request's body, or a photo's file")    \
    X("server", INT, max_parts, 64, 1, 10000, "parts of a multipart form")                                            \
    X("server", REAL, header_timeout, 10, 0.1, 3600, "seconds for a request's headers, and for an idle connection")   \
    X("server", REAL, body_timeout, 30, 0.1, 3600, "seconds for a request's body")                                    \
    X("server", SIZE, body_rate, 1024, 0, 1073741824,                                                                 \
      "bytes per second that a body must come with, after its first 5 seconds; 0: any")                               \
    X("server", REAL, request_timeout, 30, 0.1, 3600, "seconds from a request's first byte to its answer")            \
    X("server", SIZE, cache, 0, 0, 68719476736,                                                                       \
      "bytes of answers that are kept for the same photo with the same parameters; 0: none")                          \
    X("server", INT, async_jobs, 64, 1, 100000,                                                                       \
      "jobs of Prefer: respond-async, finished ones too; more are answered 503")                                      \
    X("server", SIZE, async_memory, 256 * 1024 * 1024, 1024, 68719476736, "bytes of their uploads and results")       \
    X("server", REAL, async_timeout, 600, 0.1, 86400, "seconds from a job's request to its end")                      \
    X("server", REAL, async_keep, 600, 0.1, 86400, "seconds that its result is kept")                                 \
    X("server", REAL, drain_timeout, 20, 0, 3600, "seconds that running requests have after SIGTERM")                 \
    X("server", REAL, drain_grace, 0, 0, 3600, "seconds that new requests are still taken after SIGTERM")             \
    X("server", REAL, stuck_after, 10, 0, 3600,                                                                       \
      "seconds past its deadline after which a request that still runs makes /readyz answer 503; 0: never")           \
    X("security", BOOL, confine, true, 0, 0,                                                                          \
      "give up after the start what is not needed: new privileges, files, system calls (seccomp, Landlock)")          \
    X("security", STRING, user, "", 0, 255,                                                                           \
      "user to become after the start, when it is root that starts; empty: stay")                                     \
    X("security", STRING, keys, "", 0, 4095,                                                                          \
      "file of API keys, one per line: NAME SCOPES SHA256 (scopes: infer,estimates,admin); empty: no key is needed")  \
    X("security", REAL, rate, 0, 0, 1000000,                                                                          \
      "requests per second of one key, or of one address where there are no keys; more are answered 429; 0: any")     \
    X("security", REAL, rate_cost, 0, 0, 1000000,                                                                     \
      "the same in what requests cost, known before they wait (1: a photo of a megapixel classified); 0: any")        \
    X("security", INT, rate_burst, 20, 1, 1000000, "requests, or cost, of one client that may come at once")          \
    X("security", REAL, refusal_rate, 1000, 0, 1000000,                                                                \
      "refusals per second (429, 503) that one client gets at once; those beyond come a second late; 0: none does, "  \
      "for a service behind a proxy")                                                                                 \
    X("security", STRING, proxies, "", 0, 4095,                                                                       \
      "addresses of the proxies in front (10.0.0.5, 10.0.0.0/8, unix), with commas between them: who asks is whom "   \
      "their X-Forwarded-For names, limits of one address are the client's, and their idle connections stay open")    \
    X("security", STRING, hosts, "", 0, 4095,                                                                         \
      "names in Host that are answered beside localhost, with commas between them, or *; others get 421; "            \
      "empty: any, but on loopback without keys only localhost")                                                      \
    X("security", STRING, cors_origins, "", 0, 4095,                                                                  \
      "origins whose pages may ask, with commas between them (https://example.org), or *; empty: none but our own")   \
    X("security", STRING, tls_certificate, "", 0, 4095,                                                               \
      "PEM file of a certificate and its chain: TCP addresses then speak TLS; read again on SIGHUP; empty: no TLS")   \
    X("security", STRING, tls_ciphers, "NORMAL:-RSA:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM", 0, 1023,                  \
      "GnuTLS priority string; whatever it says, only TLS 1.2 and 1.3 are spoken")                                    \
    X("security", STRING, tls_key, "", 0, 4095, "PEM file of its key")                                                \
    X("images", SIZE, max_pixels, 40000000, 64, 1000000000, "pixels of a photo")                                      \
    X("images", INT, max_side, 16384, 8, 65535, "longest side of a photo")                                            \
    X("images", INT, max_scans, 100, 1, 10000, "scans of a progressive JPEG")                                         \
    X("images", SIZE, decoder_memory, 256 * 1024 * 1024, 1048576, 8589934592, "bytes that a decoder may use")         \
    X("models", STRING, models_dir, "", 0, 4095,                                                                      \
      "folder of the model folders, or several with ':' between them; empty: the sources', the user's own, the "      \
      "installed one")                                                                                                \
    X("models", STRING, model, "", 0, 4095,                                                                           \
      "default model: a name in models_dir or a folder's path; empty: efficientnet-lite0, else the first by name")    \
    X("models", SIZE, models_memory, 0, 0, 1099511627776,                                                             \
      "bytes of the networks in memory; those that nobody has asked for longest give way, and come back when they "   \
      "are asked; 0: all are in memory")                                                                              \
    X("compute", INT, threads, 0, 0, 64, "compute threads; 0: as many as cores")                                      \
    X("compute", CHOICE, isa, "auto", "auto|ref|blas|neon|avx2|avx512|amx", 0,                                        \
      "kernels: auto is the best of this processor")                                                                  \
    X("compute", CHOICE, precision, "f32", "f32|bf16|int8|auto", 0, "arithmetic of the network")                      \
    X("compute", SIZE, arena, 256 * 1024 * 1024, 1048576, 68719476736, "bytes of working memory per worker")          \
    X("state", STRING, state, "sqlite", 1, 4095,                                                                      \
      "where estimates are kept: sqlite (a file in state_dir), or postgresql://USER@HOST/DATABASE, with the results " \
      "of jobs, for replicas to share")                                                                               \
    X("state", STRING, state_password, "", 0, 4095,                                                                   \
      "file with the password for PostgreSQL, read at each connection; empty: none")                                  \
    X("state", STRING, state_dir, "", 0, 4095,                                                                        \
      "folder of what is kept; empty: $STATE_DIRECTORY, $XDG_STATE_HOME/infomask or ~/.local/state/infomask")         \
    X("state", SIZE, state_limit, 1024 * 1024 * 1024, 1048576, 1099511627776,                                         \
      "bytes of what is kept, in the file or on the server")                                                          \
    X("state", SIZE, logits_limit, 64 * 1024 * 1024, 0, 1099511627776,                                                \
      "bytes of logits that each estimate keeps, from which other priors are recomputed")                             \
    X("state", CHOICE, durability, "strict", "strict|relaxed", 0,                                                     \
      "strict: an accepted sample survives a loss of power; relaxed: it survives the process only, and costs no "     \
      "fsync")                                                                                                        \
    X("log", CHOICE, log_format, "json", "json|text", 0, "form of the log lines on standard error")                   \
    X("log", CHOICE, log_level, "info", "debug|info|warning|error", 0, "least level that is logged")                  \
    X("log", REAL, slow_ms, 5000, 0, 3600000,                                                                         \
      "milliseconds after which an answered request is logged as slow_request, a warning; 0: never")                  \
    X("log", INT, log_rate, 50, 0, 1000000,                                                                           \
      "lines per second of refused, failed and cheap requests; more are dropped and counted; 0: any")

#define CONFIG_C_STRING char *
#define CONFIG_C_CHOICE char *
#define CONFIG_C_INT int
#define CONFIG_C_SIZE size_t
#define CONFIG_C_REAL double
#define CONFIG_C_BOOL bool

enum config_key {
#define CONFIG_ENUM(section, type, name, value, low, high, text) CONFIG_##name,
    CONFIG_SETTINGS(CONFIG_ENUM)
#undef CONFIG_ENUM
    CONFIG_COUNT
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

struct config {
#define CONFIG_FIELD(section, type, name, value, low, high, text) CONFIG_C_##type name;
    CONFIG_SETTINGS(CONFIG_FIELD)
#undef CONFIG_FIELD
    enum config_source source[CONFIG_COUNT];
    int line[CONFIG_COUNT]; /* of the file, for CONFIG_FILE */
    char *file;             /* the file that was read; NULL: none */
};

/* The defaults.  MEMORY. */
enum infomask_status config_init(struct config *config, struct infomask_error *err) __attribute__((warn_unused_result));
void config_fini(struct config *config);

/* Each layer over what is there already.  ARGUMENT with a sentence that names the key, its range and, for the file, the
 * line; IO when the file cannot be read. */
enum infomask_status config_read_file(struct config *config, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status config_read_text(struct config *config, const char *text, size_t size, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* environment: "NAME=VALUE" strings, NULL at the end.  INFOMASK_CONFIG (the file) is the caller's.  Any other variable
 * INFOMASK_... that is not a setting is told to warn (may be NULL) and no error: others may set some (Kubernetes does
 * for a service called infomask). */
enum infomask_status config_read_environment(struct config *config, char *const *environment,
                                             void (*warn)(void *context, const char *sentence), void *context,
                                             struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status config_set(struct config *config, enum config_key key, const char *value,
                                enum config_source source, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The key of a name with underscores or dashes ("models-dir"); CONFIG_COUNT: there is none. */
enum config_key config_find(const char *name);

struct config_setting {
    const char *section, *name, *type, *description; /* type: "text", "integer", "bytes", "number", ... */
    const char *words;                               /* of a choice, with '|' between them; else NULL */
    double low, high;                                /* of numbers; lengths of texts */
};
struct config_setting config_setting(enum config_key key);
/* The value in force as the INI file would have it; returns its length (as snprintf). */
int config_value_text(const struct config *config, enum config_key key, char *text, size_t size);
/* Where it is from: "default", "config/infomask.ini:12", "INFOMASK_PORT", "--port". */
int config_source_text(const struct config *config, enum config_key key, char *text, size_t size);
/* A whole INI file with every setting, its default commented out under its description: config/infomask.ini is this
 * text (a test compares).  malloc'ed; NULL without memory. */
char *config_template(void);

#endif
