/*
 * RE2's expressions by PCRE2: a look over the pattern for what RE2 has not, then PCRE2's DFA, which
 * follows all ways at once instead of trying one after the other.
 */
#include "coord/topic_regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_MAX      4096  /* bytes */
#define CODE_MAX         16384 /* bytes, compiled: what one name may cost */
#define REPEAT_MAX       1000  /* RE2's */
#define NEST_MAX         250
#define MATCH_STEPS_MAX  1000000
#define WORKSPACE_MARGIN 8192

struct topic_regex {
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *match;
    int *workspace;
    size_t workspace_count;
};

/* --- What RE2 has not --- */

struct look {
    const uint8_t *at;
    const uint8_t *end;
    bool quantified; /* what was read last cannot be repeated again */
    const char *wrong;
};

static int peek(const struct look *l, size_t ahead)
{
    return l->end - l->at > (ptrdiff_t)ahead ? l->at[ahead] : -1; /* it may stand behind the end */
}

static void look_escape(struct look *l, bool in_class)
{
    int c = peek(l, 1);
    if (c == 'Q' && !in_class) {
        l->at += 2;
        while (l->at < l->end && !(peek(l, 0) == '\\' && peek(l, 1) == 'E'))
            l->at++;
        l->at += 2;
        return;
    }
    bool known = c > 0 && (strchr("dDsSwWafnrtvxpP", c) != NULL || ispunct(c) ||
                           (!in_class && strchr("AbBz", c) != NULL));
    if (!known)
        l->wrong = "invalid escape sequence";
    l->at += c < 0 ? 1 : 2;
}

static void look_class(struct look *l)
{
    l->at++;
    if (peek(l, 0) == '^')
        l->at++;
    if (peek(l, 0) == ']')
        l->at++;
    while (l->at < l->end && peek(l, 0) != ']' && l->wrong == NULL) {
        if (peek(l, 0) == '[' && peek(l, 1) == ':')
            while (l->at < l->end && !(peek(l, 0) == ':' && peek(l, 1) == ']' && l->at[-1] != '['))
                l->at++;
        if (peek(l, 0) == '\\')
            look_escape(l, true);
        else
            l->at += peek(l, 0) == ':' && peek(l, 1) == ']' ? 2 : 1;
    }
    if (peek(l, 0) == ']')
        l->at++;
}

/* Behind "(": groups, their names, and flags. */
static void look_group(struct look *l)
{
    l->at++;
    if (peek(l, 0) == '*')
        l->wrong = "missing argument to repetition operator";
    if (peek(l, 0) != '?')
        return;
    l->at++;
    if (peek(l, 0) == 'P' && peek(l, 1) == '<')
        l->at++;
    if (peek(l, 0) == '<') {
        int c = peek(l, 1);
        if (c < 0 || (!isalnum(c) && c != '_'))
            l->wrong = "invalid or unsupported Perl syntax";
        return;
    }
    while (l->at < l->end && strchr("imsU-", peek(l, 0)) != NULL)
        l->at++;
    if (peek(l, 0) != ':' && peek(l, 0) != ')')
        l->wrong = "invalid or unsupported Perl syntax";
    else
        l->at += peek(l, 0) == ':';
}

/* Bytes of a repetition {n}, {n,} or {n,m}; 0: it is a plain brace. */
static size_t repeat_size(const struct look *l, long *largest)
{
    char text[24] = "";
    size_t size = 0;
    int from = 0, to = -1, used = 0;
    while (size < sizeof(text) - 1 && peek(l, size) > 0) {
        text[size] = (char)peek(l, size);
        if (text[size++] == '}')
            break;
    }
    *largest = 0;
    if (!isdigit(text[1]) || size < 3 || text[size - 1] != '}' ||
        strspn(text + 1, "0123456789,") != size - 2)
        return 0;
    if (sscanf(text, "{%9d,%9d}%n", &from, &to, &used) != 2 || used == 0) {
        used = 0;
        if (sscanf(text, "{%9d}%n", &from, &used) != 1 || used == 0)
            sscanf(text, "{%9d,}%n", &from, &used);
    }
    *largest = MAX(from, to);
    return used > 0 ? size : 0;
}

static void look_repeat(struct look *l)
{
    long largest = 0;
    size_t size = peek(l, 0) == '{' ? repeat_size(l, &largest) : 1;
    if (size == 0) {
        l->at++;
        l->quantified = false;
        return;
    }
    if (l->quantified)
        l->wrong = "invalid nested repetition operator";
    if (peek(l, 0) == '{' && largest > REPEAT_MAX)
        l->wrong = "invalid repetition size";
    l->at += size;
    l->at += peek(l, 0) == '?';
    l->quantified = true;
}

static const char *look_over(struct slice pattern)
{
    struct look l = {.at = pattern.data, .end = pattern.data + pattern.size};
    while (l.at < l.end && l.wrong == NULL) {
        int c = *l.at;
        if (c == '*' || c == '+' || c == '?' || c == '{') {
            look_repeat(&l);
            continue;
        }
        l.quantified = false;
        if (c == '\\')
            look_escape(&l, false);
        else if (c == '[')
            look_class(&l);
        else if (c == '(')
            look_group(&l);
        else
            l.at++;
    }
    return l.wrong;
}

/* --- PCRE2 --- */

static pcre2_code *compile(struct slice pattern, char reason[160])
{
    int error = 0;
    PCRE2_SIZE place = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    CHECK(context != NULL);
    pcre2_set_parens_nest_limit(context, NEST_MAX);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code = pcre2_compile(pattern.data, pattern.size,
                                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                                         PCRE2_NO_AUTO_POSSESS,
                                     &error, &place, context);
    pcre2_compile_context_free(context);
    if (code == NULL)
        pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, 160);
    return code;
}

int topic_regex_new(struct slice pattern, struct topic_regex **out, char reason[160])
{
    *out = NULL;
    const char *wrong =
        pattern.size > PATTERN_MAX ? "the expression is too long" : look_over(pattern);
    if (wrong != NULL) {
        snprintf(reason, 160, "%s", wrong);
        return -EINVAL;
    }
    pcre2_code *code = compile(pattern, reason);
    if (code == NULL)
        return -EINVAL;
    size_t size = 0;
    CHECK(pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size) == 0);
    if (size > CODE_MAX) {
        snprintf(reason, 160, "the expression is too large");
        pcre2_code_free(code);
        return -EINVAL;
    }
    struct topic_regex *re = mem_zalloc(sizeof(*re));
    re->code = code;
    re->context = pcre2_match_context_create(NULL);
    re->match = pcre2_match_data_create(1, NULL);
    CHECK(re->context != NULL && re->match != NULL);
    pcre2_set_match_limit(re->context, MATCH_STEPS_MAX);
    re->workspace_count = 6 * size + WORKSPACE_MARGIN; /* every place of the code, twice */
    re->workspace = mem_alloc(re->workspace_count * sizeof(*re->workspace));
    *out = re;
    return 0;
}

void topic_regex_free(struct topic_regex *re)
{
    if (re == NULL)
        return;
    pcre2_code_free(re->code);
    pcre2_match_context_free(re->context);
    pcre2_match_data_free(re->match);
    free(re->workspace);
    free(re);
}

bool topic_regex_matches(const struct topic_regex *re, struct slice name)
{
    return pcre2_dfa_match(re->code, name.data, name.size, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED,
                           re->match, re->context, re->workspace, re->workspace_count) >= 0;
}
