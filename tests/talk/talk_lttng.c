/* SPDX-License-Identifier: MIT */
/* talk_lttng.c - the lines of a script of LTTng; its language is described in talk.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/talk/talk_lttng_relay.h"

static struct talk_lttng_relay relay;
static struct talk_connection *at; /* the connection that lines are of */
static const struct talk_line *line;
static unsigned minor;

/* What the first replay of this script ordered, connection by connection. */
static struct {
	const char *path;
	unsigned minor, orders[TALK_CONNECTIONS];
	struct talk_ordered order[TALK_CONNECTIONS][TALK_ORDERS];
} first;

/* ---- orders ---- */

static const char *const types[] = {
	[CTF_ORDER_STREAM] = "stream",
	[CTF_ORDER_PUBLISH] = "publish",
	[CTF_ORDER_METADATA] = "metadata",
	[CTF_ORDER_RESET] = "reset",
	[CTF_ORDER_INDEX] = "index",
	[CTF_ORDER_CHUNK] = "chunk",
	[CTF_ORDER_ROTATE] = "rotate",
	[CTF_ORDER_CLOSE_CHUNK] = "close-chunk",
	[CTF_ORDER_CLOSE_STREAM] = "close-stream",
	[CTF_ORDER_LEAVE] = "leave",
};

static void expect_order(void)
{
	char key[64], value[64];
	const char *text = line->text;
	const struct ctf_order *o;

	if (!talk_script_pair(&text, key, value))
		talk_fail("which order?");
	if (!strcmp(key, "nothing")) {
		if (at->seen < at->orders)
			talk_fail("there is another order: %s",
				  types[relay.order[at->ordered[at->seen]].head.type]);
		return;
	}
	if (at->seen == at->orders)
		talk_fail("there is no further order");
	o = &relay.order[at->ordered[at->seen++]].head;
	if (strcmp(types[o->type], key) != 0)
		talk_fail("the order is %s", types[o->type]);
	while (talk_script_pair(&text, key, value)) {
		uint64_t got = 0,
			 want = !strcmp(value, "none") ? CTF_NONE : strtoull(value, NULL, 0);

		if (!strcmp(key, "stream"))
			got = o->stream - 1;
		else if (!strcmp(key, "number"))
			got = o->number;
		else if (!strcmp(key, "value"))
			got = o->value;
		else if (!strcmp(key, "flag"))
			got = o->flag;
		else if (!strcmp(key, "bytes"))
			got = o->bytes;
		else
			talk_fail("an order has no %s", key);
		if (got != want)
			talk_fail("%s is %llu", key, (unsigned long long)got);
	}
}

/* The same as in the first replay: nothing twice, nothing left out, nothing in another order. */
static void compare_orders(void)
{
	for (unsigned i = 0; i < TALK_CONNECTIONS; i++) {
		const struct talk_connection *c = &relay.connection[i];

		if (c->orders != first.orders[i])
			talk_fail("connection %s has ordered %u times, not %u", c->name, c->orders,
				  first.orders[i]);
		for (unsigned k = 0; k < c->orders; k++)
			if (memcmp(&relay.order[c->ordered[k]], &first.order[i][k],
				   sizeof(struct talk_ordered)) != 0)
				talk_fail("order %u of connection %s is another", k, c->name);
	}
}

static void remember_orders(const char *path)
{
	first.path = path;
	first.minor = minor;
	for (unsigned i = 0; i < TALK_CONNECTIONS; i++) {
		const struct talk_connection *c = &relay.connection[i];

		first.orders[i] = c->orders;
		for (unsigned k = 0; k < c->orders; k++)
			first.order[i][k] = relay.order[c->ordered[k]];
	}
}

/* ---- lines ---- */

