/* Weights in other files: ONNX's external data.  Only plain names of regular files in the model's own folder; each is
 * read once, and its bytes live as long as the graph. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/onnx_import.h"

static const char *entry(const Onnx__TensorProto *proto, const char *key)
{
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = proto->external_data[i];
        if (e->key != NULL && strcmp(e->key, key) == 0)
            return e->value != NULL ? e->value : "";
    }
    return NULL;
}

static enum infomask_status number(struct onnx_import *im, const Onnx__TensorProto *proto, const char *key, size_t *n)
{
    const char *text = entry(proto, key);
    char *end;
    unsigned long long value;

    if (text == NULL)
        return INFOMASK_OK;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > GRAPH_MAX_FILE)
        return onnx_broken(im, "tensor '%s' has a wrong %s", shown_name(proto->name).text, key);
    *n = (size_t)value;
    return INFOMASK_OK;
}

static enum infomask_status read_file(struct onnx_import *im, const char *name, struct contents **found)
{
    struct stat st = {0};
    int fd = openat(im->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    enum infomask_status status = INFOMASK_IO;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        (uint64_t)st.st_size <= GRAPH_MAX_FILE && im->graph->file_count < GRAPH_MAX_FILES)
        status = contents_read(fd, (size_t)st.st_size, found, im->err);
    if (fd >= 0)
        close(fd);
    if (status == INFOMASK_MEMORY)
        return status;
    if (status != INFOMASK_OK)
        return onnx_broken(im, "the file '%s' beside the model, which holds weights, cannot be read",
                           shown_name(name).text);
    im->graph->budget += 4 * contents_size(*found);
    return graph_add_file(im->graph, name, *found) ? INFOMASK_OK : onnx_no_memory(im);
}

static enum infomask_status find_file(struct onnx_import *im, const char *name, struct contents **found)
{
    if (name == NULL || !*name || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return onnx_broken(im, "weights outside the model's folder are not read ('%s')", shown_name(name).text);
    if (im->folder < 0)
        return onnx_unsupported(im, "its weights lie in another file ('%s')", shown_name(name).text);
    for (int i = 0; i < im->graph->file_count; i++)
        if (im->graph->files[i].name != NULL && strcmp(im->graph->files[i].name, name) == 0) {
            *found = im->graph->files[i].contents;
            return INFOMASK_OK;
        }
    return read_file(im, name, found);
}

enum infomask_status onnx_external_data(struct onnx_import *im, const Onnx__TensorProto *proto, struct onnx_view *view)
{
    struct contents *c = NULL;
    const char *name = entry(proto, "location");
    size_t offset = 0, length = SIZE_MAX, size;
    enum infomask_status status;

    if (name != NULL && strncmp(name, "./", 2) == 0)
        name += 2;
    status = find_file(im, name, &c);
    if (status == INFOMASK_OK)
        status = number(im, proto, "offset", &offset);
    if (status == INFOMASK_OK)
        status = number(im, proto, "length", &length);
    if (status != INFOMASK_OK)
        return status;
    size = contents_size(c);
    if (offset > size || (length != SIZE_MAX && length > size - offset))
        return onnx_broken(im, "tensor '%s' lies behind the end of '%s'", shown_name(proto->name).text,
                           shown_name(name).text);
    *view = (struct onnx_view){contents_data(c) + offset, length == SIZE_MAX ? size - offset : length};
    return INFOMASK_OK;
}
