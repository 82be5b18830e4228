/* SPDX-License-Identifier: MIT */
/* request.c - one table: which message goes where. */
#include "sessiond-lite/request.h"

#include <stddef.h>

#include "common/log.h"

typedef void handler(struct request_context *c, const struct link_message *m, int *fds);

static void on_ready(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)m, (void)fds;
	supervisor_on_ready(c->supervisor);
}

static void on_stopped(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)m, (void)fds;
	supervisor_on_stopped(c->supervisor);
}

void request_pass_all(const struct request_context *c)
{
	sources_pass_all(c->sources);
	hold_pass(c->hold, c->link);
}

static void on_resend(struct request_context *c, const struct link_message *m, int *fds)
{
	struct link_message synced = {.type = LINK_SYNCED};

	(void)m, (void)fds;
	log_warning("descriptors-lost",
		    "relayd could not receive all descriptors; passing them again");
	request_pass_all(c);
	relayd_link_send(c->link, &synced);
}

static void on_lease(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_lease(c->sources, m);
}

static void on_match(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_match(c->sources, m);
}

static void on_drain(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	/* Data of any LTTng source may wait there, whose header only relayd can read. */
	if (sources_is_lttng(c->sources, m->ref))
		listener_drain(c->listeners, CONVERSATION_LTTNG_DATA);
	sources_drain(c->sources, m);
}

static void on_udp_socket(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_udp_socket(c->sources, m);
}

static void on_ctf_source(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_ctf_source(c->sources, m);
}

static void on_ctf_stream(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_ctf_stream(c->sources, m);
}

static void on_done(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	sources_done(c->sources, m);
}

static void on_chunk(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	catalog_chunk(c->catalog, m);
}

static void on_compacted(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	catalog_compacted(c->catalog, m->text, m->error);
}

static void on_hold(struct request_context *c, const struct link_message *m, int *fds)
{
	struct link_message held = {.type = LINK_HELD, .chunk.key = m->chunk.key};

	held.error = hold_keep(c->hold, m->chunk.key, m->text, fds[0]);
	if (!held.error)
		fds[0] = -1;
	relayd_link_send(c->link, &held);
}

static void on_release(struct request_context *c, const struct link_message *m, int *fds)
{
	(void)fds;
	hold_release(c->hold, m->chunk.key);
}

static const struct {
	handler *handle;
	unsigned fds; /* that must be there */
} table[] = {
	[LINK_READY] = {on_ready, 0},
	[LINK_RESEND] = {on_resend, 0},
	[LINK_LEASE] = {on_lease, 0},
	[LINK_MATCH] = {on_match, 0},
	[LINK_DRAIN] = {on_drain, 0},
	[LINK_UDP_SOCKET] = {on_udp_socket, 0},
	[LINK_DONE] = {on_done, 0},
	[LINK_CHUNK] = {on_chunk, 0},
	[LINK_COMPACTED] = {on_compacted, 0},
	[LINK_HOLD] = {on_hold, 1},
	[LINK_RELEASE] = {on_release, 0},
	[LINK_STOPPED] = {on_stopped, 0},
	[LINK_CTF_SOURCE] = {on_ctf_source, 0},
	[LINK_CTF_STREAM] = {on_ctf_stream, 0},
};

void request_handle(void *context, const struct link_message *m, int *fds, unsigned n_fds)
{
	if (m->type >= sizeof(table) / sizeof(table[0]) || !table[m->type].handle ||
	    n_fds < table[m->type].fds) {
		log_error("request-unknown", "relayd sent a message of type %u with %u descriptors",
			  m->type, n_fds);
		return;
	}
	table[m->type].handle(context, m, fds);
}
