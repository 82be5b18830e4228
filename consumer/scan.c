/* SPDX-License-Identifier: MIT */
/*
 * scan.c - reads the headers of stored pages: counts, times, what the traced kernel lost.
 *
 * After the move, from a mapping of what was stored, in windows: far cheaper than a read a page.
 * The same pass sets the loss mark that is due where this host left something out, and finds out
 * when the client's claim of the sub-buffer size is wrong (doc/protocol.md, "Sub-buffers").
 * Thread: the worker's.
 */
#include "consumer/internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCAN_WINDOW ((uint64_t)8 << 20) /* bytes mapped at once */
#define SCAN_PROOF  ((uint64_t)4 << 20) /* doubts further into a region are not looked into */
#define DOUBTS_MAX  8u /* after so many that proved nothing, the claim is taken as true */

/* loss_due: the page was seen without a mark, and gets ours */
#define LOSS_MARKING 2u

struct window {
	void *base;
	size_t size;
	const uint8_t *bytes; /* at the position asked for */
};

static int window_map(int fd, uint64_t offset, size_t len, struct window *ret)
{
	uint64_t host_page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = offset - offset % host_page;
	size_t size = (size_t)(offset - start) + len;
	void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)start);

	if (base == MAP_FAILED)
		return -errno;
	*ret = (struct window){base, size, (const uint8_t *)base + (offset - start)};
	return 0;
}

/* Set the due mark, if its page is stored by now. */
static void set_mark(struct consumer_stream *t, int fd, uint64_t region, uint64_t end)
{
	const struct stream_half *now = stream_now(t->slot);
	struct page_format format = source_view_format(source_now(t->source->slot));
	off_t at = (off_t)(region + now->loss_at);
	uint8_t header[PAGE_HEADER_MAX];
	struct page_header page;
	struct stream_half *h;
	ssize_t size = (ssize_t)page_header_size(&format);

	if (!now->loss_due || now->loss_at + format.size > end)
		return;
	if (pread(fd, header, (size_t)size, at) != size)
		return;
	if (now->loss_due != LOSS_MARKING) {
		bool marked = page_read(header, (size_t)size, &format, &page) == 0 && page.lost;

		h = stream_begin(t->slot);
		h->loss_due = marked ? 0 : LOSS_MARKING;
		stream_commit(t->slot);
		if (marked)
			return; /* the traced kernel's own mark says it already */
	}
	page_mark_lost(header, &format);
	if (pwrite(fd, header, (size_t)size, at) != size)
		return; /* tried again at the next scan */
	h = stream_begin(t->slot);
	h->loss_due = 0;
	h->ledger.marks++;
	stream_commit(t->slot);
	counters_add(t->source->worker->counters, COUNTER_pages_marked, 1);
}

/* Word size and byte order are known from the metadata, which pages may overtake. */
static bool format_known(const struct consumer_source *s)
{
	const struct source_half *h = source_now(s->slot);

	return h->metadata_parsed || h->metadata_bad;
}

/* The claim was wrong (too small or too large): every stream of the source is read again from its
 * region's start. */
static void restart_with(struct consumer_source *s, uint32_t size)
{
	struct source_half *sh = source_begin(s->slot);
	struct consumer_stream *t;

	sh->sub_buffer = size;
	sh->sub_buffer_proven = 1;
	source_commit(s->slot);
	counters_add(s->worker->counters, COUNTER_repaired_page_size, 1);
	cds_list_for_each_entry (t, &s->streams, node) {
		struct stream_half *h = stream_begin(t->slot);

		h->scanned = 0;
		h->first_time = h->last_time = 0;
		h->ledger.pages = h->chunk_base.pages;
		h->ledger.lost_events = h->chunk_base.lost_events;
		h->ledger.lost_intervals = h->chunk_base.lost_intervals;
		stream_commit(t->slot);
	}
}

enum verdict {
	VERDICT_PAGE,  /* the claim stands: read the page as it is */
	VERDICT_AGAIN, /* the size has changed: start again */
	VERDICT_WAIT,  /* more pages are needed to tell */
};

