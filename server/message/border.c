#include "server/message/border.h"

#include <string.h>
#include <strings.h>

#include "app/json/text.h"

#define REFUSE(code, sentence) return ((struct border_verdict){(code), (sentence)})
#define PASS ((struct border_verdict){0, NULL})

static bool named(const struct header *header, const char *name)
{
    return strlen(name) == header->name_size && strncasecmp(header->name, name, header->name_size) == 0;
}

static const struct header *find(const struct head *head, const char *name, int *count)
{
    const struct header *first = NULL;

    *count = 0;
    for (int i = 0; i < head->count; i++) {
        if (!named(&head->headers[i], name))
            continue;
        if ((*count)++ == 0)
            first = &head->headers[i];
    }
    return first;
}

const char *head_get(const struct head *head, const char *name)
{
    int count;
    const struct header *header = find(head, name, &count);
    return header == NULL ? NULL : header->value;
}

int head_all(const struct head *head, const char *name, const char *values[BORDER_MAX_HEADERS])
{
    int count = 0;

    for (int i = 0; i < head->count; i++)
        if (named(&head->headers[i], name))
            values[count++] = head->headers[i].value;
    return count;
}

static struct border_verdict check_names(const struct head *head)
{
    if (head->overflow)
        REFUSE(400, "a request may have at most 100 header fields");
    for (int i = 0; i < head->count; i++) {
        const struct header *header = &head->headers[i];
        if (!text_is_token(header->name, header->name_size))
            REFUSE(400, "a header field's name is not a token (spaces before the colon and folded lines are refused)");
        for (size_t k = 0; k < header->value_size; k++) {
            unsigned char c = (unsigned char)header->value[k];
            if (c == 0x7f || (c < ' ' && c != '\t'))
                REFUSE(400, "a header field's value holds a control character");
        }
        if (strlen(header->value) != header->value_size)
            REFUSE(400, "a header field's value holds a NUL");
    }
    return PASS;
}

/* Fields that have one value; two of them would be read differently by two readers. */
static struct border_verdict check_singles(const struct head *head)
{
    static const char *const single[] = {"Content-Length", "Transfer-Encoding", "Content-Type",  "Host",
                                         "Authorization",  "X-Api-Key",         "Content-Encoding", "Expect"};

    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        int count;
        (void)find(head, single[i], &count);
        if (count > 1)
            REFUSE(400, "Host, Content-Length, Content-Type, Content-Encoding, Transfer-Encoding, Expect and "
                        "credentials may be given once only");
    }
    return PASS;
}

static struct border_verdict check_host(const struct head *head)
{
    const char *host = head_get(head, "Host");

    if (host == NULL && strcmp(head->version, "HTTP/1.0") != 0)
        REFUSE(400, "HTTP/1.1 needs a Host header field");
    if (host != NULL && strpbrk(host, " \t/\\@,?#") != NULL)
        REFUSE(400, "the Host header field is not a host");
    return PASS;
}

static struct border_verdict check_framing(const struct head *head, struct framing *framing)
{
    const char *length = head_get(head, "Content-Length"), *coding = head_get(head, "Transfer-Encoding");
    const char *expect = head_get(head, "Expect");
    unsigned long long value;

    *framing = (struct framing){.length = -1};
    if (coding != NULL) {
        if (length != NULL)
            REFUSE(400, "Content-Length and Transfer-Encoding exclude each other");
        if (strcmp(head->version, "HTTP/1.0") == 0)
            REFUSE(400, "HTTP/1.0 has no Transfer-Encoding");
        /* exactly: the library does not trim, and would wait for ever over "chunked " */
        if (strcasecmp(coding, "chunked") != 0)
            REFUSE(501, "the only Transfer-Encoding understood is chunked");
        framing->chunked = true;
    }
    if (length != NULL) {
        if (!text_digits(length, strlen(length), &value))
            REFUSE(400, "Content-Length must be a decimal number");
        framing->length = (int64_t)value;
    }
    framing->expects = expect != NULL && strcasecmp(expect, "100-continue") == 0;
    return PASS;
}

/* Of the query: what lies between its &. */
static int count_fields(const char *target)
{
    const char *at = strchr(target, '?');
    int count = 0;

    for (; at != NULL && count <= BORDER_MAX_FIELDS; at = strchr(at + 1, '&'))
        count++;
    return count;
}

static struct border_verdict check_line(const struct head *head)
{
    const char *target = head->target;

    if (strcmp(head->version, "HTTP/1.1") != 0 && strcmp(head->version, "HTTP/1.0") != 0)
        REFUSE(400, "the version must be HTTP/1.1 or HTTP/1.0");
    if (!text_is_token(head->method, strlen(head->method)))
        REFUSE(400, "the method is not a token");
    if (strcmp(head->method, "CONNECT") == 0)
        REFUSE(501, "CONNECT is not served: this is not a proxy");
    if (target == NULL || strlen(target) > BORDER_MAX_TARGET)
        REFUSE(400, "the request's target is over 8192 bytes");
    if (strcmp(target, "*") == 0 && strcmp(head->method, "OPTIONS") == 0)
        return PASS;
    if (*target != '/')
        REFUSE(400, "the request's target must begin with / (this is not a proxy)");
    if (count_fields(target) > BORDER_MAX_FIELDS)
        REFUSE(400, "a query may have at most 256 fields");
    for (const unsigned char *p = (const unsigned char *)target; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("\"<>#", *p) != NULL)
            REFUSE(400, "the request's target holds a character that must be percent-encoded");
    return PASS;
}

struct border_verdict border_check(const struct head *head, struct framing *framing)
{
    struct border_verdict verdict = head->fault != NULL ? (struct border_verdict){400, head->fault} : check_line(head);

    *framing = (struct framing){.length = -1};
    if (verdict.status == 0)
        verdict = check_names(head);
    if (verdict.status == 0)
        verdict = check_singles(head);
    if (verdict.status == 0)
        verdict = check_host(head);
    if (verdict.status == 0)
        verdict = check_framing(head, framing);
    return verdict;
}
