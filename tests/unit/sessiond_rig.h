/* SPDX-License-Identifier: MIT */
/*
 * sessiond_rig.h - sessiond-lite's modules around one loop, with the test as relayd and as peers.
 *
 * The registry is a fake one: session 0 for everybody, numbers when the test says so.
 */
#ifndef TRACERELAY_TESTS_UNIT_SESSIOND_RIG_H
#define TRACERELAY_TESTS_UNIT_SESSIOND_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/link.h"
#include "sessiond-lite/listener.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/sources.h"
#include "sessiond-lite/store.h"

struct rig {
	uv_loop_t loop;
	struct store *store;
	struct state *st;
	struct relayd_link *link;
	struct acceptor *acceptor;
	struct listeners *listeners;
	struct sources *sources;
	struct addr control; /* what the control port is bound to */
	int relayd;          /* relayd's end of the link; -1: none */
	int link_gone;       /* times */
	int fds_before;
	/* the fake registry */
	uint64_t number;              /* the next one; 0: none just now */
	int match;                    /* what registry_match() answers */
	struct match_subject subject; /* what it was asked last */
	char host[64];
	int ended; /* sources */
};

struct rig_config {
	uint16_t first_port, last_port;
	uint32_t streams_per_peer, sources, streams, descriptors, anonymous;
	bool families_apart;
};

/* A pool of ports that nobody uses, 64 of them; different for each test process. */
void rig_start(struct rig *rig, const struct rig_config *config);
/* Free everything; asserts that no handle and no descriptor is left. */
void rig_stop(struct rig *rig);

/* Kill and start: what a restart looks like to the link. */
void rig_kill_relayd(struct rig *rig);
void rig_start_relayd(struct rig *rig);

/* Run the loop until relayd has a message (asserted within 5 s), and receive it. */
void rig_receive(struct rig *rig, struct link_message *m, int *fds, unsigned *n_fds);
/* The same, asserting its type; descriptors are closed. */
void rig_expect(struct rig *rig, enum link_type type, struct link_message *m);
/* Nothing comes for some turns of the loop. */
void rig_expect_silence(struct rig *rig);
void rig_turn(struct rig *rig); /* a few turns of the loop */
void rig_send(struct rig *rig, const struct link_message *m);

/* A peer's connection; `from` may be NULL. Blocking socket, asserted. */
int rig_connect(const char *from, const char *to, uint16_t port);

/* The peer sees end of file or a reset, within 5 s of turning the loop. */
bool rig_is_closed(struct rig *rig, int fd);

/* A control connection from a host, as relayd is told of it. */
struct state_ref rig_conversation(struct rig *rig, const char *from, int *ret_peer);
/* The same at another port than that of trace-cmd, which rig_listen() opens. */
uint16_t rig_listen(struct rig *rig, enum conversation_role role);
struct state_ref rig_conversation_at(struct rig *rig, const char *from, uint16_t port,
				     int *ret_peer);
/* And a source with so many CPUs. */
struct state_ref rig_source(struct rig *rig, struct state_ref conversation, uint32_t cpus,
			    enum transport transport);
/* The ports of a source, in CPU order. */
void rig_ports(struct rig *rig, struct state_ref source, uint16_t *ret, uint32_t n);

#endif
