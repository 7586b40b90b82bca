/*
 * millrace cluster sql: a question to the metadata that a node keeps in metadata.db.
 *
 * It reads the file, while the node runs or after it stopped: the view of that node, as far as it
 * has applied the metadata log. Nothing can be changed through it.
 */
#pragma once

#include <stdio.h>

#include "proto/base/check.h"

/* Run one SELECT on the database of the node with this quorum folder and print a header and the
 * rows, separated by tabs. Ids are printed as Kafka prints them. 0, or -errno with a line on
 * standard error. Any thread. */
int sql_run(const char *quorum_dir, const char *query, FILE *out) MUST_CHECK;
