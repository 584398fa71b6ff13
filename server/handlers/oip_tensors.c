#include "server/handlers/oip_tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

const char *oip_output_name(enum oip_output_id id)
{
    static const char *const names[] = {
#define OIP_NAME(id, name) name,
        OIP_OUTPUTS(OIP_NAME)
#undef OIP_NAME
    };
    return names[id];
}

/* ---- Reading: what is asked -------------------------------------------------------------------------------------- */

static enum infomask_status bad(struct infomask_error *err, const char *sentence)
{
    return error_set(err, INFOMASK_BAD_DATA, "%s", sentence);
}

static enum infomask_status read_output(const struct json *node, struct oip_request *request, struct oip_output *output,
                                        struct infomask_error *err)
{
    const struct json *parameters = json_get(node, "parameters"), *classes = json_get(parameters, "classification");
    const char *name = json_string(json_get(node, "name"));
    int64_t count = 0;

    output->binary = request->binary_default;
    if (name == NULL)
        return bad(err, "every output needs a name");
    (void)json_bool(json_get(parameters, "binary_data"), &output->binary);
    if (classes != NULL && (!json_integer(classes, &count) || count < 1 || count > 1000000))
        return bad(err, "classification must be an integer from 1 to 1000000");
    output->classification = (int)count;
    for (int i = 0; i < OIP_OUTPUT_COUNT; i++)
        if (strcmp(name, oip_output_name((enum oip_output_id)i)) == 0) {
            output->id = (enum oip_output_id)i;
            if (i == OIP_MAP && count > 0)
                return bad(err, "the output map has no classes, so classification does not go with it");
            return INFOMASK_OK;
        }
    return error_set(err, INFOMASK_BAD_DATA,
                     "there is no output \"%.40s\"; there are probabilities, logits, pmi and map", name);
}

static enum infomask_status read_outputs(const struct json *list, struct oip_request *request,
                                         struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    if (list == NULL)
        return INFOMASK_OK;
    if (json_kind(list) != JSON_ARRAY || json_count(list) > OIP_OUTPUT_COUNT)
        return error_set(err, INFOMASK_BAD_DATA, "outputs must be an array of at most %d entries", OIP_OUTPUT_COUNT);
    for (const struct json *node = json_first(list); node != NULL && status == INFOMASK_OK; node = json_next(node)) {
        struct oip_output *output = &request->outputs[request->output_count];
        status = read_output(node, request, output, err);
        for (int i = 0; i < request->output_count && status == INFOMASK_OK; i++)
            if (request->outputs[i].id == output->id)
                status = bad(err, "an output is asked for twice");
        request->output_count++;
    }
    return status;
}

static enum infomask_status read_parameters(const struct json *parameters, struct oip_request *request,
                                            struct infomask_error *err)
{
    const struct json *prior = json_get(parameters, "prior"), *target = json_get(parameters, "target");

    (void)json_bool(json_get(parameters, "binary_data_output"), &request->binary_default);
    if (prior != NULL) {
        const char *name = json_string(prior);
        if (name == NULL || (strcmp(name, "train") != 0 && strcmp(name, "uniform") != 0))
            return bad(err, "the parameter prior must be \"train\" or \"uniform\"");
        request->uniform = strcmp(name, "uniform") == 0;
    }
    request->target = json_string(target);
    if (target != NULL && request->target == NULL)
        return bad(err, "the parameter target must be a string: a class by index, label or alias");
    return INFOMASK_OK;
}

/* ---- Reading: tensors -------------------------------------------------------------------------------------------- */

struct input {
    const struct json *node, *data; /* data: NULL where the tensor is behind the JSON */
    struct json_numbers numbers;    /* of data, where it is numbers */
    const unsigned char *bytes;     /* behind the JSON */
    size_t size, elements;
    int64_t shape[4];
    int rank;
};

static enum infomask_status read_shape(struct input *input, struct infomask_error *err)
{
    const struct json *list = json_get(input->node, "shape");

