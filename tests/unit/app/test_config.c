#include "test.h"

#include "app/settings/config.h"

static void fresh(struct config *config)
{
    assert_int_equal(config_init(config, NULL), INFOMASK_OK);
}

static enum infomask_status read_text(struct config *config, const char *text, struct infomask_error *err)
{
    return config_read_text(config, text, strlen(text), err);
}

static void defaults_are_the_tables(void **state)
{
    struct config config;
    char text[64];
    (void)state;
    fresh(&config);
    assert_string_equal(config.listen, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.max_body, 32 << 20);
    assert_string_equal(config.isa, "auto");
    (void)config_value_text(&config, CONFIG_max_body, text, sizeof text);
    assert_string_equal(text, "32M");
    (void)config_value_text(&config, CONFIG_header_timeout, text, sizeof text);
    assert_string_equal(text, "10");
    (void)config_source_text(&config, CONFIG_port, text, sizeof text);
    assert_string_equal(text, "default");
    config_fini(&config);
}

static void layers_lie_over_each_other(void **state)
{
    char *environment[] = {"HOME=/", "INFOMASK_CONFIG=x", "INFOMASK_PORT=2", "INFOMASK_MAX_BODY=1M", "INFOMASKS=1", NULL};
    struct config config;
    char text[80];
    (void)state;
    fresh(&config);
    assert_int_equal(read_text(&config, "[server]\nport = 1\nqueue=7 ; of file\n; note\n[compute]\nisa = ref\n", NULL),
                     INFOMASK_OK);
    assert_int_equal(config_read_environment(&config, environment, NULL, NULL, NULL), INFOMASK_OK);
    assert_int_equal(config_set(&config, CONFIG_port, "3", CONFIG_FLAG, NULL), INFOMASK_OK);
    assert_int_equal(config.port, 3);
    assert_int_equal(config.queue, 7);
    assert_int_equal(config.max_body, 1 << 20);
    assert_string_equal(config.isa, "ref");
    (void)config_source_text(&config, CONFIG_port, text, sizeof text);
    assert_string_equal(text, "--port");
    (void)config_source_text(&config, CONFIG_max_body, text, sizeof text);
    assert_string_equal(text, "INFOMASK_MAX_BODY");
    (void)config_source_text(&config, CONFIG_isa, text, sizeof text);
    assert_string_equal(text, "file:6");
    config_fini(&config);
}

struct bad {
    const char *text, *reason;
};

static void a_bad_file_is_refused_by_line(void **state)
{
    static const struct bad bad[] = {
        {"[server]\nprot = 1\n", "line 2: \"prot\" is not a setting"},
        {"\n\n[server]\nmax-body = 1\n", "line 4: \"max-body\" is not a setting"},
        {"[models]\nport = 1\n", "line 2: port belongs under [server], not [models]"},
        {"port = 1\n", "line 1: port belongs under [server], not []"},
        {"[server]\nport = 65536\n", "line 2: port must be an integer from 0 to 65535, not \"65536\""},
        {"[server]\nport = 1.5\n", "line 2: port must be an integer"},
        {"[server]\nport = 0x10\n", "line 2: port must be an integer"},
        {"[server]\nport =\n", "line 2: port must be an integer from 0 to 65535, not \"\""},
        {"[server]\nmax_body = 1T\n", "max_body must be an integer"},
        {"[server]\nmax_body = M\n", "max_body must be an integer"},
        {"[server]\nmax_body = 1MB\n", "max_body must be an integer"},
        {"[server]\nmax_body = 3G\n", "max_body must be an integer from 1024 to 2147483647"},
        {"[server]\nbody_timeout = inf\n", "body_timeout must be a number from 0.1 to 3600"},
        {"[server]\nbody_timeout = 1e9\n", "body_timeout must be a number"},
        {"[compute]\nisa = avx\n", "isa must be one of auto|ref|blas|neon|avx2|avx512|amx, not \"avx\""},
        {"[compute]\nisa = ref|blas\n", "isa must be one of"},
        {"[models]\nmodels_dir = \xFF\n", "models_dir must be UTF-8"},
        {"[server]\nport = 1\n  port = 2\n", "line 3: port is set a second time (first on line 2)"},
        {"[server\nport = 1\n", "line 1: neither [section] nor key = value"},
        {"[server]\nport\n", "line 2: neither [section] nor key = value"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config config;
        struct infomask_error err = {0};
        fresh(&config);
        if (read_text(&config, bad[i].text, &err) != INFOMASK_ARGUMENT || strstr(err.text, bad[i].reason) == NULL)
            fail_msg("%s: \"%s\", not \"%s\"", bad[i].text, err.text, bad[i].reason);
        config_fini(&config);
    }
}

static void a_long_line_is_refused_and_not_cut(void **state)
{
    char text[6000] = "[models]\nmodel = ";
    struct config config;
    struct infomask_error err = {0};
    (void)state;
    memset(text + strlen(text), 'a', 5000);
    fresh(&config);
    assert_int_equal(config_read_text(&config, text, strlen(text), &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "line 2: longer than"));
    assert_int_equal(config_read_text(&config, "[server]\n\0", 10, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "line 2: a NUL"));
    config_fini(&config);
}

static void a_bad_environment_is_refused_by_name(void **state)
{
    static char *const bad[] = {"INFOMASK_PORT=x", "INFOMASK_PORT=", "INFOMASK_MAX_BODY=-1", "INFOMASK_ISA=mmx"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *environment[] = {bad[i], NULL};
        struct config config;
        struct infomask_error err = {0};
        fresh(&config);
        assert_int_equal(config_read_environment(&config, environment, NULL, NULL, &err), INFOMASK_ARGUMENT);
        assert_non_null(strstr(err.text, "environment: INFOMASK_"));
        assert_int_equal(config.port, 8080);
        config_fini(&config);
    }
}

static void hear(void *context, const char *sentence)
{
    (void)snprintf(context, 200, "%s", sentence);
}

static void a_foreign_variable_is_told(void **state)
{
    static char *const foreign[] = {"INFOMASK_PROT=1", "INFOMASK_port=1", "INFOMASK_=1", "INFOMASK_PORT_8080_TCP=tcp://x"};
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        char *environment[] = {foreign[i], NULL}, heard[200] = "";
        struct config config;
        fresh(&config);
        assert_int_equal(config_read_environment(&config, environment, hear, heard, NULL), INFOMASK_OK);
        assert_memory_equal(heard, "environment: INFOMASK_", 22);
        assert_non_null(strstr(heard, " is not a setting"));
        assert_int_equal(config.port, 8080);
        config_fini(&config);
    }
}

