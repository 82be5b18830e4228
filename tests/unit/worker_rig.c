/* SPDX-License-Identifier: MIT */
/* worker_rig.c - a worker and a source to test it with; see worker_rig.h. */
#include "tests/unit/worker_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_meta.h"
#include "consumer/trace_dat_tail.h"
#include "tests/unit/trace_dat_sample.h"

/* ---- events ---- */

static void on_ref(void *ctx, struct state_ref ref)
{
	(void)ctx;
	(void)ref;
}

static void on_inbox_freed(void *ctx)
{
	struct rig *r = ctx;

	r->inboxes++;
}

static void on_match(void *ctx, struct state_ref ref, const char *host)
{
	struct rig *r = ctx;

	(void)host;
	r->matches++;
	atomic_store(&r->source->session, 1);
	worker_look(r->worker, ref);
}

static void on_chunk(void *ctx, const struct worker_chunk *chunk)
{
	struct rig *r = ctx;

	if (chunk->deleted) {
		r->deleted++;
		return;
	}
	r->last_chunk = *chunk;
	r->chunks++;
	worker_chunk_kept(r->worker, chunk->source, chunk->number);
}

static void on_finished(void *ctx, struct state_ref ref)
{
	struct rig *r = ctx;

	(void)ref;
	for (unsigned i = 0; i < RIG_CPUS; i++)
		r->open_at_end += !atomic_load(&r->st.stream[i].closed);
	r->finished++;
}

static void on_stopped(void *ctx, struct worker *w)
{
	struct rig *r = ctx;

	(void)w;
	r->stopped++;
}

static const struct worker_events events = {.room = on_ref,
					    .match = on_match,
					    .inbox_freed = on_inbox_freed,
					    .stream_closed = on_ref,
					    .chunk = on_chunk,
					    .finished = on_finished,
					    .stopped = on_stopped};

/* ---- making ---- */

static const struct state_ref source_ref = {.index = 0, .id = 2};

static struct state_ref stream_ref(unsigned cpu)
{
	return (struct state_ref){.index = cpu, .id = 10 + cpu};
}

static void make_source(struct rig *r, enum transport transport)
{
	struct source_slot *s = r->source;

	cr_assert_eq(state_touch(&r->st, s, sizeof(*s)), 0);
	cr_assert_eq(state_touch(&r->st, r->st.stream, sizeof(*r->st.stream) * RIG_CPUS), 0);
	s->cpus = RIG_CPUS;
	s->number = 7;
	s->protocol = PROTOCOL_TRACE_CMD_V3;
	s->transport = transport;
	s->page_size = RIG_PAGE;
	s->first_stream = 1;
	s->start_ns = 1700000000000000000;
	atomic_store(&s->worker, 1);
	cr_assert_eq(addr_parse("127.0.0.9:1234", &s->peer), 0);
	for (uint32_t i = 0; i < RIG_CPUS; i++) {
		struct stream_slot *t = &r->st.stream[i];

		t->source = source_ref;
		t->next = i + 1 < RIG_CPUS ? i + 2 : 0;
		t->cpu = i;
		t->transport = transport;
		atomic_store(&t->connected, 1);
		atomic_store(&t->id, stream_ref(i).id);
	}
	atomic_store(&s->id, source_ref.id);
	atomic_store(&r->st.header->high_source, 1);
}

