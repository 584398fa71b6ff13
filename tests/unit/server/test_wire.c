/* The scanner of requests' bytes: what it refuses, wherever the bytes are cut. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/wire.h"

#define HEAD "POST /v1/classify HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
#define TEXT(text) text, sizeof text - 1

struct stream {
    const char *bytes;
    size_t size, fine; /* how many are fine */
};

static const struct stream good[] = {
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0},
    {TEXT("\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 0},
    {TEXT(HEAD "Content-Length: 3\r\n\r\n\0\n\rGET / HTTP/1.1\r\n\r\n"), 0},
    {TEXT(HEAD "content-length:\t3\r\nX: y\r\n\r\n\n\n\nGET / HTTP/1.1\r\n\r\n"), 0},
    {TEXT(HEAD "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\n\0\n\r\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 0},
};

#define AT(before, after) TEXT(before after), sizeof before - 1
static const struct stream bad[] = {
    {AT("GET /", "\0 HTTP/1.1\r\n\r\n")},
    {AT("GET ", " / HTTP/1.1\r\n\r\n")},
    {AT("", " GET / HTTP/1.1\r\n\r\n")},
    {AT("GET / HTTP/1.1", "\nHost: a\r\n\r\n")},
    {AT("GET / HTTP/1.1\r\nHost: a\r\n", "\n")},
    {AT("GET / HTTP/1.1\r\nHost: a\r", "b\r\n\r\n")},
    {AT("GET / HTTP/1.1\r\nHost: a", "\0\r\n\r\n")},
    {AT("GET / HTTP/1.1\r\n", ": a\r\n\r\n")},
    {AT("GET / HTTP/1.1\r\nHost: a\r\n folded", "\r\n\r\n")},
    {AT("hello", "\r\n\r\n")},
    {AT("GET /", "\r\n\r\n")},
    {AT("GET / ", " HTTP/1.1\r\n\r\n")},
    {AT("GET / ", "http/1.1\r\n\r\n")},
    {AT("GET / HTTP/", "2.0\r\n\r\n")},
    {AT("GET / HTTP/1.", "2\r\n\r\n")},
    {AT("GET / HTTP/1.", "\r\n\r\n")},
    {AT("GET / HTTP/1.1", " \r\n\r\n")},
    {AT(HEAD "Content-Length: 3", ", 3\r\n\r\n")},
    {AT(HEAD "Content-Length: 3", " 3\r\n\r\n")},
    {AT(HEAD "Content-Length: ", "\r\n\r\n")},
    {AT(HEAD "Content-Length: ", "-1\r\n\r\n")},
    {AT(HEAD "Content-Length: 18446744073709551609", "9\r\n\r\n")},
    {AT("", "\n")},
    {AT(HEAD "Content-Length: 3\r\n\r\n\0\0\0", "\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n3", "\nabc\r\n0\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n", "\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n3", " \r\nabc\r\n0\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc", "\n0\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc", "d\r\n0\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n3;", "\0\r\nabc\r\n0\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y", "\n\r\n")},
    {AT(CHUNKED "0\r\nX", " : y\r\n\r\n")},
    {AT(CHUNKED "0\r\n", " folded\r\n\r\n")},
    {AT(CHUNKED "0\r\nX", "\r\n\r\n")},
    {AT(CHUNKED "0\r\n", ": y\r\n\r\n")},
    {AT(CHUNKED "0\r\nContent-length", ": 5\r\n\r\n")},
    {AT(CHUNKED "0\r\nX: y\r\nTRANSFER-ENCODING", ":\r\n\r\n")},
    {AT(HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff", "ff\r\n")},
};

/* How many bytes are fine when they come in two pieces. */
static size_t fine_of(const struct stream *stream, size_t cut, struct wire *wire)
{
    size_t fine;

    *wire = (struct wire){0};
    fine = wire_scan(wire, stream->bytes, cut);
    if (fine == cut && wire->fault == NULL)
        fine += wire_scan(wire, stream->bytes + cut, stream->size - cut);
    return fine;
}

static void whole_requests_pass(void **state)
{
    struct wire wire;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (size_t cut = 0; cut <= good[i].size; cut++) {
            assert_int_equal(fine_of(&good[i], cut, &wire), good[i].size);
            assert_null(wire.fault);
            assert_true(wire.state == WIRE_METHOD && !wire.cr);
        }
}

static void faults_are_seen_wherever_the_bytes_are_cut(void **state)
{
    struct wire wire;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t cut = 0; cut <= bad[i].size; cut++) {
            assert_int_equal(fine_of(&bad[i], cut, &wire), bad[i].fine);
            assert_non_null(wire.fault);
        }
}

static void cookies_are_counted(void **state)
{
    char text[8000] = "GET / HTTP/1.1\r\nCookie: a";
    struct wire wire = {0};
    size_t size = strlen(text);

    (void)state;
    for (int i = 0; i < WIRE_MAX_COOKIES - 1; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, ";b");
    assert_int_equal(wire_scan(&wire, text, size), size);
    assert_null(wire.fault);
    assert_int_equal(wire_scan(&wire, ";", 1), 0);
    assert_non_null(wire.fault);
}

/* What fits of a head whose lines repeat `line` until it is refused. */
static size_t fits(const char *line)
{
    struct wire wire = {0};
    size_t size = strlen(line), fine = wire_scan(&wire, TEXT("GET / HTTP/1.1\r\n")), step;

    while ((step = wire_scan(&wire, line, size)) == size)
        fine += size;
    assert_true(wire.fault != NULL && wire.state < WIRE_BODY && *wire_ending(&wire) != '\0');
    return fine + step;
}

static void heads_are_bounded_by_what_the_library_holds(void **state)
{
    char text[2 * WIRE_MAX_HEAD] = "X: ";
    struct wire wire = {0};

    (void)state;
    memset(text + 3, 'a', sizeof text - 4);
    assert_in_range(fits(text), WIRE_MAX_HEAD - 100, WIRE_MAX_HEAD);
    assert_in_range(fits("X: y\r\n"), WIRE_MAX_HEAD * 6 / 70 - 70, WIRE_MAX_HEAD * 6 / 70 + 70);
    memcpy(text, "Cookie: ", 8);
    assert_in_range(fits(text), WIRE_MAX_HEAD / 2 - 100, WIRE_MAX_HEAD / 2);
    /* each request has its own, and chunks' lines are none of a head */
    for (int i = 0; i < WIRE_MAX_HEAD / 10; i++)
        assert_int_equal(wire_scan(&wire, TEXT("GET / HTTP/1.1\r\n\r\n")), 18);
    assert_int_equal(wire_scan(&wire, TEXT(HEAD "Transfer-Encoding: chunked\r\n\r\n")), 67);
    for (int i = 0; i < WIRE_MAX_HEAD; i++)
        assert_int_equal(wire_scan(&wire, TEXT("1\r\na\r\n")), 6);
    assert_int_equal(wire_scan(&wire, TEXT("0\r\n")), 3);
    while (wire.fault == NULL)
        (void)wire_scan(&wire, TEXT("X: y\r\n"));
    assert_in_range(wire.head, WIRE_MAX_HEAD, WIRE_MAX_HEAD + 65);
}

static void lines_of_chunks_are_bounded(void **state)
{
    static const char *const beginnings[] = {"3;", "0"};
    char line[WIRE_MAX_CHUNK_LINE];

    (void)state;
    memset(line, '0', sizeof line);
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(beginnings[i]), room = sizeof line - size;
        struct wire wire = {0};
        for (int chunk = 0; chunk < 3; chunk++) { /* each line has its own */
            const char *before = chunk == 0 ? HEAD "Transfer-Encoding: chunked\r\n\r\n" : "3\r\nabc\r\n";
            assert_int_equal(wire_scan(&wire, before, strlen(before)), strlen(before));
        }
        assert_int_equal(wire_scan(&wire, beginnings[i], size), size);
        assert_int_equal(wire_scan(&wire, line, sizeof line), room);
        assert_non_null(wire.fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests_pass),
        cmocka_unit_test(faults_are_seen_wherever_the_bytes_are_cut),
        cmocka_unit_test(cookies_are_counted),
        cmocka_unit_test(heads_are_bounded_by_what_the_library_holds),
        cmocka_unit_test(lines_of_chunks_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