static void names_are_found_with_dashes(void **state)
{
    (void)state;
    assert_int_equal(config_find("max-body"), CONFIG_max_body);
    assert_int_equal(config_find("max_body"), CONFIG_max_body);
    assert_int_equal(config_find("max"), CONFIG_COUNT);
    assert_int_equal(config_find("max-body-x"), CONFIG_COUNT);
    assert_int_equal(config_find(""), CONFIG_COUNT);
    for (int key = 0; key < CONFIG_COUNT; key++)
        assert_int_equal(config_find(config_setting((enum config_key)key).name), key);
}

/* every setting's own default is a value that it takes */
static void the_template_means_the_defaults(void **state)
{
    struct config config, plain;
    char *text = config_template(), *at;
    char a[80], b[80];
    (void)state;
    assert_non_null(text);
    for (at = text; (at = strchr(at, '#')) != NULL; at++)
        if (at[1] != ' ')
            at[0] = ' ';
    fresh(&config);
    fresh(&plain);
    assert_int_equal(read_text(&config, text, NULL), INFOMASK_OK);
    for (int key = 0; key < CONFIG_COUNT; key++) {
        (void)config_value_text(&config, (enum config_key)key, a, sizeof a);
        (void)config_value_text(&plain, (enum config_key)key, b, sizeof b);
        assert_string_equal(a, b);
        assert_int_equal(config.source[key], CONFIG_FILE);
    }
    config_fini(&config);
    config_fini(&plain);
    free(text);
}

static void the_shipped_file_is_the_template(void **state)
{
    char *text = config_template(), *shipped = NULL;
    FILE *file = fopen("config/infomask.ini", "r");
    size_t room = 0;
    (void)state;
    assert_non_null(file);
    assert_true(getdelim(&shipped, &room, '\0', file) > 0);
    assert_string_equal(shipped, text); /* infomask config --template > config/infomask.ini */
    (void)fclose(file);
    free(shipped);
    free(text);
}

static void a_missing_file_is_told(void **state)
{
    struct config config;
    struct infomask_error err = {0};
    (void)state;
    fresh(&config);
    assert_int_equal(config_read_file(&config, "tests/no such file.ini", &err), INFOMASK_IO);
    assert_non_null(strstr(err.text, "cannot be read"));
    config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_tables),
        cmocka_unit_test(layers_lie_over_each_other),
        cmocka_unit_test(a_bad_file_is_refused_by_line),
        cmocka_unit_test(a_long_line_is_refused_and_not_cut),
        cmocka_unit_test(a_bad_environment_is_refused_by_name),
        cmocka_unit_test(a_foreign_variable_is_told),
        cmocka_unit_test(names_are_found_with_dashes),
        cmocka_unit_test(the_template_means_the_defaults),
        cmocka_unit_test(the_shipped_file_is_the_template),
        cmocka_unit_test(a_missing_file_is_told),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
