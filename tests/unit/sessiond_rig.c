/* SPDX-License-Identifier: MIT */
/* sessiond_rig.c - the modules, a fake registry, and blocking peers. */
#include "tests/unit/sessiond_rig.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/seqpacket.h"

#define PATIENCE_MS 5000

static struct rig *current;

int registry_match(struct registry *r, const struct match_subject *subject)
{
	(void)r;
	current->subject = *subject;
	snprintf(current->host, sizeof(current->host), "%s", subject->host ? subject->host : "");
	return current->match;
}

int registry_next_source_number(struct registry *r, uint64_t *ret)
{
	(void)r;
	if (!current->number)
		return -EAGAIN;
	*ret = current->number++;
	return 0;
}

void registry_source_ended(struct registry *r, uint32_t session)
{
	(void)r;
	(void)session;
	current->ended++;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void on_message(void *context, const struct link_message *m, int *fds, unsigned n_fds)
{
	struct rig *rig = context;

	(void)fds;
	(void)n_fds;
	switch ((enum link_type)m->type) {
	case LINK_LEASE:
		sources_lease(rig->sources, m);
		break;
	case LINK_MATCH:
		sources_match(rig->sources, m);
		break;
	case LINK_DRAIN:
		sources_drain(rig->sources, m);
		break;
	case LINK_UDP_SOCKET:
		sources_udp_socket(rig->sources, m);
		break;
	case LINK_CTF_SOURCE:
		sources_ctf_source(rig->sources, m);
		break;
	case LINK_CTF_STREAM:
		sources_ctf_stream(rig->sources, m);
		break;
	case LINK_DONE:
		sources_done(rig->sources, m);
		break;
	default:
		cr_assert_fail("no test sends type %u", m->type);
	}
}

static void on_gone(void *context, int error)
{
	struct rig *rig = context;

	(void)error;
	rig->link_gone++;
	relayd_link_close(rig->link);
}

void rig_start_relayd(struct rig *rig)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		     0);
	rig->relayd = pair[1];
	cr_assert_eq(relayd_link_open(rig->link, pair[0]), 0);
}

void rig_kill_relayd(struct rig *rig)
{
	int before = rig->link_gone;

	close(rig->relayd);
	rig->relayd = -1;
	for (int i = 0; rig->link_gone == before && i < PATIENCE_MS; i++) {
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		poll(NULL, 0, rig->link_gone == before);
	}
	cr_assert_neq(rig->link_gone, before);
}

void rig_start(struct rig *rig, const struct rig_config *config)
{
	static const struct keep_alive keep_alive = {.idle_s = 60, .interval_s = 10, .probes = 6};
	struct rig_config c = *config;
	uint16_t first = (uint16_t)(20000 + getpid() % 140 * 64);
	struct addr any;

	memset(rig, 0, sizeof(*rig));
	/* libuv's first loop opens a pipe for signals that stays. */
	cr_assert_eq(uv_loop_init(&rig->loop), 0);
	cr_assert_eq(uv_loop_close(&rig->loop), 0);
	rig->fds_before = count_fds();
	rig->number = 1;
	current = rig;
	if (!c.first_port) {
		c.first_port = first;
		c.last_port = (uint16_t)(first + 63);
	}
	cr_assert_eq(uv_loop_init(&rig->loop), 0);
	cr_assert_eq(store_create(
			     &(struct store_config){
				     .capacity = {.conversations = c.sources ? c.sources : 64,
						  .sources = c.sources ? c.sources : 64,
						  .streams = c.streams ? c.streams : 256,
						  .workers = 1},
				     .conversations_per_peer = 32,
				     .anonymous_per_peer = c.anonymous,
				     .descriptors = c.descriptors ? c.descriptors : 4096},
			     &rig->store),
		     0);
	rig->st = store_state(rig->store);
	atomic_store(&rig->st->session[0].id, store_new_id(rig->store));
	cr_assert_eq(relayd_link_create(&rig->loop, rig->store,
					&(struct relayd_link_handlers){on_message, on_gone, rig},
					&rig->link),
		     0);
	cr_assert_eq(acceptor_create(&rig->loop, store_counters(rig->store), &rig->acceptor), 0);
	cr_assert_eq(
		listener_create(&keep_alive, rig->acceptor, rig->store, rig->link, &rig->listeners),
		0);
	cr_assert_eq(
		sources_create(
			&(struct sources_config){
				.ports = {.first_port = c.first_port,
					  .last_port = c.last_port,
					  .keep_alive = keep_alive,
					  .families_apart = c.families_apart},
				.streams_per_peer = c.streams_per_peer ? c.streams_per_peer : 64},
			rig->acceptor, rig->store, rig->link, NULL, &rig->sources),
		0);
	cr_assert_eq(addr_parse("127.0.0.1:0", &any), 0);
	cr_assert_eq(listener_add(rig->listeners, &any, CONVERSATION_TRACE_CMD, 0, &rig->control),
		     0);
	rig_start_relayd(rig);
}

void rig_stop(struct rig *rig)
{
	sources_free(rig->sources);
	listener_free(rig->listeners);
	acceptor_free(rig->acceptor);
	relayd_link_free(rig->link);
	if (rig->relayd >= 0)
		close(rig->relayd);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&rig->loop), 0);
	store_free(rig->store);
	cr_assert_eq(count_fds(), rig->fds_before, "descriptors leaked");
}

