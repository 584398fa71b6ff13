#include "test.h"

#include <pthread.h>

#include "app/model/kept.h"

static struct kept *write_number(struct kept_slot *slot, int number)
{
    struct json_writer writer;
    json_writer_init(&writer, 0);
    json_put_int(&writer, NULL, number);
    return kept_write(slot, &writer, NULL);
}

static void the_first_text_stays(void **state)
{
    struct kept_slot slot = {0};
    struct kept *first, *second, *third;
    (void)state;
    assert_null(kept_get(&slot));
    first = write_number(&slot, 1);
    second = write_number(&slot, 2);
    third = kept_get(&slot);
    assert_string_equal(first->data, "1\n");
    assert_int_equal(first->size, 2);
    assert_ptr_equal(second, first);
    assert_ptr_equal(third, first);
    kept_release(first);
    kept_release(second);
    kept_fini(&slot);
    assert_null(kept_get(&slot));
    assert_string_equal(third->data, "1\n"); /* outlives its slot */
    kept_release(third);
    kept_release(NULL);
}

static void what_cannot_be_written_is_not_kept(void **state)
{
    struct kept_slot slot = {0};
    struct json_writer writer;
    struct infomask_error err = {0};
    (void)state;
    json_writer_init(&writer, 0);
    json_array_open(&writer, NULL);
    assert_null(kept_write(&slot, &writer, &err));
    assert_int_equal(err.status, INFOMASK_INTERNAL);
    assert_null(kept_get(&slot));
    kept_release(write_number(&slot, 3));
    assert_non_null(kept_get(&slot));
    kept_release(atomic_load(&slot.kept));
    kept_fini(&slot);
}

static void tags_are_of_the_bytes(void **state)
{
    char one[ENTITY_TAG_SIZE], same[ENTITY_TAG_SIZE], other[ENTITY_TAG_SIZE];
    (void)state;
    entity_tag("abc", 3, one);
    entity_tag("abcd", 3, same);
    entity_tag("abd", 3, other);
    assert_string_equal(one, "\"ba7816bf8f01cfea\""); /* FIPS 180-4's example begins so */
    assert_string_equal(same, one);
    assert_string_not_equal(other, one);
}

static void *write_and_release(void *context)
{
    struct kept_slot *slot = context;
    for (int i = 0; i < 2000; i++) {
        struct kept *kept = kept_get(slot);
        if (kept == NULL)
            kept = write_number(slot, 7);
        if (kept == NULL || strcmp(kept->data, "7\n") != 0)
            return slot;
        kept_release(kept);
    }
    return NULL;
}

static void many_threads_write_one(void **state)
{
    struct kept_slot slot = {0};
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_release, &slot), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(atomic_load(&atomic_load(&slot.kept)->references), 1);
    kept_fini(&slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_text_stays),
        cmocka_unit_test(what_cannot_be_written_is_not_kept),
        cmocka_unit_test(tags_are_of_the_bytes),
        cmocka_unit_test(many_threads_write_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
