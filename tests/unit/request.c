/* SPDX-License-Identifier: MIT */
/* request.c - messages reach the module they are for; nonsense reaches none. */
#include "sessiond-lite/request.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/sessiond_rig.h"

/* In place of the supervisor and the catalog. */
static struct {
	int ready, stopped, chunks, compacted;
} heard;

void supervisor_on_ready(struct supervisor *s)
{
	(void)s;
	heard.ready++;
}

void supervisor_on_stopped(struct supervisor *s)
{
	(void)s;
	heard.stopped++;
}

void catalog_chunk(struct catalog *c, const struct link_message *chunk)
{
	(void)c;
	cr_assert_eq(chunk->chunk.number, 3);
	heard.chunks++;
}

void catalog_compacted(struct catalog *c, const char *path, int error)
{
	(void)c;
	cr_assert_str_eq(path, "default/h/x/trace.dat");
	cr_assert_eq(error, -EOPNOTSUPP);
	heard.compacted++;
}

static void start(struct rig *rig, struct request_context *c)
{
	rig_start(rig, &(struct rig_config){0});
	*c = (struct request_context){
		.sources = rig->sources, .listeners = rig->listeners, .link = rig->link};
	cr_assert_eq(hold_create(&c->hold), 0);
}

static void stop(struct rig *rig, struct request_context *c)
{
	hold_free(c->hold);
	rig_stop(rig);
}

Test(request, reaches_its_module)
{
	struct rig rig;
	struct request_context c;
	struct link_message m = {.type = LINK_READY};

	start(&rig, &c);
	request_handle(&c, &m, NULL, 0);
	m.type = LINK_STOPPED;
	request_handle(&c, &m, NULL, 0);
	m = (struct link_message){.type = LINK_CHUNK, .chunk.number = 3};
	request_handle(&c, &m, NULL, 0);
	m = (struct link_message){
		.type = LINK_COMPACTED, .text = "default/h/x/trace.dat", .error = -EOPNOTSUPP};
	request_handle(&c, &m, NULL, 0);
	cr_assert(heard.ready == 1 && heard.stopped == 1 && heard.chunks == 1 &&
		  heard.compacted == 1);
	rig_expect_silence(&rig);

	/* those that answer, answer */
	m = (struct link_message){.type = LINK_LEASE, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_LEASED, &m);
	m = (struct link_message){.type = LINK_MATCH, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_MATCHED, &m);
	m = (struct link_message){.type = LINK_DRAIN, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_DRAINED, &m);
	m = (struct link_message){.type = LINK_UDP_SOCKET, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_UDP_REFUSED, &m);
	m = (struct link_message){.type = LINK_CTF_SOURCE, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_LEASED, &m);
	m = (struct link_message){.type = LINK_CTF_STREAM, .ref = {.index = 1, .id = 1}};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_CTF_STREAM_MADE, &m);
	stop(&rig, &c);
}

/* Else relayd takes a source for ended whose only data connection waits to be accepted. */
Test(request, drained_comes_behind_lttng_data_that_waited)
{
	struct rig rig;
	struct request_context c;
	struct state_ref conversation;
	struct link_message m = {.type = LINK_CTF_SOURCE, .text = "web-1"};
	uint16_t control, data;
	int peer, late;

	start(&rig, &c);
	control = rig_listen(&rig, CONVERSATION_LTTNG_CONTROL);
	data = rig_listen(&rig, CONVERSATION_LTTNG_DATA);
	conversation = rig_conversation_at(&rig, "127.0.0.9", control, &peer);
	m.ref = conversation;
	rig_send(&rig, &m);
	rig_expect(&rig, LINK_LEASED, &m);
	cr_assert_eq(m.error, 0);
	late = rig_connect("127.0.0.9", "127.0.0.1", data);
	m = (struct link_message){.type = LINK_DRAIN, .ref = m.ctf.source};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	cr_assert_eq(m.items, 1);
	rig_expect(&rig, LINK_DRAINED, &m);
	close(late);
	close(peer);
	stop(&rig, &c);
}

Test(request, what_is_held_survives_relayd)
{
	struct rig rig;
	struct request_context c;
	struct link_message m = {
		.type = LINK_HOLD, .chunk.key = 77, .text = "default/h/x/trace.dat"};
	int fd, fds[LINK_ITEMS];
	unsigned n;

	start(&rig, &c);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	request_handle(&c, &m, &fd, 1);
	cr_assert_eq(fd, -1, "taken over");
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(m.type, LINK_HELD);
	cr_assert_eq(m.chunk.key, 77);
	cr_assert_eq(n, 0);
	rig_kill_relayd(&rig);
	rig_start_relayd(&rig);
	request_pass_all(&c);
	rig_receive(&rig, &m, fds, &n);
	cr_assert_eq(m.type, LINK_HELD);
	cr_assert_eq(m.chunk.key, 77);
	cr_assert_str_eq(m.text, "default/h/x/trace.dat");
	cr_assert_eq(n, 1);
	close(fds[0]);
	m = (struct link_message){.type = LINK_RELEASE, .chunk.key = 77};
	request_handle(&c, &m, NULL, 0);
	request_pass_all(&c);
	rig_expect_silence(&rig);
	stop(&rig, &c);
}

Test(request, resend_passes_everything_and_syncs)
{
	struct rig rig;
	struct request_context c;
	struct link_message m;
	int peer;

	start(&rig, &c);
	rig_conversation(&rig, NULL, &peer);
	m = (struct link_message){.type = LINK_RESEND};
	request_handle(&c, &m, NULL, 0);
	rig_expect(&rig, LINK_CONVERSATIONS, &m);
	cr_assert_eq(m.items, 1);
	rig_expect(&rig, LINK_SYNCED, &m);
	close(peer);
	stop(&rig, &c);
}

Test(request, nonsense_is_ignored)
{
	struct rig rig;
	struct request_context c;
	struct link_message m = {.type = 9999};

	start(&rig, &c);
	request_handle(&c, &m, NULL, 0);
	m.type = LINK_SETUP;
	request_handle(&c, &m, NULL, 0);
	m.type = LINK_HOLD; /* without a descriptor */
	request_handle(&c, &m, NULL, 0);
	rig_expect_silence(&rig);
	stop(&rig, &c);
}
