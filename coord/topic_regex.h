/*
 * The regular expressions by which members subscribe (KIP-848): those of RE2, matched against a
 * whole topic name, in time that grows with the name and the expression only.
 *
 * PCRE2 knows more than RE2: what RE2 has not (back references, looking around, recursion, …) is
 * refused before. Octal numbers (\123) and \C are refused as well, which RE2 has.
 */
#pragma once

#include "proto/base/check.h"
#include "proto/base/slice.h"

struct topic_regex;

/* 0 and an owned *out, or -EINVAL with what is wrong in reason. */
int topic_regex_new(struct slice pattern, struct topic_regex **out, char reason[160]) MUST_CHECK;
void topic_regex_free(struct topic_regex *re); /* NULL is fine */
bool topic_regex_matches(const struct topic_regex *re, struct slice name);
