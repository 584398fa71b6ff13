/* Rounded weights at a load: they are compared with the same on the reference kernels, and with the network's own. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "app/model/folder_read.h"
#include "core/infomask_train.h"
#include "core/kernels/kernels.h"
#include "core/quant/quant.h"

struct fixture {
    struct model_folder folder;
    char path[64];
};

static void no_warning(void *unused, const char *sentence)
{
    (void)unused;
    fail_msg("%s", sentence);
}

static enum infomask_status read_digit(void *unused, size_t i, char **bytes, size_t *size, struct infomask_error *err)
{
    char path[64];
    FILE *file;
    (void)unused;
    (void)err;

    (void)snprintf(path, sizeof path, "tests/data/digits/%zu.png", i);
    file = fopen(path, "rb");
    *bytes = malloc(4096);
    assert_true(file != NULL && *bytes != NULL);
    *size = fread(*bytes, 1, 4096, file);
    assert_int_equal(fclose(file), 0);
    return INFOMASK_OK;
}

static bool has_int8(void)
{
    return infomask_precision_check(INFOMASK_INT8, "auto", NULL) == INFOMASK_OK;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct infomask_error err = {0};
    struct infomask_quantized result;
    struct infomask_quantize_options options = {
        .model = &f->folder.spec, .output = f->path, .photos = 10, .read = read_digit, .crops = 10, .held_out = 10};

    assert_non_null(f);
    *state = f;
    if (!has_int8())
        return 0;
    (void)snprintf(f->path, sizeof f->path, "/tmp/test_int8.%ld", (long)getpid());
    if (model_folder_read("config/models/digits", INFOMASK_F32, NULL, no_warning, NULL, &f->folder, &err) ||
        infomask_quantize(&options, NULL, &result, &err))
        fail_msg("%s", err.text);
    f->folder.spec.precision = INFOMASK_INT8;
    f->folder.spec.int8_path = f->path;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (has_int8()) {
        f->folder.spec.int8_path = NULL;
        (void)remove(f->path);
        model_folder_fini(&f->folder);
    }
    free(f);
    return 0;
}

static void a_load_compares_what_is_not_known(void **state)
{
    struct fixture *f = *state;
    struct infomask_model_spec spec = f->folder.spec;
    const struct infomask_model_info *info;
    struct infomask_model *model;
    struct infomask_known known = {.equal = true, .error = 0.01, .most = 0.05};
    struct infomask_error err = {0};

    if (!has_int8())
        skip();
    assert_int_equal(infomask_model_load(&spec, &model, &err), INFOMASK_OK);
    info = infomask_model_info(model);
    assert_true(info->verified && info->equal && info->how == INFOMASK_VERIFIED_SMALL);
    assert_true(info->error > 0 && info->error <= info->most);
    memcpy(known.digest, info->digest, sizeof known.digest);
    infomask_model_free(model);
    spec.known = &known;
    assert_int_equal(infomask_model_load(&spec, &model, &err), INFOMASK_OK);
    assert_int_equal(infomask_model_info(model)->how, INFOMASK_VERIFIED_KNOWN);
    infomask_model_free(model);
}

static void (*sound_gemm)(const struct kernel_gemm *);

/* Activations of bytes have a scale that is off by a fifth. */
static void wrong_gemm(const struct kernel_gemm *g)
{
    struct kernel_gemm wrong = *g;

    if (g->weights->type == KERNEL_U8)
        wrong.a_scale *= 1.2F;
    sound_gemm(&wrong);
}

static void faulty_kernels_are_refused(void **state)
{
    struct fixture *f = *state;
    struct kernel_table *table = (struct kernel_table *)(uintptr_t)kernels_best();
    struct infomask_model *model = NULL;
    struct infomask_error err = {0};
    enum infomask_status status;

    if (!has_int8())
        skip();
    sound_gemm = table->gemm;
    table->gemm = wrong_gemm;
    status = infomask_model_load(&f->folder.spec, &model, &err);
    table->gemm = sound_gemm;
    assert_int_equal(status, INFOMASK_DIFFERS);
    assert_non_null(strstr(err.text, "the same rounded weights on the reference kernels"));
}

static void another_networks_weights_are_refused(void **state)
{
    struct fixture *f = *state;
    struct infomask_model_spec spec = f->folder.spec;
    struct infomask_model *model = NULL;
    struct infomask_error err = {0};
    struct quant *quant;
    char path[80];
    int layer = 0;

    if (!has_int8())
        skip();
    assert_int_equal(quant_read(f->path, NULL, &quant, &err), INFOMASK_OK);
    while (quant->int8.layers[layer].bf16)
        layer++;
    ((float *)(uintptr_t)quant->int8.layers[layer].scale)[1] *= 1.5F;
    (void)snprintf(path, sizeof path, "%s.wrong", f->path);
    assert_int_equal(quant_write(quant, path, &err), INFOMASK_OK);
    quant_free(quant);
    spec.int8_path = path;
    assert_int_equal(infomask_model_load(&spec, &model, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "are not the network's"));
    (void)remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_load_compares_what_is_not_known),
                                       cmocka_unit_test(faulty_kernels_are_refused),
                                       cmocka_unit_test(another_networks_weights_are_refused)};

    kernels_warm_up();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
