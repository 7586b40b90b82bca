/* Expressions by which members subscribe: RE2's, all of the name, in bounded time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "coord/topic_regex.h"
#include "proto/base/clock.h"

static int matches(const char *pattern, const char *name)
{
    char reason[160];
    struct topic_regex *re;
    if (topic_regex_new(slice_from_text(pattern), &re, reason) < 0)
        return -1;
    bool found = topic_regex_matches(re, slice_from_text(name));
    topic_regex_free(re);
    return found;
}

static void the_whole_name_must_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool match;
    } CASES[] = {
        {"foo", "foo", true},
        {"foo", "foo2", false},
        {"foo", "afoo", false},
        {"foo.*", "foo-bar", true},
        {"^foo.*$", "foo", true},
        {"a|ab", "ab", true},
        {"ab|a", "a", true},
        {"foo-[0-9]+", "foo-12", true},
        {"foo-[0-9]+", "foo-", false},
        {"(?i)FOO", "foo", true},
        {"(?P<name>f)(?:o)(?<two>o)", "foo", true},
        {"f{1,2}o{2,}?", "foo", true},
        {"f{", "f{", true},
        {"f{,2}", "f{,2}", true},
        {"\\Qa.b\\E", "a.b", true},
        {"\\Qa.b\\E", "axb", false},
        {"\\Qa.b", "a.b", true},
        {"[[:alpha:]]+", "abc", true},
        {"[[:alpha:]]+", "ab1", false},
        {"[]a]+", "a", true},
        {"[^a-c.]+", "xyz", true},
        {"\\w+\\d\\.x", "ab1.x", true},
        {"\\Afoo\\b\\z", "foo", true},
        {"\\pL+", "foo", true},
        {"\\x66oo", "foo", true},
        {"(a|b|)*", "abab", true},
        {"", "", true},
        {"a*?b+?", "aab", true},
        {".*\\.v[12]", "orders.v2", true},
        {"(a*)*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        if (matches(CASES[i].pattern, CASES[i].name) != CASES[i].match)
            print_message("%s %s\n", CASES[i].pattern, CASES[i].name);
        assert_int_equal(matches(CASES[i].pattern, CASES[i].name), CASES[i].match);
    }
}

static void what_re2_has_not_is_refused(void **state)
{
    (void)state;
    static const char *const WRONG[] = {
        "(",
        ")",
        "[",
        "a**",
        "a++",
        "a+*",
        "a{2}{3}",
        "*a",
        "(*)",
        "(a)\\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(?>a)",
        "(?R)",
        "(?1)",
        "(?(1)a|b)",
        "(?P=n)",
        "(?P>n)",
        "(?#c)a",
        "(?x) a",
        "\\K",
        "\\G",
        "\\Z",
        "\\h",
        "\\R",
        "\\k<n>",
        "\\g1",
        "a{1001}",
        "a{2,1001}",
        "a{3,2}",
        "\\",
        "[a-",
        "[\\b]",
        "[z-a]",
        "(*FAIL)",
        "(?<n>a",
        "[[:wrd:]]",
        "x(?C1)y",
        "(?J)a",
        "\\N",
        "((a{1000}){1000}){1000}",
        "(abc|def){1000}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++) {
        if (matches(WRONG[i], "a") != -1)
            print_message("taken: %s\n", WRONG[i]);
        assert_int_equal(matches(WRONG[i], "a"), -1);
    }
    char large[5000];
    memset(large, 'a', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    assert_int_equal(matches(large, "a"), -1);
}

static void no_expression_takes_for_ever(void **state)
{
    (void)state;
    static const char *const SLOW[] = {"(a*)*b",    "(a|a)*b",          "(a+)+b",
                                       "(a|aa)+b",  "(.*)*(.*)*b",      "(a?){250}a{250}",
                                       "((a*)*)*b", "(x+x+)+y|(a*a*)*c"};
    char name[250];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(SLOW); i++) {
        int64_t began_ms = clock_monotonic_ms();
        assert_int_equal(matches(SLOW[i], name), 0);
        assert_in_range(clock_monotonic_ms() - began_ms, 0, 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_name_must_match),
        cmocka_unit_test(what_re2_has_not_is_refused),
        cmocka_unit_test(no_expression_takes_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
