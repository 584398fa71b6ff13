/* Weights in other files: ONNX's external data.  Only plain names of regular files in the model's own folder; each is
 * mapped once, and lives as long as the graph. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/onnx_import.h"

#define MAX_FILES 64

static const char *entry(const Onnx__TensorProto *proto, const char *key)
{
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = proto->external_data[i];
        if (e->key && strcmp(e->key, key) == 0)
            return e->value ? e->value : "";
    }
    return NULL;
}

static enum infomask_status number(struct onnx_import *im, const Onnx__TensorProto *proto, const char *key, size_t *n)
{
    const char *text = entry(proto, key);
    char *end;
    unsigned long long value;
    if (!text)
        return INFOMASK_OK;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > GRAPH_MAX_FILE)
        return onnx_broken(im, "tensor '%s' has a wrong %s", shown_name(proto->name).text, key);
    *n = (size_t)value;
    return INFOMASK_OK;
}

static enum infomask_status map_file(struct onnx_import *im, const char *name, const struct graph_mapping **found)
{
    struct graph *graph = im->graph;
    struct graph_mapping m = {.name = strdup(name), .data = MAP_FAILED}, *more;
    struct stat st = {0};
    int fd = openat(im->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        (uint64_t)st.st_size <= GRAPH_MAX_FILE) {
        m.size = (size_t)st.st_size;
        m.data = mmap(NULL, m.size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    more = m.name && m.data != MAP_FAILED && graph->external_count < MAX_FILES
               ? reallocarray(graph->external, (size_t)graph->external_count + 1, sizeof m) : NULL;
    if (!more) {
        if (m.data != MAP_FAILED)
            (void)munmap(m.data, m.size);
        free(m.name);
        return onnx_broken(im, "the file '%s' beside the model, which holds weights, cannot be read",
                           shown_name(name).text);
    }
    graph->external = more;
    graph->external[graph->external_count] = m;
    graph->budget += 2 * m.size;
    *found = &graph->external[graph->external_count++];
    return INFOMASK_OK;
}

static enum infomask_status find_file(struct onnx_import *im, const char *name, const struct graph_mapping **found)
{
    if (!name || !*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return onnx_broken(im, "weights outside the model's folder are not read ('%s')", shown_name(name).text);
    if (im->folder < 0)
        return onnx_unsupported(im, "its weights lie in another file ('%s')", shown_name(name).text);
    for (int i = 0; i < im->graph->external_count; i++)
        if (strcmp(im->graph->external[i].name, name) == 0) {
            *found = &im->graph->external[i];
            return INFOMASK_OK;
        }
    return map_file(im, name, found);
}

enum infomask_status onnx_external_data(struct onnx_import *im, const Onnx__TensorProto *proto, struct onnx_view *view)
{
    const struct graph_mapping *m = NULL;
    const char *name = entry(proto, "location");
    size_t offset = 0, length = SIZE_MAX;
    enum infomask_status status;
    if (name && strncmp(name, "./", 2) == 0)
        name += 2;
    status = find_file(im, name, &m);
    if (!status)
        status = number(im, proto, "offset", &offset);
    if (!status)
        status = number(im, proto, "length", &length);
    if (status)
        return status;
    if (offset > m->size || (length != SIZE_MAX && length > m->size - offset))
        return onnx_broken(im, "tensor '%s' lies behind the end of '%s'", shown_name(proto->name).text,
                           shown_name(m->name).text);
    *view = (struct onnx_view){(const uint8_t *)m->data + offset, length == SIZE_MAX ? m->size - offset : length};
    return INFOMASK_OK;
}
