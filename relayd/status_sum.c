/* SPDX-License-Identifier: MIT */
/* status_sum.c - adding up, and members of a JSON object; see status_sum.h. */
#include "relayd/status_sum.h"

#include "common/discard.h"

void status_sum_add(struct status_sum *to, const struct status_sum *s)
{
	ledger_add(&to->ledger, &s->ledger);
	to->packets += s->packets;
	to->rate += s->rate;
	to->in_chunk += s->in_chunk;
	to->metadata += s->metadata;
	to->sources += s->sources;
	to->streams += s->streams;
	to->open += s->open;
	to->tells |= s->tells;
}

static void put_told(struct json_piece *p, const char *key, const struct status_sum *s,
		     enum status_tells what, uint64_t n)
{
	if (!s->streams || s->tells & what)
		json_piece_number(p, key, n);
	else
		json_piece_string(p, key, NULL);
}

void status_sum_put(struct json_piece *p, const struct status_sum *s)
{
	const struct stream_ledger *l = &s->ledger;
	struct json_piece discarded = json_piece_new();

	json_piece_number(p, "received", l->received);
	json_piece_number(p, "stored", l->stored);
	for (unsigned i = 0; i < DISCARD_COUNT; i++)
		json_piece_number(&discarded, discard_name((enum discard)i), l->discarded[i]);
	p->failed |= discarded.failed;
	json_piece_put(p, "discarded", discarded.json);
	put_told(p, "pages", s, STATUS_TELLS_PAGES, l->pages);
	put_told(p, "packets", s, STATUS_TELLS_PACKETS, s->packets);
	put_told(p, "lost_events", s, STATUS_TELLS_LOST_EVENTS, l->lost_events);
	put_told(p, "lost_packets", s, STATUS_TELLS_LOST_PACKETS, l->lost_packets);
	put_told(p, "lost_packets_at_start", s, STATUS_TELLS_LOST_PACKETS,
		 l->lost_packets_at_start);
	put_told(p, "lost_intervals", s, STATUS_TELLS_INTERVALS,
		 l->lost_intervals > l->marks ? l->lost_intervals - l->marks : 0);
	put_told(p, "marks", s, STATUS_TELLS_INTERVALS, l->marks);
	json_piece_number(p, "datagrams", l->datagrams);
	json_piece_number(p, "datagrams_dropped", l->datagrams_dropped);
	json_piece_number(p, "rate", s->rate);
}
