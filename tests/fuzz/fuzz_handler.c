/* Any bytes to the whole daemon over a local socket: every connection ends, and no answer is an internal error.
 *
 * An input whose first byte is odd goes out as it is.  Else it is "METHOD TARGET\n", header lines, an empty line and a
 * body, from which a request with the right length is made: so mutations reach the handlers and not only the parser.
 * The model is the small one for digits.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/state/estimates.h"
#include "app/state/traffic.h"
#include "core/infomask.h"
#include "server/daemon/server.h"
#include "server/observe/log.h"

#define MODEL "config/models/digits"
#define PATIENCE_MS 30000
#define QUIET_MS 30 /* without an answer: the request is not whole, its end is told */
#define MOST_ANSWER (1 << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct sockaddr_un name = {.sun_family = AF_UNIX};
static char answer[MOST_ANSWER + 1];

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

/* ---- The daemon ---------------------------------------------------------------------------------------------------- */

static void set(const char *key, const char *value)
{
    require(config_set(&config, config_find(key), value, CONFIG_FLAG, NULL) == INFOMASK_OK, key);
}

static void *serve(void *server)
{
    (void)server_run(server, NULL);
    return NULL;
}

static void settings(const char *folder)
{
    char listen[200];

    require(config_init(&config, NULL) == INFOMASK_OK, "settings");
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s/socket", folder);
    (void)snprintf(listen, sizeof listen, "unix:%s", name.sun_path);
    set("listen", listen);
    set("models_dir", "tests/fuzz"); /* no model there but the default */
    set("model", MODEL);
    set("max_body", "256K");
    set("max_pixels", "1000000");
    set("header_timeout", "5");
    set("body_timeout", "5");
    set("request_timeout", "10");
    set("state_limit", "1M");
    set("log_rate", "1");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char folder[] = "/tmp/infomask-fuzz-XXXXXX";
    static struct server_parts parts; /* these live as long as the process: nothing of them is a leak */
    static struct server *server;
    static struct log *log;
    struct model_options options = {.precision = INFOMASK_F32, .isa = getenv("INFOMASK_ISA")};
    char path[200];
    pthread_t thread;

    (void)argc;
    (void)argv;
    require(mkdtemp(folder) != NULL, "a folder");
    settings(folder);
    server_block_signals();
    require(log_create(&log, -1, true, LOG_DEBUG, 1, NULL) == INFOMASK_OK, "log");
    require(server_create(&config, log, &server, NULL) == INFOMASK_OK, "server");
    require(pool_create(&parts.pool, 2, infomask_worker_start, NULL, NULL) == INFOMASK_OK, "pool");
    options.pool = parts.pool;
    require(models_create(config.models_dir, config.model, &options, &parts.models, NULL) == INFOMASK_OK, "models");
    (void)snprintf(path, sizeof path, "%s/estimates.db", folder);
    require(estimates_open(path, &(struct estimates_options){.max_bytes = config.state_limit, .logit_bytes = 1 << 16}, &parts.estimates, NULL) ==
                INFOMASK_OK, "estimates");
    require(traffic_create(NULL, &parts.traffic, NULL) == INFOMASK_OK, "traffic");
    require(server_start(server, &parts, NULL) == INFOMASK_OK, "threads");
    require(pthread_create(&thread, NULL, serve, server) == 0, "a thread");
    return 0;
}

/* ---- One connection ------------------------------------------------------------------------------------------------ */

static size_t line_end(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    return end == NULL ? size : (size_t)(end - data);
}

/* The request that the input describes; malloc'ed. */
static char *make_request(const uint8_t *data, size_t size, size_t *out_size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, out_size);
    size_t end = line_end(data, size);

    require(out != NULL, "memory");
    (void)fprintf(out, "%.*s HTTP/1.1\r\nHost: a\r\n", (int)end, (const char *)data);
    data += end < size ? end + 1 : end;
    size -= end < size ? end + 1 : end;
    while (size > 0 && (end = line_end(data, size)) > 0 && end < size) {
        (void)fprintf(out, "%.*s\r\n", (int)end, (const char *)data);
        data += end + 1;
        size -= end + 1;
    }
    if (size > 0 && *data == '\n') {
        data++;
        size--;
    }
    (void)fprintf(out, "Content-Length: %zu\r\n\r\n", size);
    (void)fwrite(data, 1, size, out);
    require(fclose(out) == 0, "memory");
    return text;
}

static void keep(const char *bytes, size_t size, size_t *kept)
{
    size_t take = size < MOST_ANSWER - *kept ? size : MOST_ANSWER - *kept;
    memcpy(answer + *kept, bytes, take);
    *kept += take;
}

/* Sends all and reads to the end of the connection; the answer's size. */
static size_t talk(int fd, const char *bytes, size_t size)
{
    static char buffer[65536];
    size_t sent = 0, kept = 0;
    bool told = false;
    int waited = 0;

    while (waited < PATIENCE_MS) {
        struct pollfd wait = {.fd = fd, .events = (short)(POLLIN | (sent < size ? POLLOUT : 0))};
        if (poll(&wait, 1, QUIET_MS) == 0) {
            waited += QUIET_MS;
            if (!told && sent == size)
                told = shutdown(fd, SHUT_WR) == 0;
            continue;
        }
        if (wait.revents & POLLOUT) {
            ssize_t put = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent = put >= 0 ? sent + (size_t)put : errno == EAGAIN ? sent : size;
        }
        if (!(wait.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return kept;
        if (got > 0)
            keep(buffer, (size_t)got, &kept);
    }
    require(0, "every connection ends");
    return kept;
}

/* Looks at one answer; where the next begins, NULL: there is none that can be told from this one's body. */
static const char *check_answer(const char *at)
{
    const char *end = strstr(at, "\r\n\r\n"), *length = strstr(at, "\r\nContent-Length: ");

    if (strncmp(at, "HTTP/1.1 ", 9) != 0 || end == NULL)
        return NULL;
    if (strncmp(at + 9, "500", 3) == 0)
        require(0, at);
    if (strncmp(end + 4, "HTTP/1.1 ", 9) == 0 || length == NULL || length > end) /* of HEAD, 100, 204 */
        return end + 4;
    size_t size = strtoul(length + 18, NULL, 10), left = strlen(end + 4);
    return size <= left ? end + 4 + size : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char last[] = "\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    size_t made_size, kept;
    char *made, *all;
    int fd;

    if (size == 0)
        return 0;
    if (data[0] & 1) {
        made_size = size - 1;
        made = malloc(size);
        require(made != NULL, "memory");
        memcpy(made, data + 1, made_size);
    } else {
        made = make_request(data + 1, size - 1, &made_size);
    }
    all = realloc(made, made_size + sizeof last);
    require(all != NULL, "memory");
    memcpy(all + made_size, last, sizeof last);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (const void *)&name, sizeof name) == 0, "it still listens");
    kept = talk(fd, all, made_size + sizeof last - 1);
    (void)close(fd);
    free(all);
    answer[kept] = '\0';
    for (const char *at = answer; at != NULL;)
        at = check_answer(at);
    require(kept == 0 || memcmp(answer, "HTTP/1.1 ", 9) == 0, "an answer is HTTP");
    return 0;
}