    if (list == NULL || json_kind(list) != JSON_ARRAY || json_count(list) < 1 || json_count(list) > 4)
        return bad(err, "the input's shape must be an array of 1 to 4 numbers");
    input->elements = 1;
    for (const struct json *node = json_first(list); node != NULL; node = json_next(node)) {
        int64_t side;
        if (!json_integer(node, &side) || side < 1 || side > (1 << 20) ||
            !checked_mul(input->elements, (size_t)side, &input->elements) || input->elements > (size_t)1 << 30)
            return bad(err, "the input's shape must be positive integers, of at most 2^30 elements in all");
        input->shape[input->rank++] = side;
    }
    return INFOMASK_OK;
}

static enum infomask_status read_numbers(struct oip_request *request, const struct input *input,
                                         struct infomask_error *err)
{
    if (input->rank != 4 || input->shape[0] > OIP_MAX_ITEMS)
        return error_set(err, INFOMASK_BAD_DATA, "an FP32 input has 4 dimensions, the first at most %d", OIP_MAX_ITEMS);
    request->tensor = malloc(input->elements * sizeof *request->tensor);
    if (request->tensor == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the input");
    if (input->data == NULL) {
        if (input->size != input->elements * sizeof *request->tensor)
            return error_set(err, INFOMASK_BAD_DATA, "an FP32 input of this shape has %zu bytes, not %zu",
                             input->elements * sizeof *request->tensor, input->size);
        memcpy(request->tensor, input->bytes, input->size);
    } else if (input->numbers.text == NULL || json_count(input->data) > 0 ||
               !json_numbers_read(&input->numbers, input->shape, input->rank, request->tensor, input->elements)) {
        return error_set(err, INFOMASK_BAD_DATA,
                         "data must be as many numbers as the shape says, %zu, flat or nested as the shape is",
                         input->elements);
    }
    for (size_t i = 0; i < input->elements; i++)
        if (!isfinite(request->tensor[i]))
            return error_set(err, INFOMASK_BAD_DATA, "element %zu of the input is not a finite number", i);
    memcpy(request->shape, input->shape, sizeof request->shape);
    request->count = (int)input->shape[0];
    return INFOMASK_OK;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* RFC 4648 section 4, padding optional.  Bytes written, or -1. */
static long base64_decode(const char *text, unsigned char *out)
{
    unsigned bits = 0;
    int have = 0;
    long size = 0;

    for (; *text != '\0' && *text != '='; text++) {
        int digit = base64_digit(*text);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[size++] = (unsigned char)(bits >> have);
        }
    }
    return strspn(text, "=") == strlen(text) && strlen(text) <= 2 && have < 6 ? size : -1;
}

static enum infomask_status read_base64(struct oip_request *request, const struct input *input,
                                        struct infomask_error *err)
{
    size_t room = 1;
    unsigned char *at;
    int i = 0;

    for (const struct json *node = json_first(input->data); node != NULL; node = json_next(node)) {
        if (json_string(node) == NULL)
            return bad(err, "a BYTES element in JSON is a string: the photo in base64");
        room += strlen(json_string(node));
    }
    at = request->decoded = malloc(room);
    if (at == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the input");
    for (const struct json *node = json_first(input->data); node != NULL; node = json_next(node), i++) {
        long size = base64_decode(json_string(node), at);
        if (size < 0)
            return error_set(err, INFOMASK_BAD_DATA, "element %d of data is not base64", i);
        request->images[i] = (struct upload){.data = at, .size = (size_t)size};
        at += size;
    }
    return INFOMASK_OK;
}

static enum infomask_status read_elements(struct oip_request *request, const struct input *input,
                                          struct infomask_error *err)
{
    const unsigned char *at = input->bytes;
    size_t left = input->size;

