#include "test.h"

#include <math.h>

#include "app/json/json.h"
#include "core/base/random.h"

static enum infomask_status parse(const char *text, size_t size, struct infomask_error *err)
{
    struct json *root = NULL;
    /* a copy of exactly this size, so that a read past the end is seen by the sanitizer */
    char *copy = malloc(size > 0 ? size : 1);
    enum infomask_status status;
    memcpy(copy, text, size);
    status = json_parse(copy, size, NULL, &root, err);
    free(copy);
    if (status == INFOMASK_OK)
        json_free(root);
    else
        assert_null(root);
    return status;
}

static void accepts_what_the_standard_has(void **state)
{
    static const char *const good[] = {
        "0", "-0", "1.5e-3", "1E+2", "\"\"", "true", "false", "null", " [ ] ", "{}", "\t\r\n{\"a\" : [1 , 2]}\n",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", "\"\x7F\"", "1e-400",
        "{\"\":1,\"a\":{\"a\":{\"a\":2}}}", "[[[[[[[[[[]]]]]]]]]]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct infomask_error err = {0};
        if (parse(good[i], strlen(good[i]), &err) != INFOMASK_OK)
            fail_msg("%s: %s", good[i], err.text);
    }
}

/* What parsers in use have let through: each must be refused, with a sentence. */
static void refuses_what_others_let_through(void **state)
{
    static const char *const bad[] = {
        "[,1]", "[1,,2]", "[,]", "[\"a\",\n4\n,1,", "[\"\": 1]", "[1]x", "[1]]", "[][]", "{}}", "{}#",
        "{\"a\":\"b\"}/**/", "//\n1", "[\"a\" /*b*/]", "[1", "[", "{", "[{", "{\"a\"", "{\"a\":", "[\"a", "\"",
        "[\"\\", "[\"\\u00A", "[\"\\uD800\\u\"]", "[\"\\uD800\\", "nul", "tru", "falsee", "True", "NaN", "[Infinity]",
        "[-Infinity]", "[-NaN]", "undefined", "*", "<null>", "abc", "'a'", "['a']", "[- 1]", "[--1]", "[+1]", "[-01]",
        "[012]", "[0x1]", "[0xF]", "[1_000]", "[1 000.0]", "[1e]", "[1e+]", "[1.0e-]", "[0E]", "[1eE2]", "[1.e1]",
        "[2.e+3]", "[.2e-3]", "[-.1]", "[1.]", "[-]", "[1.2.3]", "[1a]", "[0.1.2]", "[-2.]",
        "[\xEF\xBC\x91]", /* a wide 1 */ "{1:1}", "{\"a\":}", "{:\"b\"}", "{\"a\" \"b\"}", "{\"a\"::\"b\"}",
        "{\"a\":\"b\",}", "{\"a\":1,,}", "{'a':0}", "{a:1}", "{[:\"x\"}", "{\"a\":\"b\" \"c\"}", "{\"a\":1 true}",
        "[\"\\x00\"]", "[\"\\a\"]", "[\"\\\xE2\x82\xAC\"]", "[\\n]", "[\"\t\"]", "[\"a\nb\"]", "[\"new\rline\"]",
        "[\v]", "[\f]", "\xEF\xBB\xBF{}", "\xE2\x81\xA0[]", "[a\xE5]", "\xE5", "[\"\xED\xA0\x80\"]", "[\"\xC0\xAF\"]",
        "[\"\xF4\xBF\xBF\xBF\"]", "[\"\xFF\"]", "[\"\x81\"]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct infomask_error err = {0};
        if (parse(bad[i], strlen(bad[i]), &err) != INFOMASK_BAD_DATA || err.text[0] == '\0')
            fail_msg("%s: taken, or without a sentence", bad[i]);
    }
}

struct bad {
    const char *text, *reason;
};

