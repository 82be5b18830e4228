/* SPDX-License-Identifier: MIT */
/* live_rig.c - see live_rig.h. */
#include "tests/unit/live_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/wire.h"

static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command); /* NOLINT: our own words */
}

void live_rig_make(struct live_rig *r)
{
	static const struct state_capacity capacity = {
		.conversations = 4, .sources = 4, .streams = 64, .workers = 1};

	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "/tmp/live-XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	r->output = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(r->output, 0);
	cr_assert_eq(state_create(&capacity, &r->st), 0);
}

void live_rig_free(struct live_rig *r)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	run(command);
	close(r->output);
	state_detach(&r->st);
}

static uint64_t new_id(struct live_rig *r)
{
	return atomic_fetch_add(&r->st.header->next_id, 1);
}

void live_rig_chunk(struct live_rig *r, uint32_t source, uint32_t entry, uint64_t serial,
		    const char *place)
{
	struct ctf_source_half *h = ctf_source_begin(&r->st.ctf_source[source]);
	struct ctf_chunk *chunk = &h->chunk[entry];

	memset(chunk, 0, sizeof(*chunk));
	if (serial) {
		chunk->state = CTF_CHUNK_OPEN;
		chunk->serial = serial;
		snprintf(chunk->dir, sizeof(chunk->dir), "%s", place);
	}
	ctf_source_commit(&r->st.ctf_source[source]);
}

void live_rig_controls(struct live_rig *r, uint32_t source, uint32_t controls)
{
	struct source_front_half *f = source_front_begin(&r->st.source[source].front);

	f->control_ended = controls ? CLOSE_none : CLOSE_finished;
	source_front_commit(&r->st.source[source].front);
}

void live_rig_publish(struct live_rig *r, uint32_t source, uint64_t streams)
{
	ctf_source_begin(&r->st.ctf_source[source])->published = streams;
	ctf_source_commit(&r->st.ctf_source[source]);
}

uint64_t live_rig_session(struct live_rig *r, uint32_t source, const char *name, const char *place)
{
	struct source_slot *s = &r->st.source[source];
	struct ctf_source_slot *c = &r->st.ctf_source[source];
	uint64_t id = new_id(r);

	s->protocol = PROTOCOL_LTTNG;
	c->minor = 13;
	c->live_timer_us = 1000000;
	snprintf(c->session_name, sizeof(c->session_name), "%s", name);
	snprintf(c->host, sizeof(c->host), "host");
	live_rig_controls(r, source, 1);
	live_rig_chunk(r, source, 0, 1, place);
	atomic_store(&s->worker, 1);
	atomic_store(&s->id, id);
	if (atomic_load(&r->st.header->high_source) <= source)
		atomic_store(&r->st.header->high_source, source + 1);
	return ctf_handle(source, id);
}

void live_rig_forget(struct live_rig *r, uint64_t session)
{
	struct source_slot *s = &r->st.source[ctf_handle_index(session)];

	for (uint32_t i = s->first_stream; i; i = r->st.stream[i - 1].next)
		atomic_store(&r->st.stream[i - 1].id, 0);
	atomic_store(&s->id, 0);
}

uint64_t live_rig_stream(struct live_rig *r, uint32_t source, const char *name, uint64_t count)
{
	static const char path[] = "ust/uid/0/64-bit";
	struct source_slot *s = &r->st.source[source];
	uint32_t i = atomic_fetch_add(&r->st.header->high_stream, 1);
	_Atomic uint32_t *link = &s->first_stream;
	struct ctf_stream_slot *c = &r->st.ctf_stream[i];
	struct stream_slot *t = &r->st.stream[i];
	uint64_t handle;

	t->source = (struct state_ref){.index = source, .id = atomic_load(&s->id)};
	t->cpu = atomic_fetch_add(&s->cpus, 1);
	c->metadata = strcmp(name, "metadata") == 0;
	c->tracefile_size = count ? RIG_PACKET : 0;
	c->tracefile_count = count;
	c->trace = 77;
	snprintf(c->path, sizeof(c->path), "%s", path);
	snprintf(c->name, sizeof(c->name), "%s", name);
	atomic_store(&c->named, 1);
	atomic_store(&t->id, new_id(r));
	handle = ctf_handle(i, atomic_load(&t->id));
	live_rig_begin(r, handle)->ctf.class_id = 3;
	live_rig_commit(r, handle);
	live_rig_next_chunk(r, handle, 0);
	while (*link)
		link = &r->st.stream[*link - 1].next;
	*link = i + 1;
	return handle;
}

struct stream_half *live_rig_begin(struct live_rig *r, uint64_t stream)
{
	return stream_begin(&r->st.stream[ctf_handle_index(stream)]);
}

void live_rig_commit(struct live_rig *r, uint64_t stream)
{
	stream_commit(&r->st.stream[ctf_handle_index(stream)]);
}

