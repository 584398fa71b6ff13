/* The file of state when memory runs out in the middle of a transaction, and when work fails. */
#include "test.h"

#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "scratch.h"
#include "app/state/store.h"

enum { INSERT, COUNT, STATEMENTS };
static const char *const statements[STATEMENTS] = {"INSERT INTO t VALUES (1)", "SELECT count(*) FROM t"};

static const struct store_options options = {.file = {"CREATE TABLE t (x)", NULL, 1, 1}, .sql = statements,
                                             .count = STATEMENTS};

/* From here on nobody gets memory from SQLite; false: everybody again. */
static void starve(bool on)
{
    (void)sqlite3_hard_heap_limit64(on ? sqlite3_memory_used() : 0);
}

static enum infomask_status count(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, COUNT, err);
    bool row;

    assert_non_null(statement);
    assert_int_equal(store_step(statement, &row, err), INFOMASK_OK);
    assert_true(row);
    *(int64_t *)context = store_integer(statement, 0);
    return INFOMASK_OK;
}

static int64_t rows(struct store *store)
{
    int64_t found = -1;

    assert_int_equal(store_read(store, INFINITY, count, &found, NULL), INFOMASK_OK);
    return found;
}

enum failing { FINE, FAILS, STARVES };

static enum infomask_status insert(struct store_connection *connection, void *context, struct infomask_error *err)
{
    enum failing how = *(enum failing *)context;

    assert_int_equal(store_run(store_statement(connection, INSERT, err), err), INFOMASK_OK);
    starve(how == STARVES);
    return how == FINE ? INFOMASK_OK : INFOMASK_MEMORY;
}

enum { MANY = 20000 };

static enum infomask_status insert_many(struct store_connection *connection, void *context, struct infomask_error *err)
{
    (void)context;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(store_run(store_statement(connection, INSERT, err), err), INFOMASK_OK);
    return INFOMASK_OK;
}

static void what_fails_is_rolled_back(void **state)
{
    struct store *store;
    struct infomask_error err = {0};
    char *path = file_join(*state, "state");

    assert_int_equal(store_open(path, &options, &store, &err), INFOMASK_OK);
    for (enum failing how = FAILS; how <= STARVES; how++)
        for (int i = 0; i < 2; i++) {
            assert_int_equal(store_write(store, INFINITY, insert, &how, &err), INFOMASK_MEMORY);
            starve(false);
            assert_int_equal(rows(store), 0);
        }
    assert_int_equal(store_write(store, INFINITY, insert, &(enum failing){FINE}, &err), INFOMASK_OK);
    assert_int_equal(rows(store), 1);
    store_close(store);
    free(path);
}

/* Pages that were read stay in memory, up to some megabytes a connection, until nobody asks for a while. */
static void trimmed_connections_keep_no_pages(void **state)
{
    struct store *store;
    struct infomask_error err = {0};
    char *path = file_join(*state, "state");
    int64_t held;

    assert_int_equal(store_open(path, &options, &store, &err), INFOMASK_OK);
    assert_int_equal(store_write(store, INFINITY, insert_many, NULL, &err), INFOMASK_OK);
    assert_int_equal(rows(store), MANY);
    held = sqlite3_memory_used();
    store_trim(store);
    assert_true(held > 8 * MANY && sqlite3_memory_used() < held / 2);
    assert_int_equal(rows(store), MANY);
    store_close(store);
    free(path);
}

static void an_address_without_a_file_is_a_server(void **state)
{
    (void)state;
    assert_true(store_is_server("postgresql://host/name") && store_is_server("postgres://host/name"));
    assert_false(store_is_server("/tmp/postgresql") || store_is_server("estimates.db") || store_is_server(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_fails_is_rolled_back, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(trimmed_connections_keep_no_pages, scratch_make, scratch_remove),
        cmocka_unit_test(an_address_without_a_file_is_a_server),
    };

    /* small blocks too are then asked for */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