static void begin(void)
{
	const char *text = line->text;
	char key[64], value[64];

	while (talk_script_pair(&text, key, value)) {
		if (!strcmp(key, "clear"))
			relay.limits.allow_clear = strcmp(value, "no") != 0;
		else if (strcmp(key, "minor") != 0)
			talk_fail("nothing is called %s", key);
	}
	relay.limits.minor = minor;
	at = talk_lttng_connect(&relay, "a");
}

static void limits(void)
{
	const char *text = line->text;
	char key[64], value[64];

	while (talk_script_pair(&text, key, value)) {
		int64_t v = talk_script_quantity(value);

		if (v < 0)
			talk_fail("no quantity: %s", value);
		if (!strcmp(key, "handshake-timeout"))
			relay.limits.handshake_timeout_ms = v;
		else if (!strcmp(key, "stall-timeout"))
			relay.limits.stall_timeout_ms = v;
		else if (!strcmp(key, "message"))
			relay.limits.message_max = (uint64_t)v;
		else
			talk_fail("no limit: %s", key);
	}
	relay.relay.lttng_limits = relay.limits;
}

static void worker(void)
{
	char key[64], value[64], stream[64] = "", seq[64] = "";
	const char *text = line->text;
	struct stream_half *h;

	if (!talk_script_pair(&text, key, value))
		talk_fail("what does the worker do?");
	if (!strcmp(key, "holds")) {
		relay.worker_holds = true;
	} else if (!strcmp(key, "applies")) {
		relay.worker_holds = false;
		talk_lttng_apply(&relay);
	} else if (!strcmp(key, "behind") && talk_script_pair(&text, seq, value)) {
		talk_lttng_fall_behind(&relay, (uint32_t)strtoul(seq, NULL, 0));
	} else if (!strcmp(key, "data") && talk_script_pair(&text, stream, value) &&
		   talk_script_pair(&text, seq, value)) {
		h = stream_begin(&relay.st.stream[strtoul(stream, NULL, 10)]);
		h->ctf.any_data = 1;
		h->ctf.data_seq = strtoull(seq, NULL, 0);
		stream_commit(&relay.st.stream[strtoul(stream, NULL, 10)]);
	} else {
		talk_fail("the worker does not know %s", key);
	}
}

static void expect(void)
{
	const struct conversation_half *h = talk_lttng_half(&relay, at);
	static const char *const states[] = {"new", "ready", "session", "leaving", "ended"};
	const char *text = line->text;
	char key[64], value[64], got[64];
	struct lttng_control s;

	talk_lttng_control(&relay, at, &s);
	while (talk_script_pair(&text, key, value)) {
		uint64_t n = 0;
		const char *word = NULL;

		if (!strcmp(key, "state"))
			word = states[s.state];
		else if (!strcmp(key, "unread"))
			n = conversation_received(h) - h->consumed;
		else if (!strcmp(key, "streams"))
			n = relay.streams;
		else if (!strcmp(key, "sources"))
			n = relay.sources;
		else if (!strcmp(key, "orders"))
			n = relay.orders;
		else if (!strcmp(key, "deadline"))
			n = at->deadline_ms ? (uint64_t)(at->deadline_ms - relay.now_ms) : 0;
		else
			talk_fail("nothing is called %s", key);
		if (!word) {
			snprintf(got, sizeof(got), "%llu", (unsigned long long)n);
			word = got;
		}
		if (strcmp(word, value) != 0)
			talk_fail("%s is %s, not %s", key, word, value);
	}
}

static void closed(void)
{
	uint32_t closing = talk_lttng_half(&relay, at)->closing;
	enum close_reason reason = talk_reason(line->text);

	talk_peer_expect_no_more(&at->peer);
	if (!closing)
		talk_fail("it is open");
	if (closing - 1 != reason)
		talk_fail("closed for %s, not %s",
			  close_reason_name((enum close_reason)(closing - 1)), line->text);
}

static void client_sends(void)
{
	const struct talk_mode *m = relay.fate.mode;
	size_t n = line->len;

	if (m->cut && relay.bytes + n > m->cut_at)
		n = m->cut_at - relay.bytes;
	if (n)
		talk_peer_sends(&at->peer, line->bytes, n);
	relay.bytes += n;
}

