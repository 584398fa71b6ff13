/* Any bytes as a labels file and a name to look for: what is found is there, whoever is not found is told why. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

static void look_up(const struct labels *labels, const char *name)
{
    struct infomask_error err = {0};
    int index = -1;
    enum labels_status status = labels_find(labels, name, &index, &err);

    if (status == LABELS_FOUND)
        require(index >= 0 && (size_t)index < labels->count, "an index is one of a class");
    else
        require(err.text[0] != '\0', "a refusal has a sentence");
}

/* The first 16 bytes are the name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct labels labels;
    struct infomask_error err = {0};
    char name[17] = "";
    size_t taken = size < 16 ? size : 16;

    memcpy(name, data, taken);
    if (labels_parse((const char *)data + taken, size - taken, &labels, &err) != INFOMASK_OK) {
        require(err.text[0] != '\0', "a refusal has a sentence");
        return 0;
    }
    look_up(&labels, name);
    for (size_t i = 0; i < labels.count && i < 8; i++)
        look_up(&labels, labels.names[labels.first[i]]);
    labels_fini(&labels);
    return 0;
}
