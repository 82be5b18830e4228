/* SPDX-License-Identifier: MIT */
/* source_table.c - see source_table.h. */
#include "relayctl/source_table.h"

#include <inttypes.h>
#include <string.h>

#include "relayctl/field.h"
#include "relayctl/human.h"

void source_table_bytes(struct table *t, uint64_t bytes)
{
	char buf[HUMAN_MAX];

	table_cell(t, human_bytes(bytes, buf));
}

void source_table_rate(struct table *t, uint64_t rate)
{
	char buf[HUMAN_MAX];

	table_cell(t, human_rate(rate, buf));
}

uint64_t source_table_lost_packets(const json_t *ledger)
{
	return field_number(ledger, "lost_packets") + field_number(ledger, "lost_packets_at_start");
}

void source_table_lost(struct table *t, const json_t *ledger)
{
	uint64_t lost = field_number(ledger, "lost_events");
	uint64_t packets = source_table_lost_packets(ledger);
	bool more =
		field_number(ledger, "lost_intervals") || field_number(ledger, "datagrams_dropped");
	char buf[HUMAN_MAX], also[HUMAN_MAX];

	if (!field_known(ledger, "lost_events") && !more) {
		table_cell(t, NULL);
		return;
	}
	if (packets)
		table_cellf(t, "%s%s + %s pkt", human_count(lost, buf), more ? "+" : "",
			    human_count(packets, also));
	else
		table_cellf(t, "%s%s", human_count(lost, buf), more ? "+" : "");
	if (lost || packets || more)
		table_mark(t);
}

void source_table_number(struct table *t, const json_t *object, const char *key)
{
	if (field_known(object, key))
		table_cellf(t, "%" PRIu64, field_number(object, key));
	else
		table_cell(t, NULL);
}

void source_table_discarded(struct table *t, const json_t *ledger)
{
	uint64_t bytes = field_sum(ledger, "discarded");

	source_table_bytes(t, bytes);
	if (bytes)
		table_mark(t);
}

void source_table_state(struct table *t, const json_t *source)
{
	const char *state = field_text(source, "state");

	table_cell(t, state);
	if (strcmp(state, "disk-full") == 0 || strcmp(state, "orphan") == 0)
		table_mark(t);
}

const char *source_table_host(const json_t *source)
{
	const char *host = field_text(source, "host");

	return *host ? host : field_text(source, "peer");
}

/* "3m 4s", from the document's own clock. */
static void age_cell(struct table *t, const json_t *document, const json_t *source)
{
	int64_t started = human_time_parse(field_text(source, "started"));
	int64_t now = human_time_parse(field_text(document, "now"));
	char buf[HUMAN_MAX];

	if (!started || now < started)
		table_cell(t, NULL);
	else
		table_cell(t, human_duration((uint64_t)(now - started) / 1000000, buf));
}

int source_table_print(const struct cli *cli, const json_t *document, const char *session)
{
	static const struct table_column columns[] = {
		{"SOURCE", true},     {"SESSION", false}, {"HOST", false}, {"PEER", false},
		{"PROTOCOL", false},  {"STATE", false},   {"AGE", true},   {"STREAMS", true},
		{"STORED", true},     {"RATE", true},     {"LOST", true},  {"DISCARDED", true},
		{"DIRECTORY", false},
	};
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_t *one;
	size_t i;
	int r;

	json_array_foreach (field_of(document, "sources"), i, one) {
		if (session && strcmp(session, field_text(one, "session")) != 0)
			continue;
		table_cellf(t, "%" PRIu64, field_number(one, "number"));
		table_cell(t, field_text(one, "session"));
		table_cell(t, field_text(one, "host"));
		table_cell(t, field_text(one, "peer"));
		table_cellf(t, "%s/%s", field_text(one, "protocol"), field_text(one, "transport"));
		source_table_state(t, one);
		age_cell(t, document, one);
		table_cellf(t, "%" PRIu64, field_number(one, "streams"));
		source_table_bytes(t, field_number(one, "stored"));
		source_table_rate(t, field_number(one, "rate"));
		source_table_lost(t, one);
		source_table_discarded(t, one);
		table_cell(t, field_text(one, "directory"));
	}
	r = table_print(t, cli->out, cli_colour(cli));
	table_free(t);
	return r < 0 ? cli_no_memory(cli) : EXIT_DONE;
}
