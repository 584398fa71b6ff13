#include "app/host/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BETWEEN ", \t"
#define TEXT_SIZE 64 /* an address with brackets and port is shorter */

/* IPv4 as IPv6 maps it, so that both are compared alike. */
struct range {
    unsigned char bytes[16];
    int bits;
};

struct proxies {
    bool local; /* whoever comes by a local socket */
    int count;
    struct range ranges[];
};

static void map_v4(const void *v4, unsigned char bytes[16])
{
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    memcpy(bytes + 12, v4, 4);
}

/* "192.0.2.1", "2001:db8::1" */
static bool read_address(const char *text, unsigned char bytes[16])
{
    unsigned char v4[4];

    if (inet_pton(AF_INET6, text, bytes) == 1)
        return true;
    if (inet_pton(AF_INET, text, v4) != 1)
        return false;
    map_v4(v4, bytes);
    return true;
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static bool read_bits(const char *text, bool v4, int *bits)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > (v4 ? 32 : 128))
        return false;
    *bits = (int)value + (v4 ? 96 : 0);
    return true;
}

static bool read_range(char *text, struct range *range)
{
    char *slash = strchr(text, '/');

    if (slash != NULL)
        *slash = '\0';
    range->bits = 128;
    return read_address(text, range->bytes) &&
           (slash == NULL || read_bits(slash + 1, strchr(text, ':') == NULL, &range->bits));
}

static enum infomask_status add(struct proxies *proxies, const char *text, size_t size, struct infomask_error *err)
{
    char word[TEXT_SIZE] = "";

    if (size < sizeof word)
        memcpy(word, text, size);
    if (strcmp(word, "unix") == 0)
        proxies->local = true;
    else if (read_range(word, &proxies->ranges[proxies->count]))
        proxies->count++;
    else
        return error_set(err, INFOMASK_ARGUMENT,
                         "proxies lists addresses (10.0.0.5), ranges (10.0.0.0/8, 2001:db8::/32) or unix; "
                         "\"%.*s\" is none",
                         (int)(size < 100 ? size : 100), text);
    return INFOMASK_OK;
}

enum infomask_status proxies_read(struct proxies **out, const char *list, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct proxies *proxies;
    size_t size;

    *out = NULL;
    list += strspn(list, BETWEEN);
    if (*list == '\0')
        return INFOMASK_OK;
    proxies = calloc(1, sizeof *proxies + (strlen(list) / 2 + 1) * sizeof proxies->ranges[0]);
    if (proxies == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the list of proxies");
    for (; status == INFOMASK_OK && *list != '\0'; list += size + strspn(list + size, BETWEEN)) {
        size = strcspn(list, BETWEEN);
        status = add(proxies, list, size, err);
    }
    if (status == INFOMASK_OK)
        *out = proxies;
    else
        proxies_free(proxies);
    return status;
}

void proxies_free(struct proxies *proxies) { free(proxies); }

static bool in_range(const struct range *range, const unsigned char bytes[16])
{
    int whole = range->bits / 8, rest = range->bits % 8;
    unsigned char mask = (unsigned char)(0xff00u >> rest);

    return memcmp(range->bytes, bytes, (size_t)whole) == 0 &&
           (rest == 0 || ((range->bytes[whole] ^ bytes[whole]) & mask) == 0);
}

static bool listed(const struct proxies *proxies, const unsigned char bytes[16])
{
    for (int i = 0; i < proxies->count; i++)
        if (in_range(&proxies->ranges[i], bytes))
            return true;
    return false;
}

bool proxies_has(const struct proxies *proxies, const struct sockaddr *address)
{
    const struct sockaddr_in6 *v6 = (const void *)address;
    unsigned char bytes[16];

    if (proxies == NULL || address == NULL)
        return false;
    if (address->sa_family == AF_INET6)
        return listed(proxies, v6->sin6_addr.s6_addr);
    if (address->sa_family != AF_INET)
        return proxies->local;
    map_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
    return listed(proxies, bytes);
}

/* ---- Who asks ---------------------------------------------------------------------------------------------------- */

static bool all_digits(const char *text) { return *text != '\0' && text[strspn(text, "0123456789")] == '\0'; }

/* "[2001:db8::1]:443" and "192.0.2.1:443" without what is not the address; some proxies add the port. */
static bool read_hop(const char *text, size_t size, unsigned char bytes[16])
{
    char word[TEXT_SIZE] = "", *start = word, *colon, *end;

    if (size == 0 || size >= sizeof word)
        return false;
    memcpy(word, text, size);
    if (*word == '[') {
        start++;
        if ((end = strchr(word, ']')) == NULL || (end[1] != '\0' && (end[1] != ':' || !all_digits(end + 2))))
            return false;
        *end = '\0';
        return strchr(start, ':') != NULL && read_address(start, bytes);
    }
    colon = strchr(word, ':');
    if (colon != NULL && strchr(word, '.') != NULL && colon == strrchr(word, ':') && all_digits(colon + 1))
        *colon = '\0';
    return read_address(word, bytes);
}

static void give(const unsigned char bytes[16], struct sockaddr_storage *client)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in *v4 = (void *)client;
    struct sockaddr_in6 *v6 = (void *)client;

    memset(client, 0, sizeof *client);
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, bytes + 12, 4);
    } else {
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, bytes, 16);
    }
}

/* From the end of one value.  True: go on to the one before it; *found: client is filled (and again by what is further
 * from us, as long as those between are ours). */
static bool walk(const struct proxies *proxies, const char *field, struct sockaddr_storage *client, bool *found)
{
    size_t end = strlen(field), start;
    unsigned char bytes[16];

    while (end > 0) {
        if (strchr(BETWEEN, field[end - 1]) != NULL) {
            end--;
            continue;
        }
        for (start = end; start > 0 && strchr(BETWEEN, field[start - 1]) == NULL;)
            start--;
        if (!read_hop(field + start, end - start, bytes))
            return false; /* written by nobody that we believe */
        give(bytes, client);
        *found = true;
        if (!listed(proxies, bytes))
            return false;
        end = start;
    }
    return true;
}

bool proxies_client(const struct proxies *proxies, const char *const *fields, int count,
                    struct sockaddr_storage *client)
{
    bool found = false;

    while (count > 0 && walk(proxies, fields[count - 1], client, &found))
        count--;
    return found;
}