static void refuses_with_a_reason(void **state)
{
    static const struct bad bad[] = {
        {"", "a value is missing at byte 0"},
        {"[1,]", "unexpected character at byte 3"},
        {"[1 2]", "',' or ']' is missing at byte 3"},
        {"[1", "',' or ']' is missing at byte 2"},
        {"{\"a\":1,}", "a member without a quoted name"},
        {"{a:1}", "a member without a quoted name"},
        {"{\"a\" 1}", "a member without ':'"},
        {"{\"a\":1 \"b\":2}", "',' or '}' is missing"},
        {"01", "leading zero"},
        {"+1", "unexpected character"},
        {".5", "unexpected character"},
        {"1.", "a number without a digit"},
        {"1e", "a number without a digit"},
        {"-", "a number without a digit"},
        {"1e400", "too large for a double"},
        {"-1e999", "too large for a double"},
        {"1000000000000000000000000000000000000000000000000000000000000000000e300", "too large for a double"},
        {"0.000000000000000000000000000000000000000000000000000000000000000001.2", "text after the value"},
        {"NaN", "unexpected character"},
        {"Infinity", "unexpected character"},
        {"nul", "unknown word"},
        {"true false", "text after the value at byte 5"},
        {"{} {}", "text after the value"},
        {"\"a", "string without an end"},
        {"\"a\nb\"", "a control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\", "unknown escape"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\u12", "four hexadecimal digits"},
        {"\"\\u0000\"", "a NUL character"},
        {"\"\\ud83d\"", "half of a surrogate pair"},
        {"\"\\ud83d\\u0041\"", "half of a surrogate pair"},
        {"\"\\ude00\"", "half of a surrogate pair"},
        {"\"\xFF\"", "not UTF-8 at byte 1"},
        {"\"\xC0\xAF\"", "not UTF-8"},
        {"\"\xE0\x80\x80\"", "not UTF-8"},
        {"\"\xED\xA0\x80\"", "not UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xC3", "not UTF-8"},
        {"\xEF\xBB\xBF{}", "unexpected character at byte 0"},
        {"{\"a\":1,\"a\":2}", "duplicate key \"a\""},
        {"{\"a\":1,\"\\u0061\":2}", "duplicate key \"a\""},
        {"[{\"x\":{\"k\":1,\"k\":1}}]", "duplicate key \"k\""},
        {"// no\n1", "unexpected character"},
        {"'a'", "unexpected character"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct infomask_error err = {0};
        if (parse(bad[i].text, strlen(bad[i].text), &err) != INFOMASK_BAD_DATA || strstr(err.text, bad[i].reason) == NULL)
            fail_msg("%s: \"%s\", not \"%s\"", bad[i].text, err.text, bad[i].reason);
    }
}

static void a_nul_ends_nothing(void **state)
{
    struct infomask_error err = {0};
    (void)state;
    assert_int_equal(parse("1\0", 2, &err), INFOMASK_BAD_DATA);
    assert_int_equal(parse("\"a\0b\"", 5, &err), INFOMASK_BAD_DATA);
    assert_int_equal(parse("[1]]]", 3, &err), INFOMASK_OK);
}

static void limits_are_kept(void **state)
{
    struct json_limits limits = {.max_depth = 3, .max_values = 5};
    struct infomask_error err = {0};
    struct json *root = NULL;
    char deep[2000];
    (void)state;
    assert_int_equal(json_parse("[[[1]]]", 7, &limits, &root, &err), INFOMASK_OK);
    json_free(root);
    root = NULL;
    assert_int_equal(json_parse("[[[[1]]]]", 9, &limits, &root, &err), INFOMASK_BAD_DATA);
    assert_non_null(strstr(err.text, "inside each other"));
    assert_int_equal(json_parse("[1,2,3,4]", 9, &limits, &root, &err), INFOMASK_OK);
    json_free(root);
    root = NULL;
    assert_int_equal(json_parse("[1,2,3,4,5]", 11, &limits, &root, &err), INFOMASK_BAD_DATA);
    assert_non_null(strstr(err.text, "values, the most"));
    limits.max_depth = 1000000;
    memset(deep, '[', sizeof deep);
    assert_int_equal(json_parse(deep, sizeof deep, NULL, &root, &err), INFOMASK_BAD_DATA);
    limits.max_values = sizeof deep;
    assert_int_equal(json_parse(deep, sizeof deep, &limits, &root, &err), INFOMASK_BAD_DATA);
    assert_non_null(strstr(err.text, "inside each other"));
}

/* n keys, of which the first and the last are the same when `twice` */
static enum infomask_status parse_keys(int n, bool twice)
{
    size_t size = 0, room = (size_t)n * 24 + 8;
    char *text = malloc(room);
    enum infomask_status status;
    text[size++] = '{';
    for (int i = 0; i < n; i++)
        size += (size_t)snprintf(text + size, room - size, "%s\"key%d\":1", i > 0 ? "," : "",
                                 twice && i == n - 1 ? 0 : i);
    text[size++] = '}';
    status = parse(text, size, NULL);
    free(text);
    return status;
}

static void duplicates_are_found_among_many(void **state)
{
    (void)state;
    for (int n = 2; n < 40; n++) {
        assert_int_equal(parse_keys(n, false), INFOMASK_OK);
        assert_int_equal(parse_keys(n, true), INFOMASK_BAD_DATA);
    }
    assert_int_equal(parse_keys(20000, true), INFOMASK_BAD_DATA);
}

static void values_are_read_by_kind(void **state)
{
    static const char text[] = "{\"n\":2.5,\"i\":-9007199254740992,\"s\":\"a\\u00e9\",\"b\":true,\"z\":null,\"l\":[1,\"x\",[]]}";
    struct json *root = NULL;
    const struct json *list;
    double number = -1;
    int64_t integer = -1;
    bool truth = false;
    (void)state;
    assert_int_equal(json_parse(text, sizeof text - 1, NULL, &root, NULL), INFOMASK_OK);
    assert_int_equal(json_kind(root), JSON_OBJECT);
    assert_true(json_number(json_get(root, "n"), &number) && fabs(number - 2.5) <= 0);
    assert_false(json_integer(json_get(root, "n"), &integer));
    assert_true(json_integer(json_get(root, "i"), &integer) && integer == -9007199254740992);
    assert_string_equal(json_string(json_get(root, "s")), "a\xC3\xA9");
    assert_null(json_string(json_get(root, "n")));
    assert_true(json_bool(json_get(root, "b"), &truth) && truth);
    assert_false(json_bool(json_get(root, "z"), &truth));
    assert_int_equal(json_kind(json_get(root, "z")), JSON_NULL);
    assert_null(json_get(root, "N")); /* exact bytes */
    list = json_get(root, "l");
    assert_int_equal(json_count(list), 3);
    assert_null(json_get(list, "l"));
    assert_null(json_key(json_first(list)));
    assert_string_equal(json_key(json_first(root)), "n");
    assert_int_equal(json_kind(json_next(json_next(json_first(list)))), JSON_ARRAY);
    assert_false(json_number(NULL, &number));
    assert_string_equal(json_kind_name(JSON_OBJECT), "an object");
    json_free(root);
    json_free(NULL);
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Each line of the file is read by itself, in a document beside strings that hold digits, and in an array apart. */
static void long_numbers_are_those_of_python(void **state)
{
    static char line[4096], text[5000];
    FILE *file = fopen("tests/data/json/numbers.txt", "r");
    int count = 0;
    (void)state;
    assert_non_null(file);
    for (; fgets(line, sizeof line, file) != NULL; count++) {
        const int64_t shape[1] = {2};
        struct infomask_error err = {0};
        struct json_numbers apart;
        struct json *root = NULL;
        double expected = from_bits(strtoull(line, NULL, 16)), value = -1;
        float pair[2];
        const char *number = line + 17;
        line[strcspn(line, "\n")] = '\0';
        assert_true(strlen(number) > 63);
        value = json_double_read(number, strlen(number));
        assert_memory_equal(&value, &expected, sizeof value);
        int size = snprintf(text, sizeof text, "{\"%.70s\\\"\":[%s,\"\\\\\"],\"apart\":[1,%s]}", number, number,
                            number);
        if (json_parse_apart(text, (size_t)size, NULL, "apart", &root, &apart, &err) != INFOMASK_OK)
            fail_msg("%s: %s", number, err.text);
        assert_true(strncmp(json_key(json_first(root)), number, 63) == 0);
        assert_true(json_number(json_first(json_first(root)), &value));
        assert_memory_equal(&value, &expected, sizeof value);
        assert_string_equal(json_string(json_next(json_first(json_first(root)))), "\\");
        assert_true(json_numbers_read(&apart, shape, 1, pair, 2));
        assert_true(fabs(pair[1] - (float)expected) <= 0 || isinf((float)expected));
        json_free(root);
    }
    (void)fclose(file);
    assert_true(count > 50);
}

/* As long as a document may be: against the C library on the whole text. */
static void numbers_have_no_longest(void **state)
{
    enum { ZEROS = 100000 };
    char *text = malloc(ZEROS + 32);
    const char *const ends[] = {"e-99999", "1e-100000", ".5e-100323", "e-100500"};
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct json *root = NULL;
        double value = -1;
        text[0] = '7';
        memset(text + 1, '0', ZEROS);
        (void)strcpy(text + 1 + ZEROS, ends[i]);
        assert_int_equal(json_parse(text, strlen(text), NULL, &root, NULL), INFOMASK_OK);
        assert_true(json_number(root, &value));
        assert_true(value >= strtod(text, NULL) && value <= strtod(text, NULL));
        json_free(root);
    }
    (void)strcpy(text + 1 + ZEROS, "e-99600");
    assert_int_equal(parse(text, strlen(text), NULL), INFOMASK_BAD_DATA);
    free(text);
}

static char *written(struct json_writer *writer)
{
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(json_writer_take(writer, &text, &size, NULL), INFOMASK_OK);
    assert_int_equal(strlen(text), size);
    return text;
}

static void write_sample(struct json_writer *writer)
{
    json_object_open(writer, NULL);
    json_put_string(writer, "s", "q\"\\\n\x01\xC3\xA9\xFFz\x7F");
    json_put_double(writer, "d", 0.1);
    json_array_open(writer, "rows");
    json_array_open(writer, NULL);
    json_put_int(writer, NULL, INT64_MIN);
    json_put_int(writer, NULL, 0);
    json_put_uint(writer, NULL, UINT64_MAX);
    json_array_close(writer);
    json_array_open(writer, NULL);
    json_array_close(writer);
    json_array_close(writer);
    json_put_bool(writer, "b", false);
    json_put_string(writer, "nothing", NULL);
    json_put_double_or_null(writer, "nan", NAN);
    json_put_base64(writer, "p", "\x00\xFFpad", 5);
    json_object_open(writer, "empty");
    json_object_close(writer);
    json_object_close(writer);
}

static void writes_one_line_or_indented(void **state)
{
    struct json_writer writer;
    char *text;
    (void)state;
    json_writer_init(&writer, 0);
    write_sample(&writer);
    text = written(&writer);
    assert_string_equal(text, "{\"s\":\"q\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBDz\x7F\",\"d\":0.1,\"rows\":[[-9223372036854775808,0,"
                              "18446744073709551615],[]],\"b\":false,\"nothing\":null,\"nan\":null,"
                              "\"p\":\"AP9wYWQ=\",\"empty\":{}}\n");
    assert_int_equal(parse(text, strlen(text), NULL), INFOMASK_OK);
    free(text);
    json_writer_init(&writer, 2);
    write_sample(&writer);
    text = written(&writer);
    assert_non_null(strstr(text, "{\n  \"s\": "));
    assert_non_null(strstr(text, "  \"rows\": [\n    [-9223372036854775808, 0, 18446744073709551615],\n    []\n  ],\n"));
    assert_int_equal(parse(text, strlen(text), NULL), INFOMASK_OK);
    free(text);
}

static void base64_of_every_length(void **state)
{
    static const char *const expected[] = {"\"\"\n", "\"Zg==\"\n", "\"Zm8=\"\n", "\"Zm9v\"\n", "\"Zm9vYg==\"\n",
                                           "\"Zm9vYmE=\"\n", "\"Zm9vYmFy\"\n"};
    (void)state;
    for (size_t n = 0; n <= 6; n++) { /* RFC 4648 section 10 */
        struct json_writer writer;
        char *text;
        json_writer_init(&writer, 0);
        json_put_base64(&writer, NULL, "foobar", n);
        text = written(&writer);
        assert_string_equal(text, expected[n]);
        free(text);
    }
}

static void a_number_that_is_not_finite_fails_the_writer(void **state)
{
    const double values[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct json_writer writer;
        struct infomask_error err = {0};
        char *text = NULL;
        size_t size;
        json_writer_init(&writer, 0);
        json_array_open(&writer, NULL);
        json_put_double(&writer, NULL, values[i]);
        json_put_double(&writer, NULL, 1);
        json_array_close(&writer);
        assert_int_equal(json_writer_take(&writer, &text, &size, &err), INFOMASK_INTERNAL);
        assert_null(text);
        assert_non_null(strstr(err.text, "not finite"));
    }
}

static void what_is_left_open_fails_the_writer(void **state)
{
    struct json_writer writer;
    char *text = NULL;
    size_t size;
    (void)state;
    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    assert_int_equal(json_writer_take(&writer, &text, &size, NULL), INFOMASK_INTERNAL);
    json_object_close(&writer);
    assert_int_equal(json_writer_take(&writer, &text, &size, NULL), INFOMASK_INTERNAL);
    assert_null(text);
}

/* one digit fewer reads back as another double (where the digits are those of a fraction, so that all count) */
static void check_shortest(double value)
{
    char text[JSON_DOUBLE_TEXT], shorter[400];
    int length = json_double_text(value, text), digits = 0;
    double back = strtod(text, NULL);

    assert_int_equal((size_t)length, strlen(text));
    assert_memory_equal(&back, &value, sizeof value);
    for (const char *c = text; *c != '\0' && *c != 'e'; c++)
        digits += (*c >= '1' && *c <= '9') || (*c == '0' && digits > 0);
    if (strchr(text, '.') != NULL && digits > 1) {
        (void)snprintf(shorter, sizeof shorter, "%.*g", digits - 1, value);
        back = strtod(shorter, NULL);
        assert_memory_not_equal(&back, &value, sizeof value);
    }
}

/* the text is that of the C library at the fewest digits that read back */
static void check_as_printed(double value)
{
    char text[JSON_DOUBLE_TEXT], printed[JSON_DOUBLE_TEXT];
    int digits = 15;

    do
        (void)snprintf(printed, sizeof printed, "%.*g", digits, value);
    while (digits++ < 17 && (strtod(printed, NULL) < value || strtod(printed, NULL) > value));
    (void)json_double_text(value, text);
    assert_string_equal(text, printed);
}

static void doubles_are_short_and_exact(void **state)
{
    struct random_stream stream = random_stream(7, 0);
    char text[JSON_DOUBLE_TEXT];
    (void)state;
    assert_int_equal(json_double_text(0.1, text), 3);
    assert_string_equal(text, "0.1");
    (void)json_double_text(5e-324, text);
    assert_string_equal(text, "5e-324");
    (void)json_double_text(-1.7976931348623157e308, text);
    assert_string_equal(text, "-1.7976931348623157e+308");
    (void)json_double_text(1000, text);
    assert_string_equal(text, "1000");
    (void)json_double_text(0.1 + 0.2, text);
    assert_string_equal(text, "0.30000000000000004");
    for (int i = -40; i <= 60; i++) /* about powers of two, where doubles become denser, and of ten, where digits are added */
        for (int k = 0; k < 2; k++) {
            double value = k == 0 ? ldexp(1, i) : pow(10, i / 2);
            check_as_printed(nextafter(value, 0));
            check_as_printed(value);
            check_as_printed(nextafter(-value, -INFINITY));
        }
    for (int i = 0; i < 20000; i++) {
        check_as_printed(ldexp(random_unit(&stream), (int)random_u32(&stream) % 64));
        check_as_printed((double)(random_u32(&stream) >> 8) / 256 + 1e8); /* halves between two texts */
        check_as_printed(round(1e6 * random_unit(&stream)) / 1000);
        double value = from_bits((uint64_t)random_u32(&stream) << 32 | random_u32(&stream));
        if (isfinite(value))
            check_shortest(value);
        check_shortest(random_unit(&stream));
    }
}

static void a_tree_is_copied(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\\\"x\",\"d\":[true,[]]}";
    struct json_writer writer;
    struct json *root = NULL;
    char *copy;
    (void)state;
    assert_int_equal(json_parse(text, sizeof text - 1, NULL, &root, NULL), INFOMASK_OK);
    json_writer_init(&writer, 0);
    json_put_node(&writer, NULL, root);
    copy = written(&writer);
    assert_memory_equal(copy, text, sizeof text - 1);
    free(copy);
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_standard_has), cmocka_unit_test(refuses_what_others_let_through),
        cmocka_unit_test(refuses_with_a_reason),
        cmocka_unit_test(a_nul_ends_nothing),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(duplicates_are_found_among_many),
        cmocka_unit_test(values_are_read_by_kind),
        cmocka_unit_test(long_numbers_are_those_of_python),
        cmocka_unit_test(numbers_have_no_longest),
        cmocka_unit_test(writes_one_line_or_indented),
        cmocka_unit_test(base64_of_every_length),
        cmocka_unit_test(a_number_that_is_not_finite_fails_the_writer),
        cmocka_unit_test(what_is_left_open_fails_the_writer),
        cmocka_unit_test(doubles_are_short_and_exact),
        cmocka_unit_test(a_tree_is_copied),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