void rig_make(struct rig *r, enum transport transport)
{
	struct state_capacity capacity = {
		.conversations = 1, .sources = 1, .streams = RIG_CPUS, .workers = 1};
	int type = transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM;

	memset(r, 0, sizeof(*r));
	strcpy(r->dir, "/tmp/tracerelay-rig-XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	r->output = open(r->dir, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(r->output, 0);
	cr_assert_eq(pipe2(r->pipes, O_NONBLOCK), 0);
	cr_assert_eq(state_create(&capacity, &r->st), 0);
	r->session = &r->st.session[0];
	strcpy(r->session->name, "default");
	atomic_store(&r->session->id, 1);
	r->source = &r->st.source[0];
	make_source(r, transport);
	for (unsigned i = 0; i < RIG_CPUS; i++) {
		int pair[2];

		cr_assert_eq(socketpair(AF_UNIX, type, 0, pair), 0);
		r->peer[i] = pair[0];
		r->relay[i] = pair[1];
		fcntl(r->relay[i], F_SETFL, O_NONBLOCK);
	}
}

void rig_start(struct rig *r)
{
	struct worker_config config = {.state = &r->st,
				       .pipe_read = dup(r->pipes[0]),
				       .pipe_write = dup(r->pipes[1]),
				       .output_fd = r->output,
				       .udp_linger_ms = 1,
				       .events = &events,
				       .ctx = r};

	r->stopped = 0;
	cr_assert_eq(worker_start(&config, &r->worker), 0);
	for (unsigned i = 0; i < RIG_CPUS; i++)
		worker_stream(r->worker, stream_ref(i), dup(r->relay[i]));
	rig_look(r);
}

void rig_stop(struct rig *r)
{
	worker_stop(r->worker);
	rig_wait(r->stopped);
	worker_free(r->worker);
	r->worker = NULL;
}

/* What the counters say of bytes is what the ledgers say. */
static void check_counters(struct rig *r)
{
	uint64_t received = 0, stored = 0, discarded[DISCARD_COUNT] = {0};

	for (unsigned i = 0; i < RIG_CPUS; i++) {
		struct stream_half h = rig_stream(r, i);

		received += h.ledger.received;
		stored += h.ledger.stored;
		for (unsigned k = 0; k < DISCARD_COUNT; k++)
			discarded[k] += h.ledger.discarded[k];
	}
	cr_assert_eq(counters_sum(r->st.counters, 1, COUNTER_bytes_received), received);
	cr_assert_eq(counters_sum(r->st.counters, 1, COUNTER_bytes_stored), stored);
	for (unsigned k = 0; k < DISCARD_COUNT; k++)
		cr_assert_eq(counters_sum(r->st.counters, 1, COUNTER_bytes_discarded_disk + k),
			     discarded[k], "%s", discard_name(k));
}

void rig_free(struct rig *r)
{
	char command[64];

	if (r->worker)
		rig_stop(r);
	check_counters(r);
	for (unsigned i = 0; i < RIG_CPUS; i++) {
		close(r->peer[i]);
		close(r->relay[i]);
	}
	close(r->pipes[0]);
	close(r->pipes[1]);
	close(r->output);
	state_detach(&r->st);
	snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
	cr_assert_eq(system(command), 0);
}

/* ---- the front loop's part ---- */

void rig_look(struct rig *r)
{
	worker_look(r->worker, source_ref);
}

void rig_metadata(struct rig *r, int version, size_t len)
{
	struct sample meta = {.commit_size = 8, .end = END_OPTIONS, .compression = "zstd"};
	struct source_front_half *f;

	if (version == 7)
		sample_v7(&meta);
	else
		sample_v6(&meta);
	if (len > meta.len)
		len = meta.len;
	memcpy(r->source->metadata, meta.bytes, len);
	f = source_front_begin(&r->source->front);
	f->metadata = len;
	f->metadata_complete = len == meta.len;
	source_front_commit(&r->source->front);
	if (r->worker)
		rig_look(r);
}

void rig_end_control(struct rig *r, bool in_order)
{
	struct source_front_half *f = source_front_begin(&r->source->front);

	f->control_ended = in_order ? CLOSE_finished : CLOSE_eof_without_close;
	f->closed_in_order = in_order;
	f->drained = 1;
	source_front_commit(&r->source->front);
	rig_look(r);
}

/* ---- the client's part ---- */

void rig_page(uint8_t *page, unsigned cpu, uint64_t n)
{
	struct page_format format = {.size = RIG_PAGE, .commit_size = 8};

	sample_page(page, &format, 1000 + n * 10, RIG_PAGE - 16);
	wire_set_u32_as(page + 20, (uint32_t)(n * RIG_CPUS + cpu), false); /* in an event's data */
}

void rig_send_pages(struct rig *r, unsigned cpu, uint64_t n, unsigned count)
{
	uint8_t page[RIG_PAGE];

	for (unsigned i = 0; i < count; i++) {
		rig_page(page, cpu, n + i);
		cr_assert_eq(write(r->peer[cpu], page, RIG_PAGE), RIG_PAGE);
	}
}

void rig_close(struct rig *r, unsigned cpu)
{
	shutdown(r->peer[cpu], SHUT_WR);
}

void rig_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

struct stream_half rig_stream(struct rig *r, unsigned cpu)
{
	struct stream_half h;

	stream_read(&r->st.stream[cpu], &h);
	return h;
}

/* ---- the judge's part ---- */

void rig_chunk_open(struct rig *r, const char *name, struct rig_chunk *ret)
{
	struct source_half h;
	struct trace_dat_meta meta;
	char path[400], json[80];
	struct stat sb;
	uint8_t *head;
	size_t len;
	int dir;

	source_read(r->source, &h);
	snprintf(path, sizeof(path), "%s/%s", h.dir, name);
	ret->fd = openat(r->output, path, O_RDWR);
	cr_assert_geq(ret->fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(fstat(ret->fd, &sb), 0);
	len = (size_t)(sb.st_size < (off_t)TRACE_DAT_DATA_START ? sb.st_size
								: (off_t)TRACE_DAT_DATA_START);
	head = mmap(NULL, len, PROT_READ, MAP_SHARED, ret->fd, 0);
	cr_assert_neq(head, MAP_FAILED);
	cr_assert_eq(trace_dat_meta_parse(head, len, &meta), 0);
	cr_assert(meta.complete, "%s", meta.why);
	ret->page_size = meta.page_size;
	ret->regions = calloc(RIG_CPUS, sizeof(*ret->regions));
	cr_assert_eq(trace_dat_tail_read_table(head, len, &meta, RIG_CPUS, ret->regions), 0);
	munmap(head, len);
	dir = openat(r->output, h.dir, O_RDONLY | O_DIRECTORY);
	snprintf(json, sizeof(json), "%.*sjson", (int)strlen(name) - 3, name);
	cr_assert_eq(record_read(dir, json, &ret->record), 0, "%s", json);
	close(dir);
	for (size_t i = 0; i < ret->record.stream_count; i++)
		cr_assert(record_ledger_balanced(&ret->record.streams[i].ledger));
}

void rig_chunk_close(struct rig_chunk *c)
{
	close(c->fd);
	free(c->regions);
	record_free(&c->record);
}

void rig_chunk_expect(const struct rig_chunk *c, unsigned cpu, uint64_t n, unsigned count,
		      bool marked)
{
	uint8_t want[RIG_PAGE], got[RIG_PAGE];

	cr_assert_eq(c->regions[cpu].bytes, (uint64_t)count * RIG_PAGE, "CPU %u: %llu bytes", cpu,
		     (unsigned long long)c->regions[cpu].bytes);
	for (unsigned i = 0; i < count; i++) {
		rig_page(want, cpu, n + i);
		if (marked && i == 0)
			want[11] |= 0x80;
		cr_assert_eq(pread(c->fd, got, RIG_PAGE,
				   (off_t)(c->regions[cpu].offset + (uint64_t)i * RIG_PAGE)),
			     RIG_PAGE);
		cr_assert_arr_eq(got, want, RIG_PAGE, "CPU %u page %u", cpu, i);
	}
}
