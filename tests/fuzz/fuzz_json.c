/* Any bytes as JSON: refused with a sentence, or a tree that, written, reads back as itself. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

static char *write_tree(const struct json *root, size_t *size)
{
    struct json_writer writer;
    char *text = NULL;

    json_writer_init(&writer, 0);
    json_put_node(&writer, NULL, root);
    require(json_writer_take(&writer, &text, size, NULL) == INFOMASK_OK, "every tree can be written");
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infomask_error err = {0};
    struct json *root = NULL, *again = NULL;
    char *first, *second;
    size_t first_size, second_size;

    if (json_parse((const char *)data, size, NULL, &root, &err) != INFOMASK_OK) {
        require(err.text[0] != '\0' && root == NULL, "a refusal has a sentence and no tree");
        return 0;
    }
    first = write_tree(root, &first_size);
    require(json_parse(first, first_size, NULL, &again, &err) == INFOMASK_OK, "what was written can be read");
    second = write_tree(again, &second_size);
    require(first_size == second_size && memcmp(first, second, first_size) == 0, "and is the same");
    free(first);
    free(second);
    json_free(root);
    json_free(again);
    return 0;
}