/* The directory of the file that a stream fills. */
static void place_of(struct live_rig *r, uint64_t stream, char *ret, size_t size)
{
	uint32_t i = ctf_handle_index(stream);
	const struct stream_half *h = stream_now(&r->st.stream[i]);
	const struct ctf_source_half *s =
		ctf_source_now(&r->st.ctf_source[r->st.stream[i].source.index]);

	snprintf(ret, size, "%s/%s/%s", r->dir, s->chunk[h->ctf.chunk - 1].dir,
		 r->st.ctf_stream[i].path);
}

static int open_for(struct live_rig *r, uint64_t stream, bool index)
{
	const struct ctf_stream_slot *c = &r->st.ctf_stream[ctf_handle_index(stream)];
	const struct stream_half *h = stream_now(&r->st.stream[ctf_handle_index(stream)]);
	char place[2048], path[2560], suffix[24] = "";
	int fd;

	place_of(r, stream, place, sizeof(place));
	if (c->tracefile_size)
		snprintf(suffix, sizeof(suffix), "_%u",
			 (unsigned)(h->ctf.file % c->tracefile_count));
	snprintf(path, sizeof(path), "%s/%s%s%s%s", place, index ? "index/" : "", c->name, suffix,
		 index ? ".idx" : "");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	cr_assert_geq(fd, 0, "%s", path);
	return fd;
}

static void add(int fd, const void *bytes, size_t len)
{
	cr_assert_geq(lseek(fd, 0, SEEK_END), 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

void live_rig_packet(struct live_rig *r, uint64_t stream, bool seen)
{
	struct stream_half *h = live_rig_begin(r, stream);
	uint64_t n = h->ctf.data_seq++;
	uint8_t packet[RIG_PACKET], record[16 + 72];
	struct wire_writer w = wire_writer_init(record, sizeof(record));
	int fd = open_for(r, stream, true);

	if (lseek(fd, 0, SEEK_END) == 0) {
		wire_put_u32(&w, 0xC1F1DCC1);
		wire_put_u32(&w, 1);
		wire_put_u32(&w, 1);
		wire_put_u32(&w, 72);
	}
	wire_put_u64(&w, h->position);
	wire_put_u64(&w, RIG_PACKET * 8);
	wire_put_u64(&w, RIG_PACKET * 8);
	wire_put_u64(&w, n);
	wire_put_u64(&w, n + 1);
	wire_put_u64(&w, 0);
	wire_put_u64(&w, 3);
	wire_put_u64(&w, 0);
	wire_put_u64(&w, n);
	memset(packet, (int)n, sizeof(packet));
	add(open_for(r, stream, false), packet, sizeof(packet));
	add(fd, record, w.len);
	h->position += RIG_PACKET;
	h->ctf.records += seen;
	h->ctf.beacon_end = 0;
	live_rig_commit(r, stream);
}

/* A fresh file where the stream stands now; what has its name is unlinked. */
static void begin_file(struct live_rig *r, uint64_t stream)
{
	char place[2048], command[4200];

	place_of(r, stream, place, sizeof(place));
	snprintf(command, sizeof(command), "mkdir -p %s/index", place);
	run(command);
}

void live_rig_next_file(struct live_rig *r, uint64_t stream)
{
	const struct ctf_stream_slot *c = &r->st.ctf_stream[ctf_handle_index(stream)];
	struct stream_half *h = live_rig_begin(r, stream);
	char place[2048], path[2560];

	h->ctf.file++;
	h->ctf.records = h->position = 0;
	live_rig_commit(r, stream);
	place_of(r, stream, place, sizeof(place));
	h = (struct stream_half *)stream_now(&r->st.stream[ctf_handle_index(stream)]);
	snprintf(path, sizeof(path), "%s/%s_%u", place, c->name,
		 (unsigned)(h->ctf.file % c->tracefile_count));
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/index/%s_%u.idx", place, c->name,
		 (unsigned)(h->ctf.file % c->tracefile_count));
	(void)unlink(path);
}

void live_rig_next_chunk(struct live_rig *r, uint64_t stream, uint32_t entry)
{
	uint32_t source = r->st.stream[ctf_handle_index(stream)].source.index;
	struct stream_half *h = live_rig_begin(r, stream);

	h->ctf.chunk = entry + 1;
	h->ctf.chunk_serial = ctf_source_now(&r->st.ctf_source[source])->chunk[entry].serial;
	h->ctf.file = h->ctf.records = h->position = 0;
	live_rig_commit(r, stream);
	begin_file(r, stream);
}

void live_rig_metadata(struct live_rig *r, uint64_t stream, uint32_t text, char c)
{
	struct stream_half *h = live_rig_begin(r, stream);
	uint8_t packet[RIG_METADATA] = {0};

	cr_assert_leq(text, RIG_METADATA - 37);
	wire_set_u32_as(packet, 0x75D11D57, false);
	wire_set_u32_as(packet + 24, (37 + text) * 8, false);
	wire_set_u32_as(packet + 28, RIG_METADATA * 8, false);
	memset(packet + 37, c, text);
	add(open_for(r, stream, false), packet, sizeof(packet));
	h->position += RIG_METADATA;
	live_rig_commit(r, stream);
}