    for (size_t i = 0; i < input->elements; i++) {
        size_t size = left < 4 ? SIZE_MAX
                               : (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
        if (size == SIZE_MAX || size > left - 4)
            return error_set(err, INFOMASK_BAD_DATA, "BYTES element %zu runs past the end of its tensor", i);
        request->images[i] = (struct upload){.data = at + 4, .size = size};
        at += 4 + size;
        left -= 4 + size;
    }
    return left == 0 ? INFOMASK_OK : bad(err, "there are bytes behind the last BYTES element");
}

static enum infomask_status read_images(struct oip_request *request, const struct input *input,
                                        struct infomask_error *err)
{
    if (input->elements > OIP_MAX_ITEMS)
        return error_set(err, INFOMASK_BAD_DATA, "a BYTES input has at most %d elements", OIP_MAX_ITEMS);
    if (input->data != NULL && json_count(input->data) != input->elements)
        return error_set(err, INFOMASK_BAD_DATA, "data must be as many strings as the shape says, %zu",
                         input->elements);
    request->images = calloc(input->elements, sizeof *request->images);
    if (request->images == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the input");
    request->count = (int)input->elements;
    return input->data != NULL ? read_base64(request, input, err) : read_elements(request, input, err);
}

static enum infomask_status check_name(const struct input *input, const char *wanted, struct infomask_error *err)
{
    const char *name = json_string(json_get(input->node, "name"));

    if (name != NULL && strcmp(name, wanted) == 0)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_BAD_DATA,
                     "there is no input \"%.40s\" of this datatype; FP32 is named input, BYTES image",
                     name == NULL ? "" : name);
}

static enum infomask_status read_input(struct oip_request *request, const struct json_numbers *numbers,
                                       const unsigned char *bytes, size_t size, struct infomask_error *err)
{
    const struct json *list = json_get(request->root, "inputs");
    struct input input = {.node = list != NULL && json_kind(list) == JSON_ARRAY ? json_first(list) : NULL,
                          .numbers = *numbers,
                          .bytes = bytes,
                          .size = size};
    const char *type = json_string(json_get(input.node, "datatype"));
    bool tensor = type != NULL && strcmp(type, "FP32") == 0, photos = type != NULL && strcmp(type, "BYTES") == 0;
    int64_t declared = -1;
    enum infomask_status status;

    if (input.node == NULL || json_count(list) != 1)
        return bad(err, "inputs must be an array with one tensor: FP32 in the model's layout, or BYTES of photos");
    input.data = json_get(input.node, "data");
    (void)json_integer(json_get(json_get(input.node, "parameters"), "binary_data_size"), &declared);
    if (input.data == NULL && (declared < 0 || (uint64_t)declared != size))
        return error_set(err, INFOMASK_BAD_DATA,
                         "an input without data needs binary_data_size, as many bytes as follow: %zu", size);
    if (input.data != NULL && (size != 0 || json_kind(input.data) != JSON_ARRAY))
        return bad(err, "an input has either data, an array, or bytes behind the JSON");
    status = read_shape(&input, err);
    if (status == INFOMASK_OK && !tensor && !photos)
        return bad(err, "the input's datatype must be FP32 or BYTES");
    if (status == INFOMASK_OK)
        status = tensor ? read_numbers(request, &input, err) : read_images(request, &input, err);
    return status == INFOMASK_OK ? check_name(&input, tensor ? "input" : "image", err) : status;
}

enum infomask_status oip_request_read(struct oip_request *request, const char *body, size_t size, int64_t json_size,
                                      struct infomask_error *err)
{
    size_t front = json_size < 0 ? size : (size_t)json_size;
    struct json_numbers numbers;
    enum infomask_status status;

    *request = (struct oip_request){0};
    if (front > size)
        return error_set(err, INFOMASK_BAD_DATA, "Inference-Header-Content-Length is %zu, but the body has %zu bytes",
                         front, size);
    status = json_parse_apart(body, front, NULL, "data", &request->root, &numbers, err);
    if (status != INFOMASK_OK)
        return status;
    if (json_kind(request->root) != JSON_OBJECT)
        return bad(err, "the request must be a JSON object");
    request->id = json_string(json_get(request->root, "id"));
    status = read_parameters(json_get(request->root, "parameters"), request, err);
    if (status == INFOMASK_OK)
        status = read_outputs(json_get(request->root, "outputs"), request, err);
    if (status == INFOMASK_OK)
        status = read_input(request, &numbers, (const unsigned char *)body + front, size - front, err);
    return status;
}

void oip_request_fini(struct oip_request *request)
{
    json_free(request->root);
    free(request->tensor);
    free(request->images);
    free(request->decoded);
    *request = (struct oip_request){0};
}
