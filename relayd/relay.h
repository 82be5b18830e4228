/* SPDX-License-Identifier: MIT */
/*
 * relay.h - relayd's front loop and what hangs on it.
 *
 *   relay ──▶ link (sessiond-lite)   conns (control connections)   shared (UDP ports)
 *     ├─────▶ stream table (RCU)     status thread
 *     └─────▶ workers, compactor: other threads; they answer through `events`
 *
 * Thread: the front loop's, but where [any] stands.
 */
#ifndef TRACERELAY_RELAYD_RELAY_H
#define TRACERELAY_RELAYD_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/hlist.h>
#include <urcu/list.h>
#include <uv.h>

#include "common/link.h"
#include "common/mpsc.h"
#include "common/state.h"
#include "config/options.h"
#include "consumer/compactor.h"
#include "consumer/worker.h"
#include "relayd/lttng_control.h"
#include "relayd/stream_table.h"
#include "relayd/trace_cmd.h"

struct conn;
struct ctf_guard;
struct repair;
struct link;
struct live;
struct shared_ports;
struct status_server;

struct relay {
	uv_loop_t loop;
	struct state st;
	struct counters *counters; /* the front loop's shard */
	struct options *options;
	struct trace_cmd_limits limits;
	struct lttng_limits lttng_limits;
	int output_fd, lock_fd;

	struct link *link;
	struct stream_table *streams;
	struct conn **conn_at;           /* by conversation slot index; NULL: none */
	struct cds_hlist_head *speakers; /* conn_speakers.h: by source slot index */
	struct cds_list_head waiting;
	uint64_t *adopted; /* by source slot index: the id that this process has adopted */
	uint64_t *checked; /* by stream slot index: the epoch of its last data-pending check */
	uint64_t check_epoch;
	uint32_t *assigned; /* streams given to each worker so far, less those that ended */
	struct shared_ports *shared;
	struct status_server *status;

	unsigned worker_count;
	unsigned workers_stopped;
	struct worker **workers;
	struct ctf_guard *guard; /* of their LTTng data sockets */
	struct compactor *compactor;
	struct live *live; /* viewers; a thread of its own */
	struct repair *repair;

	struct mpsc events; /* [any] from workers and the compactor */
	uv_async_t events_wake;

	_Atomic bool
		synced; /* everything that was alive at the start has been passed; [any] reads */
	bool stopping;  /* shutdown, or sessiond-lite is gone */
	bool orphaned;  /* sessiond-lite is gone */
};

/* ---- front.c: start, stop, the events of other threads ---- */

/* SETUP has come: map, start workers, take over what is alive. 0 or negative errno. */
int relay_setup(struct relay *r, const struct link_message *m, const int *fds, unsigned n_fds);
/* SYNCED: what waited for the whole picture goes on. */
void relay_synced(struct relay *r);
/* Finish all chunks and end the loop. */
void relay_stop(struct relay *r);

/* ---- source_front.c: sources as the front loop sees them ---- */

struct source_slot *source_front_of(struct relay *r, const struct conversation_slot *c);
/* A source that was leased just now, or inherited: give it a worker, its streams to the table.
 * Once only: repeating is harmless. */
void source_front_adopt(struct relay *r, struct source_slot *s);
/* A lease has come whose client is gone already: its source, if there is one, ends. */
void source_front_unclaimed(struct relay *r, struct state_ref conversation);
/* Its control connection has ended. */
void source_front_control_ended(struct relay *r, struct source_slot *s, bool orderly,
				enum close_reason reason);
/* UDP: no more datagrams are waited for. */
void source_front_linger_over(struct relay *r, struct state_ref ref);
/* All connections and datagrams that will ever come have been handed over. */
void source_front_drained(struct relay *r, struct state_ref ref);
/* Ask again for what an earlier relayd had asked. */
void source_front_resume(struct relay *r);
/* The worker is done with it. */
void source_front_finished(struct relay *r, struct state_ref ref);
/* No viewer needs it any more. */
void source_front_released(struct relay *r, struct state_ref ref);
void source_front_look(struct relay *r, struct source_slot *s);

/* ---- conn.c: control connections ---- */

void conn_new(struct relay *r, struct state_ref ref, int fd); /* owns fd */
/* Something it waits for may have come. */
void conn_turn(struct conn *c);
void conn_refused(struct conn *c, int error);
/* LTTng: what was asked for is there. @position: of the message that asked for a stream. */
void conn_granted(struct conn *c, struct state_ref ref, uint64_t position);
/* LTTng: a source has room for orders again, or has ended: whoever waits looks. */
void conn_lttng_look(struct relay *r);
/* LTTng: whether a control connection speaks for the source. */
bool conn_lttng_speaks(struct relay *r, struct state_ref source);
/* The conversation of a source, NULL if it is over. */
struct conn *conn_of_source(struct relay *r, const struct source_slot *s);
/* End those whose session is being destroyed. */
void conn_follow_sessions(struct relay *r);

/* ---- shared.c: UDP ports' shared sockets ---- */

int shared_new(struct relay *r);
void shared_add(struct relay *r, const struct link_item *item, int fd); /* owns fd */
/* A stream's own socket has come: give it to the worker behind what waits on the shared one. */
void shared_own_socket(struct relay *r, struct state_ref ref, int fd);
/* A UDP source is new: what its ports' sockets have dropped so far is not its loss. */
void shared_begin(struct relay *r, const struct source_slot *s);
/* Hand over what waits for a UDP source. False: not now, since inbox slots are short. */
bool shared_drain(struct relay *r, const struct source_slot *s);
/* At the start, and when an inbox slot became free. */
void shared_run(struct relay *r);
void shared_resume_inbox(struct relay *r);

/* ---- inbound.c ---- */

void inbound_message(struct relay *r, const struct link_message *m, const int *fds, unsigned n_fds);

/* ---- link.c ---- */

/* A message has come; its descriptors are the receiver's from now on. */
typedef void (*link_receive)(struct relay *r, const struct link_message *m, const int *fds,
			     unsigned n_fds);
/* The other end is gone (r->orphaned is set). */
typedef void (*link_lost)(struct relay *r);

int link_start(struct relay *r, int fd, link_receive on_message, link_lost on_lost); /* owns fd */
/* Queue a message, in order; fd (or -1) is duplicated. */
void link_send(struct relay *r, const struct link_message *m, int fd);
/* Send what is queued, waiting if need be; at the end. */
void link_flush(struct relay *r);

#endif
