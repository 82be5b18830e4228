/* SPDX-License-Identifier: MIT */
/* ctf_rig.c - a worker and an LTTng source to test it with; see ctf_rig.h. */
#include "tests/unit/ctf_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/wire.h"

#define CREATED UINT64_C(1700000000)

/* ---- events ---- */

static void on_room(void *ctx, struct state_ref ref)
{
	struct ctf_rig *r = ctx;

	(void)ref;
	r->rooms++;
}

static void on_closed(void *ctx, struct state_ref ref)
{
	struct ctf_rig *r = ctx;

	(void)ref;
	r->closed++;
}

static void on_retired(void *ctx, struct state_ref ref)
{
	struct ctf_rig *r = ctx;

	(void)ref;
	r->retired++;
}

static void on_finished(void *ctx, struct state_ref ref)
{
	struct ctf_rig *r = ctx;

	(void)ref;
	r->finished++;
}

static void on_stopped(void *ctx, struct worker *w)
{
	struct ctf_rig *r = ctx;

	(void)w;
	r->stopped++;
}

/* The catalog answers at once. */
static void on_chunk(void *ctx, const struct worker_chunk *chunk)
{
	struct ctf_rig *r = ctx;

	r->chunks++;
	r->chunk_bytes += chunk->bytes;
	if (r->worker)
		worker_chunk_kept(r->worker, chunk->source, chunk->number);
}

static const struct worker_events events = {.room = on_room,
					    .chunk = on_chunk,
					    .stream_closed = on_retired,
					    .connection_closed = on_closed,
					    .finished = on_finished,
					    .stopped = on_stopped};

/* ---- making ---- */

static const struct state_ref source_ref = {.index = 0, .id = 2};

static uint64_t stream_id(unsigned i)
{
	return 10 + i;
}

static struct state_ref connection_ref(unsigned c)
{
	return (struct state_ref){.index = c, .id = 30 + c};
}

static void make_source(struct ctf_rig *r, unsigned minor, bool snapshot)
{
	r->source = &r->st.source[0];
	r->ctf = &r->st.ctf_source[0];
	cr_assert_eq(state_touch(&r->st, r->source, sizeof(*r->source)), 0);
	cr_assert_eq(state_touch(&r->st, r->ctf, sizeof(*r->ctf)), 0);
	r->source->number = 7;
	r->source->protocol = PROTOCOL_LTTNG;
	r->source->start_ns = (int64_t)CREATED * 1000000000;
	cr_assert_eq(addr_parse("127.0.0.9:1234", &r->source->peer), 0);
	r->ctf->minor = minor;
	r->ctf->snapshot = snapshot;
	r->ctf->key.created = CREATED;
	r->ctf->name_has_time = 1;
	strcpy(r->ctf->session_name, "s1");
	strcpy(r->ctf->host, "vm");
	atomic_store(&r->source->session, 1);
	atomic_store(&r->source->worker, 1);
	atomic_store(&r->source->id, source_ref.id);
	atomic_store(&r->st.header->high_source, 1);
}

