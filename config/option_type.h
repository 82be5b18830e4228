/* SPDX-License-Identifier: MIT */
/*
 * option_type.h - what each type of option accepts: from text, from and to JSON, with its range.
 *
 * Life:   a field holds nothing before a successful read and is freed by option_type_release(); a
 *         zeroed field holds nothing.
 * Thread: any; no state.
 * Errors: -EINVAL with a phrase in `why` ("is larger than 64M"), -ENOMEM without one. The field is
 *         written only on success.
 */
#ifndef TRACERELAY_CONFIG_OPTION_TYPE_H
#define TRACERELAY_CONFIG_OPTION_TYPE_H

#include <jansson.h>

#include "config/option_table.h"

#define OPTION_WHY_MAX 256

/* @field  points into a struct options, at row->at */
int option_type_parse(const struct option_row *row, const char *text, void *field,
		      char why[OPTION_WHY_MAX]);

/* What option_type_to_json() wrote, checked as a text is, but without asking the system. */
int option_type_from_json(const struct option_row *row, const json_t *value, void *field,
			  char why[OPTION_WHY_MAX]);

/* NULL: no memory. */
json_t *option_type_to_json(const struct option_row *row, const void *field);

void option_type_release(const struct option_row *row, void *field);

/* "bytes", "ms", "sources", "" */
const char *option_type_unit(const struct option_row *row);

/* What the row accepts, with its range and an example, to follow "accepted: "; allocated, NULL
 * without memory. */
char *option_type_accepts(const struct option_row *row);

#endif