/* A page at @doubt that the format does not explain. */
static enum verdict resolve_doubt(struct consumer_stream *t, int fd, uint64_t region,
				  uint64_t doubt)
{
	struct consumer_source *s = t->source;
	const struct stream_half *h = stream_now(t->slot);
	struct page_format format = source_view_format(source_now(s->slot));
	size_t len = (size_t)(h->position < SCAN_PROOF ? h->position : SCAN_PROOF);
	struct window win;
	uint32_t size;

	if (doubt + format.size > SCAN_PROOF || window_map(fd, region, len, &win) < 0) {
		s->doubts++;
		return VERDICT_PAGE;
	}
	size = page_prove_size(win.bytes, len, &format);
	munmap(win.base, win.size);
	if (size == 0 || size == format.size) {
		s->doubts++;
		return VERDICT_PAGE;
	}
	if (!page_proof_holds(size, len, h->state == STREAM_ENDED))
		return VERDICT_WAIT;
	restart_with(s, size);
	return VERDICT_AGAIN;
}

static void add_totals(struct consumer_stream *t, const struct page_totals *sum, uint64_t scanned)
{
	struct counters *c = t->source->worker->counters;
	struct stream_half *h = stream_begin(t->slot);

	h->scanned = scanned;
	h->ledger.pages += sum->pages;
	h->ledger.lost_events += sum->lost_events;
	h->ledger.lost_intervals += sum->lost_intervals;
	if (sum->time_first && !h->first_time)
		h->first_time = sum->time_first;
	if (sum->time_last > h->last_time)
		h->last_time = sum->time_last;
	stream_commit(t->slot);
	counters_add(c, COUNTER_pages_stored, sum->pages);
	counters_add(c, COUNTER_kernel_events_lost, sum->lost_events);
	counters_add(c, COUNTER_kernel_losses_unknown, sum->lost_intervals);
}

void scan_datagram(struct consumer_stream *t, const uint8_t *bytes, size_t len)
{
	struct consumer_source *s = t->source;
	const struct source_half *h = source_now(s->slot);
	struct page_format format = source_view_format(h);
	uint32_t size = 0;

	if (len % format.size == 0 || len % PAGE_SIZE_MIN || !len || h->sub_buffer_proven)
		return;
	if (format_known(s))
		size = page_prove_size(bytes, len, &format);
	if (!size || len % size) /* all that its length says */
		size = (uint32_t)(len & -len);
	restart_with(s, size);
}

static void scan(struct consumer_stream *t)
{
	struct consumer_source *s = t->source;
	const struct stream_half *h = stream_now(t->slot);
	struct page_format format = source_view_format(source_now(s->slot));
	uint64_t region, end;
	int fd;

	if (h->chunk == STREAM_NO_CHUNK || h->position - h->position % format.size <= h->scanned)
		return;
	fd = chunk_file(s, h->chunk);
	if (fd < 0)
		return;
	region = trace_dat_layout_region(&s->layout, t->slot->cpu);
	end = h->position - h->position % format.size;
	set_mark(t, fd, region, end);
	while ((h = stream_now(t->slot))->scanned < end) {
		uint64_t left = end - h->scanned;
		size_t len = (size_t)(left < SCAN_WINDOW ? left : SCAN_WINDOW);
		bool settled = source_now(s->slot)->sub_buffer_proven || s->doubts >= DOUBTS_MAX;
		enum verdict verdict = VERDICT_PAGE;
		struct page_totals sum = {0};
		struct window win;
		size_t done;

		if (window_map(fd, region + h->scanned, len, &win) < 0)
			return;
		done = page_scan(win.bytes, len, &format,
				 settled ? PAGE_SCAN_ALL : PAGE_SCAN_STOP_AT_DOUBT, &sum);
		if (done < len && len - done >= format.size) {
			verdict = resolve_doubt(t, fd, region, h->scanned + done);
			if (verdict == VERDICT_AGAIN) {
				munmap(win.base, win.size);
				h = stream_now(t->slot);
				format = source_view_format(source_now(s->slot));
				end = h->position - h->position % format.size;
				continue;
			}
			if (verdict == VERDICT_PAGE)
				done += page_scan(win.bytes + done, format.size, &format,
						  PAGE_SCAN_ALL, &sum);
		}
		munmap(win.base, win.size);
		add_totals(t, &sum, h->scanned + done);
		if (verdict == VERDICT_WAIT || done < format.size)
			return;
	}
}

void scan_stream(struct consumer_stream *t)
{
	if (format_known(t->source))
		scan(t);
}

void scan_stream_end(struct consumer_stream *t)
{
	scan(t);
}
