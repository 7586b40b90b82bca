/*
 * millrace cluster sql: a question to the metadata that a node keeps in metadata.db.
 *
 * It reads the file, while the node runs or after it stopped: the view of that node, as far as it
 * has applied the metadata log. Nothing can be changed through it.
 */
#pragma once

#include <stdio.h>

#include "broker/config.h"

/* Run one SELECT on the node whose log.dirs `c` names and print a header and the rows, separated by
 * tabs. Ids are printed as Kafka prints them. 0, or -errno with a line on standard error. */
int sql_run(const struct config *c, const char *query, FILE *out) MUST_CHECK;
