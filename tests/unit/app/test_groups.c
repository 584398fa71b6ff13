/* groups.tsv: what is read, what is refused and where, and who is meant by a name. */
#include "test.h"

#include <math.h>

#include "app/model/groups.h"

static const char sound[] = "# kinds\r\n"
                            "pet\tPets|house animal\t@dog,@cat,7\r\n"
                            "dog\tCanis familiaris\t2,0,1\n"
                            "\n"
                            "cat\thouse animal\t4,3\n"
                            "everything\t\t@pet,5,6,2";

static struct groups read_sound(void)
{
    struct groups groups;
    struct infomask_error err;

    if (class_groups_parse(sound, sizeof sound - 1, 8, &groups, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return groups;
}

static void members_are_dissolved(void **state)
{
    static const int pet[] = {0, 1, 2, 3, 4, 7};
    struct groups groups = read_sound();

    (void)state;
    assert_int_equal(groups.count, 4);
    assert_int_equal(groups.sets[0].count, 6);
    assert_memory_equal(groups.sets[0].members, pet, sizeof pet);
    assert_int_equal(groups.sets[3].count, 8);
    /* of class 2, smallest first: dog, pet, everything */
    assert_int_equal(groups.first_of_class[3] - groups.first_of_class[2], 3);
    assert_int_equal(groups.of_class[groups.first_of_class[2]], 1);
    assert_int_equal(groups.of_class[groups.first_of_class[2] + 1], 0);
    assert_int_equal(groups.of_class[groups.first_of_class[2] + 2], 3);
    class_groups_fini(&groups);
}

static void names_win_over_aliases(void **state)
{
    struct groups groups = read_sound();
    struct infomask_error err;
    int group;

    (void)state;
    assert_int_equal(class_groups_find(&groups, "DOG", &group, &err), GROUPS_FOUND);
    assert_int_equal(group, 1);
    assert_int_equal(class_groups_find(&groups, "canis_Familiaris", &group, &err), GROUPS_FOUND);
    assert_int_equal(group, 1);
    assert_int_equal(class_groups_find(&groups, "House Animal", &group, &err), GROUPS_AMBIGUOUS);
    assert_non_null(strstr(err.text, "\"pet\", \"cat\""));
    assert_int_equal(class_groups_find(&groups, "dock", &group, &err), GROUPS_UNKNOWN);
    assert_non_null(strstr(err.text, "\"dog\""));
    class_groups_fini(&groups);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"dog\t\t1\ncat\t2\n", "line 2: must be"},
        {"dog\t\t1\t2\n", "line 1: must be"},
        {"#\ndog\t\t1,8\n", "line 2: the member \"8\""},
        {"dog\t\t1,x\n", "line 1: the member \"x\""},
        {"dog\t\t1,\n", "line 1: the member \"\""},
        {"dog\t\t-1\n", "line 1: the member \"-1\""},
        {"dog\t\t1 2\n", "line 1: the member \"1 2\""},
        {"dog\t\t\n", "line 1: the group \"dog\" has no member"},
        {"dog\t\t@cat\n", "line 1: the member \"@cat\""},
        {"a\t\t@b\nb\t\t1,@c\nc\t\t@a\n", "holds itself"},
        {"a\t\t1,@a\n", "line 1: the group \"a\" holds itself"},
        {"big dog\t\t1\ncat\t\t2\nBig_Dog\t\t3\n", "line 3: the name \"Big_Dog\" was already given in line 1"},
        {"\t\t1\n", "line 1: a name"},
        {"dog\ta||b\t1\n", "line 1: a name"},
        {"d\xFFg\t\t1\n", "line 1: a name must be UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct groups groups;
        struct infomask_error err;
        assert_int_equal(class_groups_parse(bad[i].text, strlen(bad[i].text), 8, &groups, &err), INFOMASK_BAD_MODEL);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void nesting_has_an_end(void **state)
{
    char *text = calloc(1, 1 << 20);
    size_t used = 0;
    struct groups groups;
    struct infomask_error err;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < 5000; i++)
        used += (size_t)sprintf(text + used, "g%d\t\t1,@g%d\n", i, i + 1);
    used += (size_t)sprintf(text + used, "g5000\t\t1\n");
    assert_int_equal(class_groups_parse(text, used, 8, &groups, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "deep"));
    free(text);
}

static void surely_is_the_smallest_that_is_likely(void **state)
{
    struct groups groups = read_sound();
    double log_p[8], p;
    struct infomask_classification c = {.classes = 8, .log_probability = log_p};

    (void)state;
    for (int k = 0; k < 8; k++)
        log_p[k] = log(k == 0 ? .3 : k == 1 ? .22 : k == 5 ? .2 : .056);
    assert_int_equal(class_groups_surely(&groups, &c, &p), 1);
    assert_true(fabs(p - .576) < 1e-9);
    log_p[0] = log(.1), log_p[5] = log(.4);
    assert_int_equal(class_groups_surely(&groups, &c, &p), 0);
    log_p[7] = log(1e-3), log_p[5] = log(.5);
    assert_int_equal(class_groups_surely(&groups, &c, &p), 3);
    class_groups_fini(&groups);
    assert_int_equal(class_groups_surely(&groups, &c, &p), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_dissolved),
        cmocka_unit_test(names_win_over_aliases),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(surely_is_the_smallest_that_is_likely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