/* A client that is cut has nothing to compare with. */
static bool left_out(void)
{
	if (!relay.fate.mode->cut)
		return false;
	return line->verb == TALK_RELAY_SENT || line->verb == TALK_RELAY_SENT_LOOSELY ||
	       line->verb == TALK_RELAY_CLOSED || line->verb == TALK_ORDER ||
	       line->verb == TALK_EXPECT;
}

static void play(const struct talk_line *l)
{
	char key[64], value[64];
	const char *text = l->text;

	line = l;
	if (left_out())
		return;
	switch (l->verb) {
	case TALK_LTTNG:
		begin();
		break;
	case TALK_USE:
		at = talk_lttng_connect(&relay, l->text);
		break;
	case TALK_CONNECT:
		talk_lttng_reconnect(&relay, at);
		break;
	case TALK_LIMITS:
		limits();
		break;
	case TALK_CLIENT_SENDS:
		client_sends();
		break;
	case TALK_CLIENT_EOF:
		at->peer.client_ended = true;
		break;
	case TALK_CLIENT_RESET:
		at->peer.client_reset = true;
		break;
	case TALK_CLIENT_DEAF:
		at->peer.client_deaf = true;
		break;
	case TALK_RELAY_SENT:
	case TALK_RELAY_SENT_LOOSELY:
		talk_peer_expect(&at->peer, relay.fate.mode, l);
		break;
	case TALK_RELAY_CLOSED:
		closed();
		break;
	case TALK_RELAY_CLOSE:
		if (talk_script_pair(&text, key, value))
			talk_lttng_close(&relay, at, talk_reason(key));
		break;
	case TALK_LEASE_GRANT:
		relay.hold = false;
		relay.refuse = 0;
		break;
	case TALK_LEASE_REFUSE:
		relay.refuse = talk_errno(l->text);
		break;
	case TALK_LEASE_HOLD:
		relay.hold = true;
		break;
	case TALK_ADVANCE:
		talk_lttng_advance(&relay, l->value);
		break;
	case TALK_WORKER:
		worker();
		break;
	case TALK_ORDER:
		expect_order();
		break;
	case TALK_EXPECT:
		expect();
		break;
	default:
		talk_fail("a line of trace-cmd");
	}
}

/* ---- the player ---- */

static void start(const struct talk_mode *mode, const struct talk_script *script)
{
	minor = script->minor;
	if (first.path != script->path || first.minor != minor)
		first.path = NULL;
	talk_lttng_start(&relay, mode, minor);
}

static void settle(void)
{
	talk_lttng_settle(&relay);
}

/* All clients end where they are cut: each connection ends, for a reason that is theirs. */
static void end_cut(void)
{
	relay.hold = false;
	relay.worker_holds = false;
	talk_lttng_apply(&relay);
	for (unsigned i = 0; i < relay.connections; i++)
		relay.connection[i].peer.client_ended = true;
	talk_lttng_settle(&relay);
	for (unsigned i = 0; i < relay.connections; i++) {
		uint32_t closing = talk_lttng_half(&relay, &relay.connection[i])->closing;

		if (!closing || closing == 1 + CLOSE_internal)
			talk_fail("connection %s cut at %zu: closing is %u",
				  relay.connection[i].name, relay.fate.mode->cut_at, closing);
	}
}

static unsigned stop(const struct talk_script *script)
{
	if (relay.fate.mode->cut) {
		end_cut();
	} else {
		for (unsigned i = 0; i < relay.connections; i++)
			talk_peer_expect_no_more(&relay.connection[i].peer);
		if (first.path)
			compare_orders();
		else
			remember_orders(script->path);
	}
	talk_lttng_stop(&relay);
	return relay.fate.kills;
}

const struct talk_player talk_lttng = {
	.start = start, .play = play, .settle = settle, .stop = stop};
