#include "server/http/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/host/proxies.h"
#include "app/view/problem.h"
#include "core/base/clock.h"

#define LINGER_MS 2000
#define LINGERING 64           /* sockets that linger at a time; more are closed at once */
#define LINGER_READ (4 * 1024 * 1024) /* at a time */
#define FORGET_MS 10000
#define RATE_AFTER_MS 5000
#define PROXY_IDLE_MS 3900000 /* more than an hour, the longest that a common proxy keeps an idle connection */

struct row {
    enum connection_phase phase;
    bool tls, loopback, proxy, linger, cut;
    double deadline_ms, since_ms; /* of the phase */
    size_t received;              /* of the body */
    uint64_t address;             /* hash; 0: not counted */
};

struct address {
    uint64_t hash;
    int count;
};

struct lingering {
    int fd;
    double until_ms;
};

struct connections {
    struct connection_limits limits;
    struct metrics *metrics;
    pthread_mutex_t lock; /* guards all that follows */
    struct row *rows;     /* by descriptor */
    int row_count, open;
    struct address *addresses; /* open addressing, a power of two */
    size_t address_mask;
    struct lingering lingering[LINGERING];
    int lingering_count;
};

enum infomask_status connections_create(struct connections **out, const struct connection_limits *limits,
                                        struct metrics *metrics, struct infomask_error *err)
{
    struct connections *c = calloc(1, sizeof *c);
    size_t size = 64;

    if (c == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table of connections");
    c->limits = *limits;
    c->metrics = metrics;
    (void)pthread_mutex_init(&c->lock, NULL);
    while (size < 2 * (size_t)limits->total + 2)
        size *= 2;
    c->address_mask = size - 1;
    c->addresses = calloc(size, sizeof *c->addresses);
    if (c->addresses == NULL) {
        connections_free(c);
        return error_set(err, INFOMASK_MEMORY, "no memory for the table of addresses");
    }
    *out = c;
    return INFOMASK_OK;
}

void connections_free(struct connections *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < c->lingering_count; i++)
        (void)close(c->lingering[i].fd);
    (void)pthread_mutex_destroy(&c->lock);
    free(c->addresses);
    free(c->rows);
    free(c);
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    return x;
}

uint64_t connections_address(const struct sockaddr *address)
{
    uint64_t hash = 0;

    if (address != NULL && address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        hash = mix(ntohl(v4->sin_addr.s_addr));
    } else if (address != NULL && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        uint32_t word;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            memcpy(&word, &v6->sin6_addr.s6_addr[12], sizeof word);
            hash = mix(ntohl(word));
        } else {
            memcpy(&hash, &v6->sin6_addr, sizeof hash);
            hash = mix(hash + 1);
        }
    } else {
        return 0;
    }
    return hash == 0 ? 1 : hash;
}

static struct address *find_address(struct connections *c, uint64_t hash)
{
    size_t i = hash & c->address_mask;

    while (c->addresses[i].count > 0 && c->addresses[i].hash != hash)
        i = (i + 1) & c->address_mask;
    return &c->addresses[i];
}

