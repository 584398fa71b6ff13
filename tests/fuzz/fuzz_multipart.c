/* Any bytes as a form: refused with a sentence, or parts that lie in the body.  The first line is the Content-Type. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/message/multipart.h"

#define MOST_PARTS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

static void check(const struct part *part, const char *body, size_t size)
{
    require(part->data >= body && part->size <= size && part->data + part->size <= body + size, "a part lies in the body");
    require(part->data[part->size] == '\0', "a NUL is behind a part");
    require(part->name >= body && part->name + strlen(part->name) < body + size, "a name lies in the body");
    if (part->file_name != NULL) {
        require(part->file_name >= body && part->file_name + strlen(part->file_name) < body + size, "a file name does");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    struct infomask_error err = {0};
    struct part parts[MOST_PARTS];
    int count = 0;

    if (end == NULL)
        return 0;
    char *type = strndup((const char *)data, (size_t)(end - data));
    size_t body_size = size - (size_t)(end - data) - 1;
    char *body = malloc(body_size + 1); /* as the service has it: a NUL is behind the body */
    require(type != NULL && body != NULL, "memory");
    memcpy(body, end + 1, body_size);
    body[body_size] = '\0';
    (void)multipart_is_form(type);
    if (multipart_parse(type, body, body_size, parts, MOST_PARTS, &count, &err) != INFOMASK_OK)
        require(err.text[0] != '\0', "a refusal has a sentence");
    else
        require(count >= 0 && count <= MOST_PARTS, "no more parts than there is room for");
    for (int i = 0; err.text[0] == '\0' && i < count; i++)
        check(&parts[i], body, body_size);
    free(type);
    free(body);
    return 0;
}
