/* SPDX-License-Identifier: MIT */
/* state.c - making, mapping and reading the state memory; what it means stands in state.h. */
#include "common/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tsan.h"

static size_t page_up(size_t n)
{
	return (n + STATE_PAGE - 1) & ~(size_t)(STATE_PAGE - 1);
}

/* Where each table lies: one after the other, page aligned. Gives the whole size. */
static size_t lay_out(const struct state_capacity *c, uint8_t *base, struct state *ret)
{
	size_t at = 0;

#define PLACE(field, n)                                   \
	do {                                              \
		if (ret)                                  \
			ret->field = (void *)(base + at); \
		at += page_up(sizeof(*ret->field) * (n)); \
	} while (0)
	PLACE(header, 1);
	PLACE(counters, c->workers + 2);
	PLACE(session, STATE_SESSIONS);
	PLACE(inbox, STATE_INBOX);
	PLACE(worker, c->workers);
	PLACE(stream, c->streams);
	PLACE(ctf_stream, c->streams);
	PLACE(source, c->sources);
	PLACE(ctf_source, c->sources);
	PLACE(conversation, c->conversations);
	PLACE(viewer, c->conversations);
#undef PLACE
	return at;
}

static int map(int fd, size_t size, struct state *ret)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	struct state st = {.fd = fd, .size = size};
	struct state_capacity capacity;

	if (base == MAP_FAILED)
		return -errno;
	capacity = ((struct state_header *)base)->capacity;
	lay_out(&capacity, base, &st);
	*ret = st;
	return 0;
}

int state_create(const struct state_capacity *capacity, struct state *ret)
{
	struct state_header header = {.magic = STATE_MAGIC,
				      .version = STATE_VERSION,
				      .size = lay_out(capacity, NULL, NULL),
				      .capacity = *capacity,
				      .next_id = 1};
	int fd = memfd_create("tracerelay-state", MFD_CLOEXEC);
	size_t fixed;
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)header.size) < 0 ||
	    pwrite(fd, &header, sizeof(header), 0) != sizeof(header)) {
		r = -errno;
		goto fail;
	}
	r = map(fd, header.size, ret);
	if (r < 0)
		goto fail;
	/* Header, counters and sessions are always in use; the rest is touched slot by slot. */
	fixed = (size_t)((uint8_t *)ret->inbox - (uint8_t *)ret->header);
	r = state_touch(ret, ret->header, fixed);
	if (r < 0) {
		state_detach(ret);
		return r;
	}
	return 0;
fail:
	close(fd);
	return r;
}

int state_attach(int fd, struct state *ret)
{
	struct state_header header;
	struct stat sb;

	if (fstat(fd, &sb) < 0)
		return -errno;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return -EPROTO;
	if (header.magic != STATE_MAGIC || header.version != STATE_VERSION ||
	    header.size != (uint64_t)sb.st_size ||
	    header.size != lay_out(&header.capacity, NULL, NULL))
		return -EPROTO;
	return map(fd, header.size, ret);
}

void state_detach(struct state *st)
{
	if (!st->header)
		return;
	munmap(st->header, st->size);
	close(st->fd);
	memset(st, 0, sizeof(*st));
	st->fd = -1;
}

int state_touch(const struct state *st, const void *at, size_t len)
{
	off_t from = (off_t)((const uint8_t *)at - (const uint8_t *)st->header);

	/* fallocate() without flags leaves what is there and allocates the rest as zeros. */
	if (fallocate(st->fd, 0, from, (off_t)len) < 0)
		return -errno;
	return 0;
}

void state_release(const struct state *st, const void *at, size_t len)
{
	size_t from = (size_t)((const uint8_t *)at - (const uint8_t *)st->header);
	size_t end = (from + len) & ~(size_t)(STATE_PAGE - 1);

	from = page_up(from);
	if (end > from)
		(void)fallocate(st->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
				(off_t)(end - from));
}

void *state_begin(const _Atomic uint32_t *count, void *half0, void *half1, size_t size)
{
	uint32_t c = atomic_load_explicit(count, memory_order_relaxed);
	void *idle = c & 1 ? half0 : half1;

	/* The flip that made it idle is seen before it changes: by readers, and after a SIGKILL. */
	atomic_thread_fence(memory_order_release);
	memcpy(idle, c & 1 ? half1 : half0, size);
	return idle;
}

/*
 * The copy may meet a writer in the other half: two commits since the count was read make the copy
 * worthless, and the second look at the count sees that.
 */
TSAN_READS_RACILY static void copy_racy(void *to, const void *from, size_t size)
{
	uint64_t *t = to;
	const volatile uint64_t *f = from;

	for (size_t i = 0; i < size / sizeof(*t); i++)
		t[i] = f[i];
}

void state_read(const _Atomic uint32_t *count, const void *half0, const void *half1, void *ret,
		size_t size)
{
	uint32_t before, after;

	do {
		before = atomic_load_explicit(count, memory_order_acquire);
		copy_racy(ret, before & 1 ? half1 : half0, size);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(count, memory_order_relaxed);
	} while (before != after);
}

struct conversation_slot *state_conversation(const struct state *st, struct state_ref ref)
{
	if (!ref.id || ref.index >= st->header->capacity.conversations ||
	    atomic_load(&st->conversation[ref.index].id) != ref.id)
		return NULL;
	return &st->conversation[ref.index];
}

struct source_slot *state_source(const struct state *st, struct state_ref ref)
{
	if (!ref.id || ref.index >= st->header->capacity.sources ||
	    atomic_load(&st->source[ref.index].id) != ref.id)
		return NULL;
	return &st->source[ref.index];
}

struct stream_slot *state_stream(const struct state *st, struct state_ref ref)
{
	if (!ref.id || ref.index >= st->header->capacity.streams ||
	    atomic_load(&st->stream[ref.index].id) != ref.id)
		return NULL;
	return &st->stream[ref.index];
}

struct session_slot *state_session_of(const struct state *st, const struct source_slot *source)
{
	uint32_t n = atomic_load(&source->session);

	if (!n || n > STATE_SESSIONS || !atomic_load(&st->session[n - 1].id))
		return NULL;
	return &st->session[n - 1];
}

struct state_ref state_ref_of_conversation(const struct state *st,
					   const struct conversation_slot *s)
{
	return (struct state_ref){.index = (uint32_t)(s - st->conversation),
				  .id = atomic_load(&s->id)};
}

struct state_ref state_ref_of_source(const struct state *st, const struct source_slot *s)
{
	return (struct state_ref){.index = (uint32_t)(s - st->source), .id = atomic_load(&s->id)};
}

struct state_ref state_ref_of_stream(const struct state *st, const struct stream_slot *s)
{
	return (struct state_ref){.index = (uint32_t)(s - st->stream), .id = atomic_load(&s->id)};
}

const char *protocol_name(enum protocol p)
{
	static const char *const names[PROTOCOL_COUNT] = {
		[PROTOCOL_UNKNOWN] = "unknown",
		[PROTOCOL_TRACE_CMD_V1] = "trace-cmd V1",
		[PROTOCOL_TRACE_CMD_V2_2015] = "trace-cmd V2 (2015)",
		[PROTOCOL_TRACE_CMD_V2] = "trace-cmd V2",
		[PROTOCOL_TRACE_CMD_V3] = "trace-cmd V3",
		[PROTOCOL_LTTNG] = "LTTng",
	};

	return p < PROTOCOL_COUNT ? names[p] : names[PROTOCOL_UNKNOWN];
}
