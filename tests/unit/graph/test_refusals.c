/* Model files that must be refused: each with its status and a sentence that says why; and damaged ones, which must
 * never do harm. */
#include "test.h"

#include <unistd.h>

#include "core/base/random.h"
#include "core/graph/graph.h"

#define FOLDER "tests/data/onnx/"

static void check_refusal(const char *name, const char *word, const char *sentence)
{
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s.onnx", name);
    if (onnx_read(path, NULL, &graph, &err) == INFOMASK_OK)
        fail_msg("%s was read", name);
    assert_null(graph);
    if (strcmp(status_word(err.status), word) != 0 || !strstr(err.text, sentence))
        fail_msg("%s: %s, %s", name, status_word(err.status), err.text);
    /* the same without anyone to tell */
    assert_int_equal(onnx_read(path, NULL, &graph, NULL), err.status);
}

static void each_bad_file_is_refused_with_its_reason(void **state)
{
    FILE *list = fopen(FOLDER "refusals.txt", "r");
    char line[256], name[64], word[32];
    int count = 0, at;
    (void)state;
    assert_non_null(list);
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        assert_int_equal(sscanf(line, "%63s %31s %n", name, word, &at), 2);
        check_refusal(name, word, line + at);
        count++;
    }
    fclose(list);
    assert_true(count > 30);
}

static void files_that_are_no_model(void **state)
{
    struct infomask_error err = {0};
    struct graph *graph;
    (void)state;
    assert_int_equal(onnx_read("/nowhere/model.onnx", NULL, &graph, &err), INFOMASK_IO);
    assert_int_equal(onnx_read("/dev/zero", NULL, &graph, &err), INFOMASK_IO);
    assert_int_equal(onnx_read("/dev/null", NULL, &graph, &err), INFOMASK_IO);
    assert_int_equal(onnx_read("/tmp", NULL, &graph, &err), INFOMASK_IO);
    assert_int_equal(onnx_read_bytes("", 0, NULL, -1, (struct onnx_size){0}, &graph, &err), INFOMASK_BAD_MODEL);
    assert_null(graph);
}

struct bytes {
    unsigned char data[8192];
    size_t size;
};

static void load(const char *name, struct bytes *b)
{
    char path[128];
    FILE *file;
    snprintf(path, sizeof path, FOLDER "%s.onnx", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    b->size = fread(b->data, 1, sizeof b->data, file);
    assert_true(b->size > 0 && b->size < sizeof b->data);
    fclose(file);
}

/* Reads from a block of exactly that size, so that a step beyond it is seen by the sanitizer. */
static enum infomask_status read_exact(const unsigned char *data, size_t size)
{
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    unsigned char *copy = malloc(size ? size : 1);
    enum infomask_status status;
    assert_non_null(copy);
    memcpy(copy, data, size);
    status = onnx_read_bytes(copy, size, NULL, -1, (struct onnx_size){0}, &graph, &err);
    free(copy);
    if (!status && !graph_infer_shapes(graph, &err) && !graph_fold_constants(graph, &err) && !graph_fuse(graph, &err))
        assert_true(graph_prune(graph, &err) == INFOMASK_OK || err.text[0] != 0);
    assert_true((status == INFOMASK_OK) == (graph != NULL));
    graph_free(graph);
    return status;
}

static void a_cut_file_is_never_a_model(void **state)
{
    struct bytes b;
    (void)state;
    load("net_fixed_pool", &b);
    assert_int_equal(read_exact(b.data, b.size), INFOMASK_OK);
    for (size_t size = 0; size + 8 < b.size; size++) /* the last field is the opset's */
        assert_int_not_equal(read_exact(b.data, size), INFOMASK_OK);
}

static void flipped_bytes_do_no_harm(void **state)
{
    static const char *const names[] = {"net_fixed_pool", "net_mobilenetv3", "reshape_product", "hard_swish_last"};
    struct random_stream random = random_stream(4, 0);
    int refused = 0;
    (void)state;
    for (int round = 0; round < 4000; round++) {
        struct bytes b;
        load(names[round % 4], &b);
        for (uint32_t i = 0; i <= random_below(&random, 3); i++)
            b.data[random_below(&random, (uint32_t)b.size)] = (unsigned char)random_u32(&random);
        refused += read_exact(b.data, b.size) != INFOMASK_OK;
    }
    assert_true(refused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_file_is_refused_with_its_reason),
        cmocka_unit_test(files_that_are_no_model),
        cmocka_unit_test(a_cut_file_is_never_a_model),
        cmocka_unit_test(flipped_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