/* Takes an emptied place out of its run of occupied ones, so that what lies behind it is still found. */
static void release_address(struct connections *c, uint64_t hash)
{
    struct address *address = find_address(c, hash);
    size_t hole = (size_t)(address - c->addresses), i = hole;

    if (address->count == 0 || --address->count > 0)
        return;
    for (;;) {
        i = (i + 1) & c->address_mask;
        if (c->addresses[i].count == 0)
            return;
        size_t home = c->addresses[i].hash & c->address_mask;
        if (((i - home) & c->address_mask) < ((i - hole) & c->address_mask))
            continue;
        c->addresses[hole] = c->addresses[i];
        c->addresses[i].count = 0;
        hole = i;
    }
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static bool grow(struct connections *c, int fd)
{
    int count = c->row_count == 0 ? 256 : c->row_count;
    struct row *rows;

    if (fd < c->row_count)
        return true;
    while (count <= fd)
        count *= 2;
    rows = realloc(c->rows, (size_t)count * sizeof *rows);
    if (rows == NULL)
        return false;
    memset(rows + c->row_count, 0, (size_t)(count - c->row_count) * sizeof *rows);
    c->rows = rows;
    c->row_count = count;
    return true;
}

static void free_row(struct connections *c, int fd)
{
    struct row *row = &c->rows[fd];

    if (row->phase == CONNECTION_FREE)
        return;
    if (row->address != 0)
        release_address(c, row->address);
    *row = (struct row){0};
    c->open--;
    metrics_connections(c->metrics, -1);
}

/* A proxy that may be idle: not in the middle of a handshake of TLS. */
static bool is_kept(const struct row *row)
{
    return row->proxy && (row->phase == CONNECTION_IDLE || (row->phase == CONNECTION_FRESH && !row->tls));
}

static double phase_ms(const struct connections *c, const struct row *row)
{
    if (is_kept(row))
        return PROXY_IDLE_MS;
    return row->phase == CONNECTION_BODY    ? c->limits.body_ms
           : row->phase == CONNECTION_REPLY ? c->limits.reply_ms
                                            : c->limits.head_ms;
}

enum admission connections_admit(struct connections *c, int fd, const struct sockaddr *peer, bool tls,
                                 bool loopback)
{
    bool proxy = proxies_has(c->limits.proxies, peer);
    uint64_t hash = c->limits.per_address > 0 && !proxy ? connections_address(peer) : 0;
    enum admission admission = ADMIT;
    double now = clock_ms();

    (void)pthread_mutex_lock(&c->lock);
    if (grow(c, fd))
        free_row(c, fd); /* the library gave the last owner of this number up without a notice */
    if (fd >= c->row_count || c->open >= c->limits.total) {
        admission = ADMIT_NOT_TOTAL;
    } else if (hash != 0) {
        struct address *address = find_address(c, hash);
        if (address->count >= c->limits.per_address)
            admission = ADMIT_NOT_ADDRESS;
        else
            *address = (struct address){hash, address->count + 1};
    }
    if (admission == ADMIT) {
        c->rows[fd] = (struct row){.phase = CONNECTION_FRESH, .tls = tls, .loopback = loopback, .proxy = proxy,
                                   .since_ms = now, .address = hash};
        c->rows[fd].deadline_ms = now + phase_ms(c, &c->rows[fd]);
        c->open++;
        metrics_connections(c->metrics, 1);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return admission;
}

bool connections_loopback(struct connections *c, int fd)
{
    bool loopback;

    (void)pthread_mutex_lock(&c->lock);
    loopback = fd >= 0 && fd < c->row_count && c->rows[fd].loopback;
    (void)pthread_mutex_unlock(&c->lock);
    return loopback;
}

static void enter(struct connections *c, struct row *row, enum connection_phase phase)
{
    bool begun = row->phase == CONNECTION_FRESH && !is_kept(row); /* its time began before the first byte */
    double now = clock_ms();

    row->phase = phase;
    if (begun && phase == CONNECTION_HEAD)
        return;
    row->since_ms = now;
    row->received = 0;
    row->deadline_ms = now + phase_ms(c, row);
}

void connections_phase(struct connections *c, int fd, enum connection_phase phase)
{
    (void)pthread_mutex_lock(&c->lock);
    if (fd >= 0 && fd < c->row_count && c->rows[fd].phase != CONNECTION_FREE) {
        struct row *row = &c->rows[fd];
        if (phase != CONNECTION_HEAD || row->phase <= CONNECTION_IDLE)
            enter(c, row, phase);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void connections_received(struct connections *c, int fd, size_t bytes)
{
    (void)pthread_mutex_lock(&c->lock);
    if (fd >= 0 && fd < c->row_count)
        c->rows[fd].received += bytes;
    (void)pthread_mutex_unlock(&c->lock);
}

void connections_linger(struct connections *c, int fd)
{
    (void)pthread_mutex_lock(&c->lock);
    if (fd >= 0 && fd < c->row_count)
        c->rows[fd].linger = true;
    (void)pthread_mutex_unlock(&c->lock);
}

/* Under the lock.  Takes the descriptor. */
static void start_lingering(struct connections *c, int fd)
{
    if (fd < 0)
        return;
    if (c->lingering_count == LINGERING) {
        (void)close(fd);
        return;
    }
    c->lingering[c->lingering_count++] = (struct lingering){fd, clock_ms() + LINGER_MS};
}

void connections_closed(struct connections *c, int fd)
{
    (void)pthread_mutex_lock(&c->lock);
    if (fd >= 0 && fd < c->row_count) {
        if (c->rows[fd].linger && !c->rows[fd].cut)
            start_lingering(c, fcntl(fd, F_DUPFD_CLOEXEC, 0));
        free_row(c, fd);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void connections_refuse(struct connections *c, int fd, const char *answer, size_t size)
{
    if (size > 0)
        (void)send(fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)pthread_mutex_lock(&c->lock);
    start_lingering(c, fd);
    (void)pthread_mutex_unlock(&c->lock);
}

/* ---- The reaper -------------------------------------------------------------------------------------------------- */

/* A request has just come, and the library has not read it yet. */
static bool has_come(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static bool too_slow(const struct connections *c, int fd, double now)
{
    const struct row *row = &c->rows[fd];
    double since = now - row->since_ms;

    if (row->phase == CONNECTION_WORK || row->phase == CONNECTION_DONE || row->cut)
        return false;
    if (now > row->deadline_ms)
        return row->phase != CONNECTION_IDLE || !has_come(fd);
    return row->phase == CONNECTION_BODY && since > RATE_AFTER_MS &&
           (double)row->received * 1000 < c->limits.body_rate * since;
}

/* A client in the middle of its request is told why; one that never began is just cut.  Nothing else writes to the
 * socket in these phases, because no answer has begun. */
static void tell(int fd, const struct row *row)
{
    char answer[VIEW_PROBLEM_ANSWER];
    size_t size = view_problem_answer(VIEW_TOO_SLOW, "Request Timeout",
                                      "the request did not come within its time or minimum rate", 0, answer);

    if (!row->tls && (row->phase == CONNECTION_HEAD || row->phase == CONNECTION_BODY))
        (void)send(fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void cut(struct connections *c, int fd, struct row *row)
{
    if (row->phase != CONNECTION_IDLE)
        metrics_cut(c->metrics, row->phase == CONNECTION_BODY    ? METRICS_CUT_BODY
                                : row->phase == CONNECTION_REPLY ? METRICS_CUT_REPLY
                                                                 : METRICS_CUT_HEADERS);
    tell(fd, row);
    row->cut = true;
    (void)shutdown(fd, SHUT_RDWR);
}

/* True when there is no more to wait for. */
static bool read_empty(int fd)
{
    char bytes[65536];
    size_t total = 0;

    while (total < LINGER_READ) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got <= 0)
            return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
        total += (size_t)got;
    }
    return false;
}

static void reap_lingering(struct connections *c, double now)
{
    for (int i = 0; i < c->lingering_count;) {
        struct lingering *l = &c->lingering[i];
        if (!read_empty(l->fd) && now < l->until_ms) {
            i++;
            continue;
        }
        (void)close(l->fd);
        *l = c->lingering[--c->lingering_count];
    }
}

bool connections_reap(struct connections *c)
{
    double now = clock_ms();
    bool lingering;

    (void)pthread_mutex_lock(&c->lock);
    for (int fd = 0; fd < c->row_count; fd++) {
        struct row *row = &c->rows[fd];
        if (row->phase == CONNECTION_FREE)
            continue;
        if (too_slow(c, fd, now))
            cut(c, fd, row);
        else if (row->cut && row->phase == CONNECTION_FRESH && now > row->deadline_ms + FORGET_MS)
            free_row(c, fd); /* the library gave it up without a notice */
    }
    reap_lingering(c, now);
    lingering = c->lingering_count > 0;
    (void)pthread_mutex_unlock(&c->lock);
    return lingering;
}

void connections_nudge(struct connections *c)
{
    (void)pthread_mutex_lock(&c->lock);
    for (int fd = 0; fd < c->row_count; fd++)
        if (c->rows[fd].phase == CONNECTION_DONE)
            (void)shutdown(fd, SHUT_RD); /* an event on the socket; the answer still goes out, then it ends */
    (void)pthread_mutex_unlock(&c->lock);
}

void connections_count(struct connections *c, struct connections_count *count)
{
    *count = (struct connections_count){0};
    (void)pthread_mutex_lock(&c->lock);
    count->open = c->open;
    for (int fd = 0; fd < c->row_count; fd++) {
        count->fresh += c->rows[fd].phase == CONNECTION_FRESH;
        count->busy += c->rows[fd].phase > CONNECTION_IDLE;
    }
    (void)pthread_mutex_unlock(&c->lock);
}