void rig_turn(struct rig *rig)
{
	for (int i = 0; i < 20; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static bool try_receive(struct rig *rig, struct link_message *m, int *fds, unsigned *n_fds)
{
	unsigned n = LINK_ITEMS, flags;
	ssize_t len = seqpacket_recv(rig->relayd, m, sizeof(*m), fds, &n, &flags);

	if (len == -EAGAIN)
		return false;
	cr_assert_gt(len, 0);
	cr_assert_eq(flags, 0);
	cr_assert_eq((size_t)len, link_size(m));
	*n_fds = n;
	return true;
}

void rig_receive(struct rig *rig, struct link_message *m, int *fds, unsigned *n_fds)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (try_receive(rig, m, fds, n_fds))
			return;
		rig_turn(rig);
		poll(&(struct pollfd){.fd = rig->relayd, .events = POLLIN}, 1, 1);
	}
	cr_assert_fail("no message came");
}

void rig_expect(struct rig *rig, enum link_type type, struct link_message *m)
{
	int fds[LINK_ITEMS];
	unsigned n;

	rig_receive(rig, m, fds, &n);
	cr_assert_eq(m->type, type, "a message of type %u came, not %u", m->type, type);
	while (n--)
		close(fds[n]);
}

void rig_expect_silence(struct rig *rig)
{
	struct link_message m;
	int fds[LINK_ITEMS];
	unsigned n;

	rig_turn(rig);
	cr_assert_not(try_receive(rig, &m, fds, &n), "a message of type %u came", m.type);
}

void rig_send(struct rig *rig, const struct link_message *m)
{
	cr_assert_eq(seqpacket_send(rig->relayd, m, link_size(m), NULL, 0), 0);
}

int rig_connect(const char *from, const char *to, uint16_t port)
{
	struct sockaddr_storage sa;
	struct addr a;
	socklen_t len;
	int fd;

	cr_assert_eq(addr_parse(to, &a), 0);
	a.port = port;
	fd = socket(addr_is_v4(&a) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	if (from) {
		struct addr f;

		cr_assert_eq(addr_parse(from, &f), 0);
		addr_to_sockaddr(&f, AF_UNSPEC, &sa, &len);
		cr_assert_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	}
	addr_to_sockaddr(&a, AF_UNSPEC, &sa, &len);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sa, len), 0, "%s", strerror(errno));
	return fd;
}

bool rig_is_closed(struct rig *rig, int fd)
{
	char c;

	for (int i = 0; i < PATIENCE_MS; i++) {
		ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		rig_turn(rig);
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
	}
	return false;
}

uint16_t rig_listen(struct rig *rig, enum conversation_role role)
{
	struct addr at;

	cr_assert_eq(addr_parse("127.0.0.1:0", &at), 0);
	cr_assert_eq(listener_add(rig->listeners, &at, role, 0, &at), 0);
	return at.port;
}

struct state_ref rig_conversation(struct rig *rig, const char *from, int *ret_peer)
{
	return rig_conversation_at(rig, from, rig->control.port, ret_peer);
}

struct state_ref rig_conversation_at(struct rig *rig, const char *from, uint16_t port,
				     int *ret_peer)
{
	struct link_message m;

	*ret_peer = rig_connect(from, "127.0.0.1", port);
	rig_expect(rig, LINK_CONVERSATIONS, &m);
	cr_assert_eq(m.items, 1);
	return (struct state_ref){.index = m.item[0].index, .id = m.item[0].id};
}

struct state_ref rig_source(struct rig *rig, struct state_ref conversation, uint32_t cpus,
			    enum transport transport)
{
	struct link_message m = {.type = LINK_LEASE,
				 .ref = conversation,
				 .lease = {.cpus = cpus,
					   .page_size = 4096,
					   .protocol = PROTOCOL_TRACE_CMD_V1,
					   .transport = transport}};
	struct conversation_slot *c = state_conversation(rig->st, conversation);

	rig_send(rig, &m);
	do /* ports of UDP come first */
		rig_expect(rig,
			   transport == TRANSPORT_UDP
				   ? m.type == LINK_SHARED ? LINK_LEASED : LINK_SHARED
				   : LINK_LEASED,
			   &m);
	while (m.type != LINK_LEASED);
	cr_assert_eq(m.error, 0, "%d", m.error);
	cr_assert_eq(m.ref.id, conversation.id);
	cr_assert(c && atomic_load(&c->source));
	return state_ref_of_source(rig->st, &rig->st->source[atomic_load(&c->source) - 1]);
}

void rig_ports(struct rig *rig, struct state_ref source, uint16_t *ret, uint32_t n)
{
	struct source_slot *s = state_source(rig->st, source);
	uint32_t next = s->first_stream;

	for (uint32_t i = 0; i < n; i++) {
		struct stream_slot *stream = &rig->st->stream[next - 1];

		cr_assert(next);
		cr_assert_eq(stream->cpu, i);
		cr_assert_eq(stream->source.id, source.id);
		ret[i] = stream->port;
		next = stream->next;
	}
	cr_assert_eq(next, 0);
}
