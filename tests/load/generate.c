/* An HTTP/1.1 load generator that says what it cost: one thread, epoll, keep-alive connections.
 *
 *     generate HOST PORT PATH --rate R --seconds S --connections N --from ADDRESS --addresses N FILE...
 *
 * --from: connections come from that address and the ones behind it in turn, --addresses of them.
 * With a rate it is an open loop: requests are due at fixed times whatever the server does, and latency counts from the
 * time a request was due.  With rate 0 every connection asks again as soon as it is answered.  Bodies are the files in
 * turn.  Prints one line of JSON: counts by outcome, latencies of answers and refusals, and the processor time that the
 * generator itself took, so that it can be counted out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 256
#define MOST_CONNECTIONS 8192
#define HEAD_SIZE 8192
#define GRACE_S 5.0 /* after the end, for what is still out */

enum outcome { OK, REFUSED, OTHER, FAILED, OUTCOMES };

struct request {
    char *bytes;
    size_t size;
};

struct connection {
    int fd; /* -1: not connected */
    bool busy, answered, closes;
    double due;
    const struct request *request;
    size_t sent;
    char head[HEAD_SIZE];
    size_t head_size;
    bool headed;
    size_t body_left;
    int status;
};

struct samples {
    double *ms;
    size_t count, capacity;
};

struct load {
    struct sockaddr_in address;
    double rate, seconds;
    int connections;
    struct sockaddr_in from; /* family 0: the system chooses */
    int addresses;
    struct request requests[MOST_FILES];
    int request_count, next_request;
    struct connection *all;
    int epoll, out;
    struct samples samples[OUTCOMES];
    size_t due, unsent; /* requests that were due; those for which no connection was free by the end */
    double start;
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- What is sent -------------------------------------------------------------------------------------------------- */

static bool read_request(const char *name, const char *path, struct request *request)
{
    FILE *file = fopen(name, "rb");
    char head[1024];
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        return false;
    int length = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %ld\r\n\r\n", path, size);
    request->size = (size_t)length + (size_t)size;
    request->bytes = malloc(request->size);
    if (request->bytes == NULL)
        return false;
    memcpy(request->bytes, head, (size_t)length);
    bool whole = fread(request->bytes + length, 1, (size_t)size, file) == (size_t)size;
    (void)fclose(file);
    return whole;
}

/* ---- Connections --------------------------------------------------------------------------------------------------- */

static void note(struct load *load, enum outcome outcome, double ms)
{
    struct samples *s = &load->samples[outcome];

    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 1024 : 2 * s->capacity;
        double *grown = realloc(s->ms, capacity * sizeof *grown);
        if (grown == NULL)
            return;
        s->ms = grown;
        s->capacity = capacity;
    }
    s->ms[s->count++] = ms;
}

static void watch(struct load *load, struct connection *c, int operation)
{
    bool writing = c->busy && c->sent < c->request->size;
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = c};
    (void)epoll_ctl(load->epoll, operation, c->fd, &event);
}

static void drop(struct load *load, struct connection *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    if (c->busy)
        load->out--;
    c->busy = false;
}

/* Connection i has its own address among those there are. */
static bool choose_address(const struct load *load, const struct connection *c)
{
    struct sockaddr_in from = load->from;

    if (from.sin_family == 0)
        return true;
    from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + (uint32_t)((c - load->all) % load->addresses));
    return bind(c->fd, (const void *)&from, sizeof from) == 0;
}

static bool open_connection(struct load *load, struct connection *c)
{
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return false;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!choose_address(load, c) ||
        (connect(c->fd, (const void *)&load->address, sizeof load->address) != 0 && errno != EINPROGRESS)) {
        (void)close(c->fd);
        c->fd = -1;
        return false;
    }
    watch(load, c, EPOLL_CTL_ADD);
    return true;
}

static void fail(struct load *load, struct connection *c)
{
    if (c->busy && !c->answered)
        note(load, FAILED, 0);
    drop(load, c);
}

static void write_some(struct load *load, struct connection *c)
{
    while (c->sent < c->request->size) {
        ssize_t sent = send(c->fd, c->request->bytes + c->sent, c->request->size - c->sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOTCONN))
            break;
        if (sent < 0) { /* closed against us: an answer may still be there to be read */
            c->sent = c->request->size;
            c->closes = true;
            break;
        }
        c->sent += (size_t)sent;
    }
    watch(load, c, EPOLL_CTL_MOD);
}

static void start(struct load *load, struct connection *c, double due)
{
    c->request = &load->requests[load->next_request++ % load->request_count];
    c->busy = true;
    c->answered = c->closes = c->headed = false;
    c->due = due;
    c->sent = c->head_size = c->body_left = 0;
    load->out++;
    if (c->fd < 0 && !open_connection(load, c)) {
        fail(load, c);
        return;
    }
    write_some(load, c);
}

/* ---- Answers ------------------------------------------------------------------------------------------------------- */

static const char *field(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at == NULL ? NULL : at + strlen(name);
}

/* Looks for the end of the head in what came; how many of the bytes belong to the body. */
static size_t read_head(struct connection *c, const char *bytes, size_t size)
{
    size_t room = HEAD_SIZE - 1 - c->head_size, take = size < room ? size : room, before = c->head_size;
    const char *end, *length, *closing;

    memcpy(c->head + before, bytes, take);
    c->head[c->head_size += take] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return 0;
    c->headed = true;
    c->status = atoi(c->head + 9);
    length = field(c->head, "\r\nContent-Length: ");
    closing = field(c->head, "\r\nConnection: ");
    c->body_left = length == NULL ? 0 : strtoul(length, NULL, 10);
    c->closes = c->closes || (closing != NULL && strncasecmp(closing, "close", 5) == 0);
    return size - ((size_t)(end - c->head) + 4 - before);
}

