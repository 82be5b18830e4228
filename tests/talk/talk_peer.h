/* SPDX-License-Identifier: MIT */
/*
 * talk_peer.h - a connection as the kernel has it, with the client at its other end; chance, and
 * the instants at which a SIGKILL may strike.
 */
#ifndef TRACERELAY_TESTS_TALK_PEER_H
#define TRACERELAY_TESTS_TALK_PEER_H

#include <sys/socket.h>

#include "tests/talk/talk.h"

struct talk_fate {
	const struct talk_mode *mode;
	uint64_t random;
	unsigned instants, kills; /* seen so far; suffered */
};

void talk_fate_start(struct talk_fate *f, const struct talk_mode *mode);
uint64_t talk_chance(struct talk_fate *f);

/* While it is set, talk_instant() may longjmp() to talk_death, as a kill would end the process. */
extern struct talk_fate *talk_alive;
extern jmp_buf talk_death;
void talk_instant(const char *where);

struct talk_peer {
	uint8_t *to_relay; /* all that the client sent */
	size_t to_relay_len, to_relay_taken;
	bool client_ended, client_reset, client_deaf;
	uint8_t *to_client;                   /* all that the relay sent */
	size_t to_client_len, to_client_seen; /* seen: by the script */
	unsigned writes;                      /* since the script looked */
};

void talk_peer_free(struct talk_peer *p); /* and zero it */
void talk_peer_sends(struct talk_peer *p, const uint8_t *bytes, size_t len);
/* recvmmsg() of one message. 1; 0: nothing there; -1: the connection was reset. */
int talk_peer_receive(struct talk_peer *p, struct talk_fate *f, struct mmsghdr *m);
/* sendmmsg() of one message. 1; 0: no room; -1: the peer is gone. */
int talk_peer_transmit(struct talk_peer *p, struct talk_fate *f, struct mmsghdr *m);
/* The script has what the relay sent since; fails if it is something else. */
void talk_peer_expect(struct talk_peer *p, const struct talk_mode *mode,
		      const struct talk_line *line);
/* Nothing was sent that the script has not seen. */
void talk_peer_expect_no_more(const struct talk_peer *p);

#endif
