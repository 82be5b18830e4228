/* SPDX-License-Identifier: MIT */
/* talk_peer.c - the simulated kernel under a connection. */
#include "tests/talk/talk_peer.h"

#include <stdlib.h>
#include <string.h>

unsigned talk_instants;
struct talk_fate *talk_alive;
jmp_buf talk_death;

void talk_fate_start(struct talk_fate *f, const struct talk_mode *mode)
{
	*f = (struct talk_fate){.mode = mode,
				.random = mode->seed ? mode->seed * 0x9e3779b97f4a7c15 : 1};
}

uint64_t talk_chance(struct talk_fate *f)
{
	f->random ^= f->random << 13; /* xorshift64 */
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

/* How much of n bytes a system call moves this time. */
static size_t piece(struct talk_fate *f, size_t n)
{
	size_t most = f->mode->piece;

	if (f->mode->seed)
		most = talk_chance(f) % 8 ? 1 + talk_chance(f) % 40 : 1 + talk_chance(f) % 9000;
	return most && most < n ? most : n;
}

void talk_instant(const char *where)
{
	struct talk_fate *f = talk_alive;

	(void)where;
	if (!f)
		return;
	talk_instants = ++f->instants;
	if (f->instants == f->mode->kill_at ||
	    (f->mode->kill_1_in && talk_chance(f) % f->mode->kill_1_in == 0))
		longjmp(talk_death, 1);
}

void talk_peer_free(struct talk_peer *p)
{
	free(p->to_relay);
	free(p->to_client);
	memset(p, 0, sizeof(*p));
}

void talk_peer_sends(struct talk_peer *p, const uint8_t *bytes, size_t len)
{
	p->to_relay = realloc(p->to_relay, p->to_relay_len + len + 1);
	if (!p->to_relay)
		abort();
	memcpy(p->to_relay + p->to_relay_len, bytes, len);
	p->to_relay_len += len;
}

int talk_peer_receive(struct talk_peer *p, struct talk_fate *f, struct mmsghdr *m)
{
	size_t there = p->to_relay_len - p->to_relay_taken, n = 0, room = 0;

	talk_instant("before receive");
	for (size_t i = 0; i < m->msg_hdr.msg_iovlen; i++)
		room += m->msg_hdr.msg_iov[i].iov_len;
	if (!there && p->client_reset)
		return -1;
	if (!there && !p->client_ended)
		return 0;
	there = there < room ? there : room;
	there = there ? piece(f, there) : 0;
	for (size_t i = 0; i < m->msg_hdr.msg_iovlen && n < there; i++) {
		const struct iovec *v = &m->msg_hdr.msg_iov[i];
		size_t part = there - n < v->iov_len ? there - n : v->iov_len;

		memcpy(v->iov_base, p->to_relay + p->to_relay_taken + n, part);
		n += part;
	}
	p->to_relay_taken += n;
	m->msg_len = (unsigned)n;
	talk_instant("behind receive");
	return 1;
}

int talk_peer_transmit(struct talk_peer *p, struct talk_fate *f, struct mmsghdr *m)
{
	const struct iovec *v = &m->msg_hdr.msg_iov[0];
	size_t n;

	talk_instant("before send");
	if (p->client_deaf)
		return -1;
	if (f->mode->seed && talk_chance(f) % 5 == 0)
		return 0;
	n = piece(f, v->iov_len);
	p->to_client = realloc(p->to_client, p->to_client_len + n);
	if (!p->to_client)
		abort();
	memcpy(p->to_client + p->to_client_len, v->iov_base, n);
	p->to_client_len += n;
	p->writes++;
	m->msg_len = (unsigned)n;
	talk_instant("behind send");
	return 1;
}
