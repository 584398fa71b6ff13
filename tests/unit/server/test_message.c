/* HTTP as bytes: what is read from single fields and texts. */
#include "test.h"

#include <string.h>

#include "server/message/base64.h"
#include "server/message/fields.h"

static void check_base64(const char *text, const char *want)
{
    char out[16];
    size_t size;

    assert_null(base64_decode(text, out, &size));
    assert_int_equal(size, strlen(want));
    assert_memory_equal(out, want, size);
}

/* RFC 4648 section 10; the variant for URLs, left-out padding, lines. */
static void base64_is_decoded(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},           {"Zg==", "f"},       {"Zm8=", "fo"},         {"Zm9v", "foo"},  {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}, {"Zm9v\r\nYm Fy\n", "foobar"}, {"Zm9vYg", "foob"},
        {"-_-_", "\xfb\xff\xbf"}, {"+/+/", "\xfb\xff\xbf"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_base64(pairs[i][0], pairs[i][1]);
}

static void what_is_no_base64_is_told_where(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } wrong[] = {{"Zm9v*", 4}, {"Z", 1}, {"Zg=", 3}, {"Zg===", 4}, {"Zg==Zg==", 4}, {"Zm\xc3\xa4", 2}, {"=", 1}};
    char out[16];
    size_t size;
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_ptr_equal(base64_decode(wrong[i].text, out, &size), wrong[i].text + wrong[i].at);
}

static void a_data_url_begins_behind_its_comma(void **state)
{
    const char *plain = " \nZg==";
    (void)state;

    assert_string_equal(base64_text("DATA:image/png;base64,Zg=="), "Zg==");
    assert_ptr_equal(base64_text(plain), plain + 2);
    assert_null(base64_text("data:image/png,Zg=="));
    assert_null(base64_text("data:;base64"));
}

static void prefixes_are_plain_paths(void **state)
{
    static const char *const none[] = {"",     "/",     "//",      "im",          "//other.example", "/a//b",
                                       "/a b", "/a\"b", "/a\r\nX", "/a?b=c", "/%2e%2e",         "https://a"};
    (void)state;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(field_path_prefix(none[i]), 0);
    assert_int_equal(field_path_prefix(NULL), 0);
    assert_int_equal(field_path_prefix("/im"), 3);
    assert_int_equal(field_path_prefix("/a/b.c~d//"), 8);
}

static void ids_are_of_letters(void **state)
{
    (void)state;
    assert_true(field_is_request_id("a-Z_0.9", 7));
    assert_false(field_is_request_id("a-Z_0.9", 6));
    assert_false(field_is_request_id("a b", 9) || field_is_request_id("", 9) || field_is_request_id(NULL, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_decoded),
        cmocka_unit_test(what_is_no_base64_is_told_where),
        cmocka_unit_test(a_data_url_begins_behind_its_comma),
        cmocka_unit_test(prefixes_are_plain_paths),
        cmocka_unit_test(ids_are_of_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