void ctf_rig_make(struct ctf_rig *r, unsigned minor, bool snapshot)
{
	struct state_capacity capacity = {.conversations = CTF_RIG_CONNECTIONS,
					  .sources = 1,
					  .streams = CTF_RIG_STREAMS,
					  .workers = 1};

	memset(r, 0, sizeof(*r));
	strcpy(r->dir, "/tmp/tracerelay-ctf-XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	r->output = open(r->dir, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(r->output, 0);
	cr_assert_eq(pipe2(r->pipes, O_NONBLOCK), 0);
	cr_assert_eq(state_create(&capacity, &r->st), 0);
	r->session = &r->st.session[0];
	strcpy(r->session->name, "default");
	atomic_store(&r->session->id, 1);
	make_source(r, minor, snapshot);
	for (unsigned i = 0; i < CTF_RIG_CONNECTIONS; i++) {
		int pair[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		r->peer[i] = pair[0];
		r->relay[i] = pair[1];
		fcntl(r->relay[i], F_SETFL, O_NONBLOCK);
		r->st.conversation[i].role = CONVERSATION_LTTNG_DATA;
		atomic_store(&r->st.conversation[i].id, connection_ref(i).id);
	}
}

void ctf_rig_start(struct ctf_rig *r)
{
	struct worker_config config = {.state = &r->st,
				       .pipe_read = dup(r->pipes[0]),
				       .pipe_write = dup(r->pipes[1]),
				       .output_fd = r->output,
				       .events = &events,
				       .lttng_open_files = 3,
				       .max_stall_ms = r->max_stall_ms,
				       .ctx = r};

	r->stopped = 0;
	cr_assert_eq(worker_start(&config, &r->worker), 0);
	if (r->max_stall_ms)
		cr_assert_eq(ctf_guard_start(&r->worker, 1, r->max_stall_ms, &r->guard), 0);
	for (unsigned i = 0; i < CTF_RIG_CONNECTIONS; i++)
		if (r->handed[i])
			worker_connection(r->worker, connection_ref(i), dup(r->relay[i]));
	ctf_rig_look(r);
}

void ctf_rig_stop(struct ctf_rig *r)
{
	worker_stop(r->worker);
	ctf_rig_wait(r->stopped);
	ctf_guard_stop(r->guard);
	r->guard = NULL;
	worker_free(r->worker);
	r->worker = NULL;
}

/* received = stored + discarded, of every stream. */
static void check_ledgers(struct ctf_rig *r)
{
	for (unsigned i = 0; i < CTF_RIG_STREAMS; i++) {
		struct stream_half h = ctf_rig_half(r, i);
		uint64_t sum = h.ledger.stored;

		for (unsigned k = 0; k < DISCARD_COUNT; k++)
			sum += h.ledger.discarded[k];
		cr_assert_eq(h.ledger.received, sum, "stream %u", i);
	}
}

void ctf_rig_free(struct ctf_rig *r)
{
	char command[64];

	if (r->worker)
		ctf_rig_stop(r);
	check_ledgers(r);
	for (unsigned i = 0; i < CTF_RIG_CONNECTIONS; i++) {
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

void ctf_rig_look(struct ctf_rig *r)
{
	if (r->worker)
		worker_look(r->worker, source_ref);
}

static void ring_write(struct ctf_rig *r, uint64_t position, const void *from, size_t len)
{
	size_t at = (size_t)(position & (CTF_RING - 1));
	size_t first = len < CTF_RING - at ? len : CTF_RING - at;

	if (!len)
		return;
	memcpy(r->ctf->ring + at, from, first);
	memcpy(r->ctf->ring, (const uint8_t *)from + first, len - first);
}

void ctf_rig_order(struct ctf_rig *r, enum ctf_order_type type, int stream, uint64_t number,
		   uint64_t value, uint32_t flag, const void *payload, uint32_t bytes)
{
	struct ctf_order head = {.type = type,
				 .bytes = bytes,
				 .stream = stream < 0 ? 0 : (uint32_t)stream + 1,
				 .flag = flag,
				 .stream_id = stream < 0 ? 0 : stream_id((unsigned)stream),
				 .number = number,
				 .value = value};
	struct ctf_front_half *f = ctf_front_begin(r->ctf);

	ring_write(r, f->ordered, &head, sizeof(head));
	ring_write(r, f->ordered + sizeof(head), payload, bytes);
	f->ordered += ctf_order_size(bytes);
	ctf_front_commit(r->ctf);
	ctf_rig_look(r);
}

void ctf_rig_stream(struct ctf_rig *r, unsigned i, bool metadata, uint64_t tracefile_size,
		    uint64_t tracefile_count)
{
	struct ctf_stream_slot *c = &r->st.ctf_stream[i];
	struct stream_slot *t = &r->st.stream[i];
	uint32_t last = r->source->first_stream;

	t->source = source_ref;
	t->cpu = i;
	c->metadata = metadata;
	c->tracefile_size = tracefile_size;
	c->tracefile_count = tracefile_count;
	strcpy(c->path, r->ctf->minor > 10 ? "ust/uid/0/64-bit" : "vm/s1/ust/uid/0/64-bit");
	if (metadata)
		strcpy(c->name, "metadata");
	else
		snprintf(c->name, sizeof(c->name), "ch_%u", i);
	atomic_store(&t->id, stream_id(i));
	while (last && r->st.stream[last - 1].next)
		last = r->st.stream[last - 1].next;
	atomic_store(last ? &r->st.stream[last - 1].next : &r->source->first_stream, i + 1);
	ctf_rig_order(r, CTF_ORDER_STREAM, (int)i, 0, 0, 0, NULL, 0);
}

void ctf_rig_chunk(struct ctf_rig *r, uint64_t id, const char *name)
{
	ctf_rig_order(r, CTF_ORDER_CHUNK, -1, id, CREATED + id, 0, name, (uint32_t)strlen(name));
}

/* What the record must be, but for its offset. */
static size_t index_bytes(uint8_t *to, size_t cap, unsigned minor, uint64_t number, uint64_t lost,
			  uint32_t len)
{
	struct wire_writer w = wire_writer_init(to, cap);

	wire_put_u64(&w, (uint64_t)(len + CTF_RIG_PAD) * 8);
	wire_put_u64(&w, (uint64_t)len * 8);
	wire_put_u64(&w, 1000 + number);
	wire_put_u64(&w, 2000 + number);
	wire_put_u64(&w, lost);
	wire_put_u64(&w, 5);
	if (minor >= 8) {
		wire_put_u64(&w, 6);
		wire_put_u64(&w, number);
	}
	return w.len;
}

void ctf_rig_index(struct ctf_rig *r, unsigned i, uint64_t seq, uint64_t number, uint64_t lost)
{
	uint8_t bytes[64];
	size_t len = index_bytes(bytes, sizeof(bytes), r->ctf->minor, number, lost, 4000);

	ctf_rig_order(r, CTF_ORDER_INDEX, (int)i, seq, 0, 0, bytes, (uint32_t)len);
}

void ctf_rig_metadata(struct ctf_rig *r, unsigned i, const char *text, uint32_t padding)
{
	size_t half = strlen(text) / 2;

	ctf_rig_order(r, CTF_ORDER_METADATA, (int)i, 0, 0, 0, text, (uint32_t)half);
	ctf_rig_order(r, CTF_ORDER_METADATA, (int)i, 0, padding, 1, text + half,
		      (uint32_t)(strlen(text) - half));
}

void ctf_rig_end_control(struct ctf_rig *r, bool in_order)
{
	struct source_front_half *f = source_front_begin(&r->source->front);

	f->control_ended = in_order ? CLOSE_finished : CLOSE_eof_without_close;
	f->closed_in_order = in_order;
	f->drained = 1;
	source_front_commit(&r->source->front);
	ctf_rig_look(r);
}

bool ctf_rig_applied(struct ctf_rig *r)
{
	return atomic_load(&r->ctf->applied) == ctf_front_now(r->ctf)->ordered;
}

/* ---- the client's part ---- */

void ctf_rig_payload(uint8_t *to, unsigned i, uint64_t seq, uint32_t len)
{
	uint32_t x = (uint32_t)seq * 2654435761u + i + 1;

	for (uint32_t k = 0; k < len; k++) {
		x = x * 1664525u + 1013904223u;
		to[k] = (uint8_t)(x >> 24);
	}
}

static void hand_over(struct ctf_rig *r, unsigned c)
{
	struct conversation_slot *slot = &r->st.conversation[c];
	struct conversation_half *h = conversation_begin(slot);

	cr_assert_eq(recv(r->relay[c], slot->ring, CTF_DATA_HEADER_SIZE, MSG_WAITALL),
		     CTF_DATA_HEADER_SIZE);
	h->received_base = CTF_DATA_HEADER_SIZE;
	conversation_commit(slot);
	atomic_store(&slot->source, 1);
	r->handed[c] = true;
	if (r->worker)
		worker_connection(r->worker, connection_ref(c), dup(r->relay[c]));
}

static uint8_t *packet_bytes(unsigned i, uint64_t seq, uint32_t len)
{
	uint8_t *bytes = malloc(CTF_DATA_HEADER_SIZE + len);
	struct wire_writer w = wire_writer_init(bytes, CTF_DATA_HEADER_SIZE);

	wire_put_u64(&w, 0);
	wire_put_u64(&w, ctf_handle(i, stream_id(i)));
	wire_put_u64(&w, seq);
	wire_put_u32(&w, len);
	wire_put_u32(&w, CTF_RIG_PAD);
	ctf_rig_payload(bytes + CTF_DATA_HEADER_SIZE, i, seq, len);
	return bytes;
}

static void send_all(struct ctf_rig *r, unsigned c, const uint8_t *bytes, uint32_t from,
		     uint32_t to)
{
	while (from < to) {
		uint32_t n = to - from;
		ssize_t k;

		if (!r->handed[c]) /* the header by itself: it is taken here */
			n = CTF_DATA_HEADER_SIZE;
		k = send(r->peer[c], bytes + from, n, MSG_NOSIGNAL);
		cr_assert_gt(k, 0);
		from += (uint32_t)k;
		if (!r->handed[c])
			hand_over(r, c);
	}
}

void ctf_rig_send(struct ctf_rig *r, unsigned c, unsigned i, uint64_t seq, uint32_t len,
		  uint32_t cut)
{
	uint8_t *bytes = packet_bytes(i, seq, len);

	send_all(r, c, bytes, 0,
		 cut < CTF_DATA_HEADER_SIZE + len ? cut : CTF_DATA_HEADER_SIZE + len);
	free(bytes);
}

void ctf_rig_send_rest(struct ctf_rig *r, unsigned c, unsigned i, uint64_t seq, uint32_t len,
		       uint32_t cut)
{
	uint8_t *bytes = packet_bytes(i, seq, len);

	send_all(r, c, bytes, cut, CTF_DATA_HEADER_SIZE + len);
	free(bytes);
}

void ctf_rig_close(struct ctf_rig *r, unsigned c)
{
	shutdown(r->peer[c], SHUT_WR);
}

void ctf_rig_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- the judge's part ---- */

struct stream_half ctf_rig_half(struct ctf_rig *r, unsigned i)
{
	struct stream_half h;

	stream_read(&r->st.stream[i], &h);
	return h;
}

static void full_path(struct ctf_rig *r, const char *path, char *ret, size_t cap)
{
	struct source_half h;

	source_read(r->source, &h);
	snprintf(ret, cap, "%s/%s/%s", r->dir, h.dir, path);
}

int64_t ctf_rig_size(struct ctf_rig *r, const char *path)
{
	char full[600];
	struct stat sb;

	full_path(r, path, full, sizeof(full));
	return lstat(full, &sb) < 0 ? -1 : (int64_t)sb.st_size;
}

static uint8_t *read_file(struct ctf_rig *r, const char *path, size_t *ret_len)
{
	char full[600];
	uint8_t *bytes;
	FILE *f;

	full_path(r, path, full, sizeof(full));
	f = fopen(full, "r");
	cr_assert_not_null(f, "%s: %s", full, strerror(errno));
	fseek(f, 0, SEEK_END);
	*ret_len = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(*ret_len + 1);
	cr_assert_eq(fread(bytes, 1, *ret_len, f), *ret_len);
	fclose(f);
	return bytes;
}

void ctf_rig_expect(struct ctf_rig *r, const char *path, unsigned i, uint64_t seq, unsigned count,
		    uint32_t len)
{
	uint8_t *want = calloc(1, len + CTF_RIG_PAD), *got;
	size_t total;

	got = read_file(r, path, &total);
	cr_assert_eq(total, (size_t)count * (len + CTF_RIG_PAD), "%s: %zu bytes", path, total);
	for (unsigned k = 0; k < count; k++) {
		ctf_rig_payload(want, i, seq + k, len);
		cr_assert_eq(memcmp(got + (size_t)k * (len + CTF_RIG_PAD), want, len + CTF_RIG_PAD),
			     0, "%s: packet %u", path, k);
	}
	free(got);
	free(want);
}

void ctf_rig_expect_index(struct ctf_rig *r, const char *path, uint64_t number, unsigned count,
			  uint32_t len)
{
	size_t record = r->ctf->minor >= 8 ? 72 : 56, total;
	uint8_t want[72], *got = read_file(r, path, &total);
	struct wire_writer w = wire_writer_init(want, sizeof(want));

	cr_assert_eq(total, 16 + count * record, "%s: %zu bytes", path, total);
	wire_put_u32(&w, 0xC1F1DCC1);
	wire_put_u32(&w, 1);
	wire_put_u32(&w, r->ctf->minor >= 8);
	wire_put_u32(&w, (uint32_t)record);
	cr_assert_arr_eq(got, want, 16);
	for (unsigned k = 0; k < count; k++) {
		wire_set_u64_as(want, (uint64_t)k * (len + CTF_RIG_PAD), true);
		index_bytes(want + 8, sizeof(want) - 8, r->ctf->minor, number + k, 0, len);
		cr_assert_eq(memcmp(got + 16 + k * record, want, record), 0, "%s: record %u", path,
			     k);
	}
	free(got);
}

void ctf_rig_glob(struct ctf_rig *r, const char *pattern, char *ret, size_t cap)
{
	char full[600], root[600];
	glob_t g;

	full_path(r, pattern, full, sizeof(full));
	full_path(r, "", root, sizeof(root));
	cr_assert_eq(glob(full, 0, NULL, &g), 0, "%s", full);
	cr_assert_eq(g.gl_pathc, 1, "%s: %zu", full, (size_t)g.gl_pathc);
	snprintf(ret, cap, "%s", g.gl_pathv[0] + strlen(root));
	globfree(&g);
}

void ctf_rig_expect_chunk(struct ctf_rig *r, const char *dir, uint64_t seq, unsigned count,
			  uint32_t len, int64_t metadata)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/" CTF_RIG_DIR "ch_0", dir);
	ctf_rig_expect(r, path, 0, seq, count, len);
	snprintf(path, sizeof(path), "%s/" CTF_RIG_DIR "index/ch_0.idx", dir);
	ctf_rig_expect_index(r, path, seq, count, len);
	snprintf(path, sizeof(path), "%s/" CTF_RIG_DIR "metadata", dir);
	cr_assert_eq(ctf_rig_size(r, path), metadata, "%s", path);
	snprintf(path, sizeof(path), "%s/chunk.json", dir);
	cr_assert_gt(ctf_rig_size(r, path), 0);
}
