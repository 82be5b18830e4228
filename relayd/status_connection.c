/* SPDX-License-Identifier: MIT */
/* status_connection.c - one element for a conversation's slot; see status_connection.h. */
#include "relayd/status_connection.h"

#include <stdio.h>
#include <string.h>

#include "common/tsan.h"
#include "relayd/conversation.h"
#include "relayd/live_viewer.h"
#include "relayd/lttng_control.h"
#include "relayd/status_lttng.h"
#include "relayd/status_slot.h"
#include "relayd/trace_cmd.h"

/* ---- slots, which sessiond-lite may free and give to another at any moment ---- */

struct conversation_facts {
	int64_t accepted_ms;
	struct addr peer, local;
	uint32_t role;
};

struct source_facts {
	uint64_t number, conversation; /* id */
};

TSAN_READS_RACILY static struct conversation_facts look_at_conversation(
	const volatile struct conversation_slot *s)
{
	return (struct conversation_facts){
		.accepted_ms = s->accepted_ms, .peer = s->peer, .local = s->local, .role = s->role};
}

TSAN_READS_RACILY static struct source_facts look_at_source(const volatile struct source_slot *s)
{
	return (struct source_facts){.number = s->number, .conversation = s->conversation.id};
}

/* The source of a conversation: its number, 0 if it has none (yet, or any longer). A source of
 * trace-cmd has one connection; one of LTTng has several, whose slots say so. */
static uint64_t source_of(const struct state *st, const struct conversation_slot *slot, uint64_t id,
			  uint32_t role, uint32_t *ret_index)
{
	uint32_t n = atomic_load(&slot->source);
	const struct source_slot *source;
	struct source_facts facts;
	uint64_t source_id;

	if (!n || n > st->header->capacity.sources)
		return 0;
	source = &st->source[n - 1];
	source_id = atomic_load(&source->id);
	facts = look_at_source(source);
	if (!source_id || !status_slot_is_still(&source->id, source_id) ||
	    (role == CONVERSATION_TRACE_CMD && facts.conversation != id))
		return 0;
	*ret_index = n - 1;
	return facts.number;
}

/* ---- what it speaks, and how far it has got ---- */

struct words {
	char protocol[STATUS_PROTOCOL_MAX];
	const char *role, *state;
	/* The worker that reads a data connection counts its streams' bytes, and keeps no time. */
	bool counted;
};

static void of_trace_cmd(const struct conversation_half *h, struct words *ret)
{
	struct trace_cmd talk;

	memcpy(&talk, h->dialect, sizeof(talk));
	snprintf(ret->protocol, sizeof(ret->protocol), "%s",
		 protocol_name((enum protocol)talk.protocol));
	ret->role = "control";
	ret->state = trace_cmd_state_name((enum trace_cmd_state)talk.state);
}

static void of_control(const struct conversation_half *h, struct words *ret)
{
	static const char *const names[] = {
		[LTTNG_NEW] = "new",         [LTTNG_READY] = "ready", [LTTNG_SESSION] = "session",
		[LTTNG_LEAVING] = "leaving", [LTTNG_ENDED] = "ended",
	};
	struct lttng_control talk;

	memcpy(&talk, h->dialect, sizeof(talk));
	status_lttng_protocol(talk.minor, ret->protocol);
	ret->role = "control";
	ret->state = talk.state < sizeof(names) / sizeof(names[0]) ? names[talk.state] : "unknown";
}

/* @minor  of its source, 0: it has none yet */
static void of_data(const struct conversation_half *h, uint32_t minor, struct words *ret)
{
	static const char *const names[] = {[CTF_DATA_HEADER] = "header",
					    [CTF_DATA_STORE] = "packet",
					    [CTF_DATA_DISCARD] = "discarding"};
	struct ctf_data talk;

	memcpy(&talk, h->dialect, sizeof(talk));
	status_lttng_protocol(minor, ret->protocol);
	ret->role = "data";
	ret->state = !minor                                          ? "new"
		     : talk.phase < sizeof(names) / sizeof(names[0]) ? names[talk.phase]
								     : "unknown";
	ret->counted = !minor;
}

static void of_viewer(const struct conversation_half *h, struct words *ret)
{
	static const char *const names[] = {[LIVE_VIEWER_HELLO] = "new",
					    [LIVE_VIEWER_CONNECTED] = "connected",
					    [LIVE_VIEWER_SESSION] = "session"};
	struct live_viewer talk;

	memcpy(&talk, h->dialect, sizeof(talk));
	if (talk.minor)
		snprintf(ret->protocol, sizeof(ret->protocol), "LTTng live 2.%u", talk.minor);
	else
		snprintf(ret->protocol, sizeof(ret->protocol), "LTTng live");
	ret->role = "viewer";
	ret->state = talk.state < sizeof(names) / sizeof(names[0]) ? names[talk.state] : "unknown";
}

static void find_words(const struct state *st, const struct conversation_half *h, uint32_t role,
		       const uint32_t *source, struct words *ret)
{
	*ret = (struct words){.counted = true};
	switch (role) {
	case CONVERSATION_LTTNG_CONTROL:
		of_control(h, ret);
		break;
	case CONVERSATION_LTTNG_DATA:
		of_data(h, source ? atomic_load(&st->ctf_source[*source].minor) : 0, ret);
		break;
	case CONVERSATION_LTTNG_LIVE:
		of_viewer(h, ret);
		break;
	default:
		of_trace_cmd(h, ret);
	}
}

/* ---- the element ---- */

static void put_addr(struct json_piece *p, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	json_piece_string(p, key, addr_format(a, text));
}

static void put_number_or_null(struct json_piece *p, const char *key, bool known, uint64_t n)
{
	if (known)
		json_piece_number(p, key, n);
	else
		json_piece_string(p, key, NULL);
}

void status_connection_add(const struct state *st, const struct conversation_slot *slot,
			   int64_t now_ms, struct json_text *list)
{
	uint64_t id = atomic_load(&slot->id), number;
	struct conversation_facts facts;
	struct conversation_half h;
	struct json_piece piece;
	uint32_t source = 0;
	struct words words;
	int64_t last;

	if (!id || atomic_load(&slot->done))
		return;
	facts = look_at_conversation(slot);
	number = source_of(st, slot, id, facts.role, &source);
	conversation_read(slot, &h);
	if (!status_slot_is_still(&slot->id, id))
		return;
	find_words(st, &h, facts.role, number ? &source : NULL, &words);
	last = h.last_byte_ms > facts.accepted_ms ? h.last_byte_ms : facts.accepted_ms;

	piece = json_piece_new();
	json_piece_number(&piece, "id", id);
	put_addr(&piece, "peer", &facts.peer);
	put_addr(&piece, "local", &facts.local);
	json_piece_string(&piece, "protocol", words.protocol);
	json_piece_string(&piece, "role", words.role);
	json_piece_string(&piece, "state", words.state);
	put_number_or_null(&piece, "source", number != 0, number);
	put_number_or_null(&piece, "received", words.counted, conversation_received(&h));
	json_piece_number(&piece, "age_ms", (uint64_t)(now_ms - facts.accepted_ms));
	put_number_or_null(&piece, "silent_ms", words.counted, (uint64_t)(now_ms - last));
	json_text_element(list, &piece);
}
