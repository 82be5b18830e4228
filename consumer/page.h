/* SPDX-License-Identifier: MIT */
/*
 * page.h - sub-buffers ("pages") of the kernel's ring buffer: what their headers say.
 *
 * A sub-buffer starts with a u64 time stamp and a "commit" word of 4 or 8 bytes (the traced
 * kernel's long); events follow. Everything is in the traced kernel's byte order. Pure functions
 * over bytes that a peer sent: nothing here trusts them, allocates, or does I/O. Thread: any.
 * Source of the rules: doc/protocol.md, "Ring-buffer pages".
 */
#ifndef CONSUMER_PAGE_H
#define CONSUMER_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE_MIN   4096u          /* smallest sub-buffer any kernel has */
#define PAGE_SIZE_MAX   (1024u * 1024) /* largest that kernels allow (6.8 and later) */
#define PAGE_HEADER_MAX 16u            /* bytes of time stamp and commit word, at most */

/* How one stream's pages are to be read. Plain data; copy at will. */
struct page_format {
	uint32_t size; /* bytes of one sub-buffer; a power of two, PAGE_SIZE_MIN..PAGE_SIZE_MAX */
	uint8_t commit_size; /* 4 or 8: bytes of the commit word */
	bool big_endian;     /* byte order of the traced kernel */
};

struct page_header {
	uint64_t time;         /* ns or counts of the trace clock; that of the first event */
	uint32_t commit;       /* bytes of events behind the header; 0 = empty page */
	bool lost;             /* events were lost before this page */
	bool lost_count_known; /* ... and the kernel noted how many */
	uint64_t lost_count;   /* 0 unless known */
};

/* Sums over pages; page_scan() adds to them, so zero them once per stream or per chunk. */
struct page_totals {
	uint64_t pages;       /* all of them, empty and bad ones included */
	uint64_t empty_pages; /* commit 0 */
	uint64_t bad_pages; /* commit does not fit the sub-buffer; neither times nor losses taken */
	uint64_t lost_events;    /* sum of the known counts */
	uint64_t lost_intervals; /* times that events were lost and the count is not known */
	uint64_t time_first;     /* smallest and largest header time of pages with events; */
	uint64_t time_last;      /* both 0 while there is none */
};

/* True if @format can be used with the functions below: they assert it. Check what a peer claims.
 */
bool page_format_valid(const struct page_format *format);

/* Bytes of the header: 12 or 16. */
static inline uint32_t page_header_size(const struct page_format *format)
{
	return 8u + format->commit_size;
}

/*
 * Reads the header of the page at @page.
 * @len  bytes readable there; at least the header's size, else -EINVAL. A lost-events count is read
 *       only if @len reaches it (the whole page is enough); otherwise it counts as not known.
 * Return 0; -EBADMSG if the commit does not fit into the sub-buffer (@ret untouched): the
 * sub-buffer is larger than @format says, or the bytes are no page.
 */
int page_read(const uint8_t *page, size_t len, const struct page_format *format,
	      struct page_header *ret);

enum page_scan_mode {
	/*
	 * Stop at the first page that @format cannot explain: its commit does not fit or its header
	 * is all zero (the sub-buffers are larger), or there is a header behind its events (they
	 * are smaller). The caller then asks page_prove_size().
	 */
	PAGE_SCAN_STOP_AT_DOUBT,
	/* Count such pages (bad_pages, empty_pages) and go on: what to use when the size is
	   settled. */
	PAGE_SCAN_ALL,
};

/*
 * Reads the headers of the whole pages in a window and adds them to @totals; one cache line a page
 * (two where the kernel noted a count of lost events).
 * @len  bytes in the window; a partial page at its end is not looked at.
 * Return the bytes consumed: all whole pages, or, in PAGE_SCAN_STOP_AT_DOUBT, the position of the
 * doubtful page, which is not in @totals.
 */
size_t page_scan(const uint8_t *window, size_t len, const struct page_format *format,
		 enum page_scan_mode mode, struct page_totals *totals);

/*
 * The sub-buffer size that the start of a stream proves.
 * @bytes   the stream from its position 0 (in the middle of a sub-buffer anything may look like a
 *          header), as much of it as there is, up to a few MiB: not just up to the doubtful page
 * @format  its size is not asked: claims are wrong both ways, as clients send what the top buffer
 *          has, whichever buffer is recorded
 * Return the smallest power of two, PAGE_SIZE_MIN to PAGE_SIZE_MAX, as the size that explains
 * every header seen: commit fits, no stray bits, zeros behind the events and nowhere else (a
 * sub-buffer that nobody wrote is accepted if no size does without). Times are not asked: datagrams
 * overtake each other. 0 if there is none: a page is bad, whatever the size, and the claim is as
 * good as any other. Not to be trusted without page_proof_holds().
 */
uint32_t page_prove_size(const uint8_t *bytes, size_t len, const struct page_format *format);

/*
 * Whether a result of page_prove_size() can be relied on: the header behind the first sub-buffer
 * was among the @len bytes, or they are all that the stream has (@ended). Until then ask again with
 * more: a page of 5000 bytes, seen alone, fits into 8 KiB as well as into 16.
 */
static inline bool page_proof_holds(uint32_t proved, size_t len, bool ended)
{
	return proved != 0 && len >= (size_t)proved + (ended ? 0 : PAGE_HEADER_MAX);
}

/*
 * Notes in the page itself that events were lost before it, as the kernel does: sets bit 31 of the
 * commit's low 32 bits. A count that the kernel noted stays: it says more than none.
 * @page  at least page_header_size() bytes, changed in place; marking twice is harmless.
 * Readers print EVENTS DROPPED there.
 */
void page_mark_lost(uint8_t *page, const struct page_format *format);

/*
 * Makes the header of an empty page that fills a gap inside a region; the rest of the page may be a
 * hole. @time is that of the next real page: readers seek by bisecting header times.
 * @ret_header  page_header_size() bytes
 */
void page_make_filler(const struct page_format *format, uint64_t time, uint8_t *ret_header);

/*
 * Counts the events of one whole page by walking it (for tests, tools and the repair of a chunk's
 * last page; not for the hot path). Time extends, padding and discarded events do not count.
 * @page  format->size bytes
 * Return the count, or -EBADMSG where the page contradicts itself.
 */
int64_t page_count_events(const uint8_t *page, const struct page_format *format);

#endif