static void finish(struct load *load, struct connection *c)
{
    enum outcome outcome = c->status == 200 ? OK : c->status == 503 || c->status == 429 ? REFUSED : OTHER;

    if (!c->answered)
        note(load, outcome, 1000 * (now_s() - c->due));
    c->answered = true;
    if (c->closes)
        drop(load, c);
    else if (c->sent == c->request->size) {
        c->busy = false;
        load->out--;
    }
}

static void read_some(struct load *load, struct connection *c)
{
    static char bytes[65536];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got <= 0 || !c->busy || c->answered) {
        fail(load, c);
        return;
    }
    size_t body = c->headed ? (size_t)got : read_head(c, bytes, (size_t)got);
    c->body_left -= body < c->body_left ? body : c->body_left;
    if (c->headed && c->body_left == 0)
        finish(load, c);
}

static void turn(struct load *load, int wait_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(load->epoll, events, 256, wait_ms);

    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->fd >= 0 && (events[i].events & EPOLLOUT) && c->busy) {
            write_some(load, c);
            if (c->answered && c->sent == c->request->size)
                finish(load, c);
        }
        if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
            read_some(load, c);
    }
}

/* ---- The loop ------------------------------------------------------------------------------------------------------ */

static struct connection *free_connection(struct load *load)
{
    struct connection *closed = NULL;

    for (int i = 0; i < load->connections; i++) {
        if (load->all[i].busy)
            continue;
        if (load->all[i].fd >= 0)
            return &load->all[i];
        closed = closed == NULL ? &load->all[i] : closed;
    }
    return closed;
}

static void start_due(struct load *load, double now)
{
    struct connection *c;

    while (load->rate > 0) {
        double due = load->start + (double)load->due / load->rate;
        if (due > now || (c = free_connection(load)) == NULL)
            return;
        load->due++;
        start(load, c, due);
    }
    while ((c = free_connection(load)) != NULL) {
        load->due++;
        start(load, c, now);
        if (!c->busy)
            return; /* nobody listens */
    }
}

static void run(struct load *load)
{
    double end = (load->start = now_s()) + load->seconds, now;

    while ((now = now_s()) < end) {
        start_due(load, now);
        turn(load, 1);
    }
    if (load->rate > 0) {
        start_due(load, end); /* what became due during the last turn */
        load->unsent = (size_t)(load->rate * load->seconds) > load->due ? (size_t)(load->rate * load->seconds) - load->due : 0;
    }
    while (load->out > 0 && now_s() < end + GRACE_S)
        turn(load, 10);
    for (int i = 0; i < load->connections; i++)
        fail(load, &load->all[i]);
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *s)
{
    double none = 0, *ms = s->count == 0 ? &none : s->ms;
    size_t last = s->count == 0 ? 0 : s->count - 1;

    if (s->count > 0)
        qsort(ms, s->count, sizeof *ms, rising);
    (void)printf("\"%s\": {\"count\": %zu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}, ", name, s->count,
                 ms[last / 2], ms[(size_t)(0.99 * (double)last)], ms[last]);
}

static void report(struct load *load, double took)
{
    static const char *const names[OUTCOMES] = {"ok", "refused", "other", "failed"};
    struct rusage usage;

    (void)printf("{");
    for (int i = 0; i < OUTCOMES; i++)
        print_samples(names[i], &load->samples[i]);
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    (void)printf("\"due\": %zu, \"unsent\": %zu, \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n", load->due, load->unsent,
                 took, cpu);
}

static int usage(void)
{
    (void)fprintf(stderr, "generate HOST PORT PATH --rate R --seconds S --connections N "
                          "--from ADDRESS --addresses N FILE...\n");
    return 2;
}

static bool prepare(struct load *load, int count, char **arguments)
{
    load->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
    if (inet_pton(AF_INET, arguments[0], &load->address.sin_addr) != 1)
        return false;
    for (int i = 3; i < count && load->request_count < MOST_FILES; i++)
        if (!read_request(arguments[i], arguments[2], &load->requests[load->request_count++]))
            return false;
    load->all = calloc((size_t)load->connections, sizeof *load->all);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; load->all != NULL && i < load->connections; i++)
        load->all[i].fd = -1;
    return load->all != NULL && load->epoll >= 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rate", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"addresses", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    static struct load load = {.seconds = 10, .connections = 64, .addresses = 1};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            load.rate = atof(optarg);
        else if (option == 's')
            load.seconds = atof(optarg);
        else if (option == 'c')
            load.connections = atoi(optarg);
        else if (option == 'a' && atoi(optarg) > 0)
            load.addresses = atoi(optarg);
        else if (option == 'f' && inet_pton(AF_INET, optarg, &load.from.sin_addr) == 1)
            load.from.sin_family = AF_INET;
        else
            return usage();
    }
    if (argc - optind < 4 || load.connections < 1 || load.connections > MOST_CONNECTIONS)
        return usage();
    if (!prepare(&load, argc - optind, argv + optind))
        return 1;
    run(&load);
    report(&load, now_s() - load.start);
    return 0;
}
