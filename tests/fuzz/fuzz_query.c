/* Any text as a target: refused with 4xx, 501 or 503 and a sentence, or parameters within their ranges.
 *
 * The input is "METHOD TARGET\n" and header lines, as http.c hands them on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/call/call.h"
#include "server/queue/queue.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct server_context context = {.config = &config, .body_memory = 1 << 24};

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    require(config_init(&config, NULL) == INFOMASK_OK, "settings");
    require(config_set(&config, CONFIG_cors_origins, "https://a.example", CONFIG_FLAG, NULL) == INFOMASK_OK, "origins");
    require(keys_create(&context.keys, NULL) == INFOMASK_OK, "keys");
    require(pool_create(&context.pool, 1, NULL, NULL, NULL) == INFOMASK_OK, "pool");
    require(queue_create(&context.queue, context.pool, 4, NULL) == INFOMASK_OK, "queue");
    return 0;
}

static void check_value(const struct param_info *info, const struct param_value *value)
{
    if (!value->given)
        return;
    require(value->text != NULL, "a given value has its text");
    if (info->type == PARAM_INTEGER || info->type == PARAM_NUMBER)
        require(value->number >= info->low && value->number <= info->high, "a number is in its range");
    if (info->type == PARAM_TEXT || info->type == PARAM_CLASS)
        require((double)strlen(value->text) >= info->low && (double)strlen(value->text) <= info->high, "a length too");
}

static void check(const struct call *call, int status)
{
    require(status == 0 || status == call->reply.status, "the status is the reply's");
    require(status == 0 || status == 204 || (status >= 400 && status < 500) || status == 501 || status == 503,
            "a refusal is no internal error");
    require(status == 0 || status == 204 || call->reply.size > 0, "a refusal says why");
    if (status != 0)
        return;
    require(call->match.route != NULL, "what is let through has a route");
    for (int i = 0; i < PARAM_COUNT; i++)
        check_value(param_info((enum param_id)i), &call->request.params.value[i]);
}

/* Splits header lines in place. */
static void read_headers(char *at, struct head *head)
{
    while (at != NULL && *at != '\0' && head->count < BORDER_MAX_HEADERS) {
        char *line = strsep(&at, "\n"), *value = strchr(line, ':');
        if (value == NULL)
            continue;
        *value++ = '\0';
        value += strspn(value, " ");
        head->headers[head->count++] = (struct header){line, value, strlen(line), strlen(value)};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *rest = text, *line, *target;
    struct head head = {.version = "HTTP/1.1"};
    struct call *call;

    require(text != NULL, "memory");
    line = strsep(&rest, "\n");
    target = strchr(line, ' ');
    if (target != NULL) {
        *target++ = '\0';
        head.method = line;
        head.target = target;
        read_headers(rest, &head);
        call = call_create(&context, target);
        require(call != NULL, "memory");
        check(call, call_head(call, &head));
        call_free(call);
    }
    free(text);
    return 0;
}
