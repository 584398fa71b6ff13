/* infomask healthcheck: GET /readyz of a running service, for containers and init systems that have no HTTP client. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/cli.h"

enum { FLAG_TIMEOUT = 300, FLAG_LIVE };

struct check {
    double seconds;
    bool live;
};

static const struct cli_flag flags[] = {
    {FLAG_TIMEOUT, "timeout", "S", "seconds to wait (0.1 to 60); default 3"},
    {FLAG_LIVE, "live", NULL, "ask whether it is alive (/livez) instead of ready (/readyz)"},
};

static bool take(void *context, int letter, const char *value)
{
    struct check *check = context;
    char *end;

    if (letter == FLAG_LIVE) {
        check->live = true;
        return true;
    }
    check->seconds = strtod(value, &end);
    if (*end == '\0' && check->seconds >= 0.1 && check->seconds <= 60)
        return true;
    (void)cli_misused("healthcheck", "timeout must be 0.1 to 60 seconds, not \"%s\"", value);
    return false;
}

static int connect_to(const char *address, int port, double seconds)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found = NULL;
    struct timeval limit = {.tv_sec = (time_t)seconds,
                            .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    char service[16];
    int fd = -1;

    (void)snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return -1;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* bounds the connect too */
        if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The status of the reply; 0 if there was none. */
static int ask(int fd, const char *path)
{
    char request[128], reply[64];
    size_t got = 0;
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                          path);
    int status = 0;

    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return 0;
    while (got < sizeof reply - 1) {
        ssize_t n = recv(fd, reply + got, sizeof reply - 1 - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    reply[got] = '\0';
    return sscanf(reply, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

/* what a server listens on is not always what one connects to */
static const char *reachable(const char *address)
{
    if (address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "localhost") == 0)
        return "127.0.0.1";
    return strcmp(address, "::") == 0 ? "::1" : address;
}

int healthcheck_ask(const char *listen, int port, double seconds)
{
    int fd = connect_to(reachable(listen), port, seconds), status;

    if (fd < 0)
        return 0;
    status = ask(fd, "/readyz");
    (void)close(fd);
    return status;
}

static int run_check(const struct cli *cli, const struct check *check)
{
    const char *path = check->live ? "/livez" : "/readyz", *address = reachable(cli->config.listen);
    int fd = connect_to(address, cli->config.port, check->seconds), status;

    if (fd < 0)
        return cli_fails(cli->command, "nobody answers on %s port %d: %s", address, cli->config.port, strerror(errno));
    status = ask(fd, path);
    (void)close(fd);
    if (status == 200)
        return CLI_DONE;
    return status == 0 ? cli_fails(cli->command, "no answer from %s port %d within %g s", address, cli->config.port,
                                   check->seconds)
                       : cli_fails(cli->command, "%s answered %d", path, status);
}

int cmd_healthcheck(int argc, char **argv)
{
    struct check check = {.seconds = 3};
    const struct cli_spec spec = {
        .usage = "healthcheck [OPTION]...",
        .about =
            "Asks the service at the configured address and port whether it is ready; says nothing and exits with 0\n"
            "if it is.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " server ",
        .take = take,
        .context = &check,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = cli.operand_count > 0 ? cli_misused(cli.command, "\"%s\" is not an option", cli.operands[0])
                                 : run_check(&cli, &check);
    cli_close(&cli);
    return code;
}
