/* SPDX-License-Identifier: MIT */
/* option_table.c - the rows agree with themselves and with design.md section 7. */
#include "config/option_table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_type.h"
#include "tests/unit/options_rig.h"

/* What users were promised; a row more is no mistake, a row less or another default is. */
Test(option_table, promised_options_and_defaults)
{
	static const char *const promised[][2] = {
		{"run.dir", NULL},
		{"run.user", NULL},
		{"output.dir", NULL},
		{"trace-cmd.listen", "0.0.0.0:12345, [::]:12345"},
		{"trace-cmd.stream-ports", "30000-34095"},
		{"trace-cmd.udp-linger", "1s"},
		{"lttng.control", "0.0.0.0:5342, [::]:5342"},
		{"lttng.data", "0.0.0.0:5343, [::]:5343"},
		{"lttng.live", "127.0.0.1:5344, [::1]:5344"},
		{"lttng.protocol", "2.13"},
		{"lttng.group", "host"},
		{"lttng.allow-clear", "yes"},
		{"lttng.max-stall", "1s"},
		{"lttng.open-files", "16384"},
		{"lttng.metadata-wait", "1M"},
		{"lttng.anonymous-sockets", "64"},
		{"relayd.workers", NULL},
		{"limits.handshake-timeout", "10s"},
		{"limits.metadata-timeout", "60s"},
		{"limits.keep-alive", "60s/10s/6"},
		{"limits.stall-timeout", "60s"},
		{"limits.metadata", "64M"},
		{"limits.message", "1M"},
		{"limits.sources", "65536"},
		{"limits.streams-per-peer", "4096"},
		{"log.level", "info"},
		{"log.target", NULL},
	};

	for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++) {
		const struct option_row *row = option_row_find(promised[i][0]);

		cr_assert_not_null(row, "%s", promised[i][0]);
		if (promised[i][1])
			cr_assert_str_eq(row->preset, promised[i][1], "%s", row->name);
		else
			cr_assert_null(row->preset, "%s", row->name);
	}
}

Test(option_table, finding)
{
	const struct option_row *row = option_row_find("trace-cmd.udp-linger");

	cr_assert_not_null(row);
	cr_assert_eq(option_row_section(row), strlen("trace-cmd"));
	cr_assert_str_eq(option_row_key(row), "udp-linger");
	cr_assert_str_eq(option_row_default(row), "1s");
	cr_assert_str_eq(option_row_default(option_row_find("relayd.workers")), "number of CPUs");
	cr_assert_null(option_row_find("udp-linger"));
	cr_assert_null(option_row_find("trace-cmd"));
	cr_assert_null(option_row_find(""));
}

Test(option_table, names)
{
	for (size_t i = 0; i < option_rows_count; i++) {
		const char *name = option_rows[i].name;
		size_t len = option_row_section(&option_rows[i]) + 1;
		bool section_ended = false;

		cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz-."), strlen(name), "%s",
			     name);
		cr_assert_null(strchr(strchr(name, '.') + 1, '.'), "%s", name);
		cr_assert_lt(strlen(name), 49, "libinih cuts longer names");
		cr_assert_eq(option_row_find(name), &option_rows[i], "%s is there twice", name);
		/* Rows of a section stand together. */
		for (size_t k = i + 1; k < option_rows_count; k++) {
			bool same = strncmp(option_rows[k].name, name, len) == 0;

			cr_assert_not(same && section_ended, "%s", option_rows[k].name);
			section_ended = section_ended || !same;
		}
	}
}

Test(option_table, rows_are_complete)
{
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];

		cr_assert_not_null(row->help, "%s", row->name);
		cr_assert_eq(row->help[strlen(row->help) - 1], '.', "%s", row->name);
		cr_assert_eq(row->preset == NULL, row->preset_of != NULL, "%s", row->name);
		cr_assert_eq(row->preset == NULL, row->preset_words != NULL, "%s", row->name);
		cr_assert_eq(row->preset == NULL, row->example != NULL, "%s", row->name);
		cr_assert_eq(row->type == OPTION_CHOICE, row->choices != NULL, "%s", row->name);
		cr_assert_eq(row->type == OPTION_COUNT, row->unit != NULL, "%s", row->name);
		if (row->type == OPTION_COUNT)
			cr_assert_leq(row->max, UINT32_MAX, "%s", row->name);
		cr_assert_leq(row->min, row->max, "%s", row->name);
		/* JSON for programs that do not know what a number means is of no use. */
		if (row->type == OPTION_SIZE || row->type == OPTION_DURATION)
			cr_assert_neq(option_type_unit(row)[0], '\0', "%s", row->name);
	}
}

/* Two rows that share a field would free it twice, or lose one. */
Test(option_table, every_row_has_a_field_of_its_own)
{
	for (size_t i = 0; i < option_rows_count; i++)
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(option_rows[i].at, option_rows[k].at, "%s and %s",
				      option_rows[i].name, option_rows[k].name);
}

/* The smallest and the largest value that are said to be accepted are. */
Test(option_table, bounds_are_accepted)
{
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char why[OPTION_WHY_MAX] = "";
		uint64_t field;

		if (row->type != OPTION_COUNT && row->type != OPTION_SIZE &&
		    row->type != OPTION_DURATION)
			continue;
		for (int delta = -1; delta <= 1; delta++) {
			json_t *low = json_integer((json_int_t)row->min + delta);
			json_t *high = json_integer((json_int_t)row->max + delta);

			cr_assert_eq(option_type_from_json(row, low, &field, why) == 0, delta >= 0,
				     "%s: %s", row->name, why);
			cr_assert_eq(option_type_from_json(row, high, &field, why) == 0, delta <= 0,
				     "%s: %s", row->name, why);
			json_decref(low);
			json_decref(high);
		}
	}
}

Test(option_table, examples_are_accepted)
{
	struct option_env env = rig_root();

	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];
		char set[256];

		snprintf(set, sizeof(set), "%s=%s", row->name,
			 row->preset ? row->preset : row->example);
		options_free(rig_load(&env, NULL, set));
	}
}
