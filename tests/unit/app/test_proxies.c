/* Whose word counts on who asks. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "app/host/proxies.h"
#include "app/host/sockets.h"

static struct proxies *made(const char *list)
{
    struct proxies *proxies;

    assert_int_equal(proxies_read(&proxies, list, NULL), INFOMASK_OK);
    return proxies;
}

static bool has(const char *list, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr local = {.sa_family = AF_UNIX};
    struct proxies *proxies = made(list);
    bool answer;

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        answer = proxies_has(proxies, (void *)&v4);
    else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
        answer = proxies_has(proxies, (void *)&v6);
    else
        answer = proxies_has(proxies, &local);
    proxies_free(proxies);
    return answer;
}

static void ranges_hold_what_they_say(void **state)
{
    (void)state;
    assert_true(has("127.0.0.1", "127.0.0.1"));
    assert_false(has("127.0.0.1", "127.0.0.2"));
    assert_true(has("127.0.0.1", "::ffff:127.0.0.1"));
    assert_true(has("10.0.0.0/8", "10.255.0.3"));
    assert_false(has("10.0.0.0/8", "11.0.0.3"));
    assert_true(has("192.168.4.0/22", "192.168.7.255"));
    assert_false(has("192.168.4.0/22", "192.168.8.0"));
    assert_true(has("0.0.0.0/0", "203.0.113.9"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
    assert_true(has("::/0", "203.0.113.9"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("10.0.0.1, unix ::1", "local"));
    assert_true(has("10.0.0.1, unix ::1", "::1"));
    assert_false(has("10.0.0.1, ::1", "local"));
    assert_false(has("", "127.0.0.1"));
    assert_false(has(" , ", "local"));
}

static void what_is_no_address_is_named(void **state)
{
    static const char *const bad[] = {"proxy.example", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0",
                                      "::/129", "[::1]", "10.0.0.1:80", "*", "unix:/run/x", "10.0.0.1/8/8",
                                      "1111111111111111111111111111111111111111111111111111111111111111111111111111"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct infomask_error err;
        struct proxies *proxies;
        char list[160];
        (void)snprintf(list, sizeof list, "10.0.0.1,%s", bad[i]);
        assert_int_equal(proxies_read(&proxies, list, &err), INFOMASK_ARGUMENT);
        assert_null(proxies);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

/* Of two values, either NULL; "" for nobody. */
static void assert_client(const char *first, const char *second, const char *expected)
{
    struct proxies *proxies = made("127.0.0.1, 10.0.0.0/8, fd00::/8");
    const char *const fields[] = {first, second};
    struct sockaddr_storage client;
    char text[64] = "";

    if (proxies_client(proxies, fields, second == NULL ? 1 : 2, &client))
        socket_peer_text((void *)&client, text, sizeof text);
    proxies_free(proxies);
    assert_string_equal(text, expected);
}

static void who_asks_is_read_from_the_end(void **state)
{
    (void)state;
    assert_client("203.0.113.9", NULL, "203.0.113.9");
    assert_client("1.1.1.1, 203.0.113.9", NULL, "203.0.113.9"); /* the client's own words stand before */
    assert_client("1.1.1.1, 203.0.113.9, 10.2.3.4", NULL, "203.0.113.9");
    assert_client("1.1.1.1,203.0.113.9 ,\t10.2.3.4,", NULL, "203.0.113.9");
    assert_client("1.1.1.1", "203.0.113.9", "203.0.113.9");
    assert_client("203.0.113.9", "10.1.1.1", "203.0.113.9");
    assert_client("203.0.113.9:4711", NULL, "203.0.113.9");
    assert_client("[2001:db8::9]:4711", NULL, "2001:db8::9");
    assert_client("[2001:db8::9]", NULL, "2001:db8::9");
    assert_client("2001:db8::9", NULL, "2001:db8::9");
    assert_client("::ffff:203.0.113.9", NULL, "203.0.113.9");
    assert_client("10.0.0.7, fd00::1", NULL, "10.0.0.7"); /* one of our own asks */
    assert_client("unknown, 10.0.0.7", NULL, "10.0.0.7");
    assert_client("1.1.1.1, unknown", NULL, "");
    assert_client("1.1.1.1, 203.0.113.9:x", NULL, "");
    assert_client("1.1.1.1, [203.0.113.9]", NULL, "");
    assert_client("1.1.1.1, [2001:db8::9]x", NULL, "");
    assert_client("1.1.1.1, fe80::1%eth0", NULL, "");
    assert_client("", NULL, "");
    assert_client(" , ,", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_what_they_say),
        cmocka_unit_test(what_is_no_address_is_named),
        cmocka_unit_test(who_asks_is_read_from_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
