/* The file of state when memory runs out in the middle of a transaction. */
#include "test.h"

#include <stdbool.h>

#include "scratch.h"
#include "app/state/store.h"

enum { INSERT, COUNT, STATEMENTS };
static const char *const statements[STATEMENTS] = {"INSERT INTO t VALUES (1)", "SELECT count(*) FROM t"};

static const struct store_options options = {.schema = "CREATE TABLE t (x)", .version = 1, .sql = statements,
                                             .count = STATEMENTS};

static sqlite3_int64 rows(struct store_connection *connection)
{
    sqlite3_stmt *statement = store_statement(connection, COUNT, NULL);
    sqlite3_int64 found;
    bool row;

    assert_int_equal(store_step(connection, statement, &row, NULL), INFOMASK_OK);
    assert_true(row);
    found = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return found;
}

/* From here on nobody gets memory from SQLite; 0: everybody again. */
static void starve(bool on)
{
    (void)sqlite3_hard_heap_limit64(on ? sqlite3_memory_used() : 0);
}

static void rolled_back_without_memory(void **state)
{
    struct store_connection connection;
    struct infomask_error err = {0};
    char *path = file_join(*state, "state");

    assert_int_equal(store_connect(&connection, path, &options, &err), INFOMASK_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_begin(&connection, &err), INFOMASK_OK);
        assert_int_equal(store_run(&connection, store_statement(&connection, INSERT, &err), &err), INFOMASK_OK);
        starve(true);
        assert_int_equal(store_end(&connection, INFOMASK_MEMORY, &err), INFOMASK_MEMORY);
        assert_true(sqlite3_get_autocommit(connection.db));
        starve(false);
    }
    assert_int_equal(rows(&connection), 0);
    assert_int_equal(store_begin(&connection, &err), INFOMASK_OK);
    assert_int_equal(store_run(&connection, store_statement(&connection, INSERT, &err), &err), INFOMASK_OK);
    assert_int_equal(store_end(&connection, INFOMASK_OK, &err), INFOMASK_OK);
    assert_int_equal(rows(&connection), 1);
    store_disconnect(&connection);
    free(path);
}

/* What another part left open by mistake is not what the next one works in. */
static void begin_heals_what_is_open(void **state)
{
    struct store_connection connection;
    char *path = file_join(*state, "state");

    assert_int_equal(store_connect(&connection, path, &options, NULL), INFOMASK_OK);
    assert_int_equal(store_begin(&connection, NULL), INFOMASK_OK);
    assert_int_equal(store_run(&connection, store_statement(&connection, INSERT, NULL), NULL), INFOMASK_OK);
    assert_int_equal(store_begin(&connection, NULL), INFOMASK_OK);
    assert_int_equal(rows(&connection), 0);
    assert_int_equal(store_end(&connection, INFOMASK_OK, NULL), INFOMASK_OK);
    store_disconnect(&connection);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rolled_back_without_memory, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(begin_heals_what_is_open, scratch_make, scratch_remove),
    };

    /* small blocks too are then asked for */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
