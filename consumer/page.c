/* SPDX-License-Identifier: MIT */
/*
 * page.c - see page.h.
 *
 * The commit word, its low 32 bits:
 *   0-26  bytes of events behind the header
 *   30    the number of lost events stands as a long behind them
 *   31    events were lost before this page
 * On 64-bit kernels bit 31 is sign extended into the upper half, which says nothing more.
 */
#include "consumer/page.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/wire.h"

#define COMMIT_BYTES 0x07ffffffu
#define COMMIT_STRAY 0x38000000u /* no kernel sets these */
#define COMMIT_COUNT 0x40000000u
#define COMMIT_LOST  0x80000000u

bool page_format_valid(const struct page_format *format)
{
	uint32_t size = format->size;

	return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0 &&
	       (format->commit_size == 4 || format->commit_size == 8);
}

/* The commit word at @at as 64 bits; a 4-byte one is extended as a 64-bit kernel would. */
static uint64_t get_commit(const uint8_t *at, const struct page_format *format)
{
	struct wire_reader r = wire_reader_init(at, format->commit_size);

	if (format->commit_size == 8)
		return wire_get_u64_as(&r, format->big_endian);
	return (uint64_t)(int64_t)(int32_t)wire_get_u32_as(&r, format->big_endian);
}

static uint64_t get_time(const uint8_t *page, const struct page_format *format)
{
	struct wire_reader r = wire_reader_init(page, 8);

	return wire_get_u64_as(&r, format->big_endian);
}

/* Whether events and the count behind them, if there is one, end within the sub-buffer. */
static bool commit_fits(uint32_t commit, const struct page_format *format)
{
	uint32_t room = format->size - page_header_size(format);

	if (commit & COMMIT_LOST && commit & COMMIT_COUNT)
		room -= format->commit_size;
	return (commit & COMMIT_BYTES) <= room;
}

int page_read(const uint8_t *page, size_t len, const struct page_format *format,
	      struct page_header *ret)
{
	uint32_t header = page_header_size(format);
	struct page_header h;
	uint32_t commit;

	assert(page_format_valid(format));
	if (len < header)
		return -EINVAL;
	commit = (uint32_t)get_commit(page + 8, format);
	if (!commit_fits(commit, format))
		return -EBADMSG;

	h = (struct page_header){
		.time = get_time(page, format),
		.commit = commit & COMMIT_BYTES,
		.lost = commit & COMMIT_LOST,
	};
	if (h.lost && commit & COMMIT_COUNT && len >= header + h.commit + format->commit_size) {
		struct wire_reader r =
			wire_reader_init(page + header + h.commit, format->commit_size);

		h.lost_count_known = true;
		h.lost_count = format->commit_size == 8 ? wire_get_u64_as(&r, format->big_endian)
							: wire_get_u32_as(&r, format->big_endian);
	}
	*ret = h;
	return 0;
}

static void totals_add(struct page_totals *totals, const struct page_header *h)
{
	totals->pages++;
	if (h->lost_count_known) /* the peer's number: a sum stuck at the top is better than a wrong
				    one */
		totals->lost_events += h->lost_count < UINT64_MAX - totals->lost_events
					       ? h->lost_count
					       : UINT64_MAX - totals->lost_events;
	else if (h->lost)
		totals->lost_intervals++;
	if (h->commit == 0) {
		totals->empty_pages++;
		return;
	}
	if (totals->time_first == 0 || h->time < totals->time_first)
		totals->time_first = h->time;
	if (h->time > totals->time_last)
		totals->time_last = h->time;
}

/* Behind its events a sub-buffer is zero: looked at where headers would be if it were smaller. */
static bool padding_is_zero(const uint8_t *page, size_t len, uint32_t commit,
			    const struct page_format *format)
{
	static const uint8_t zeros[PAGE_HEADER_MAX];
	uint32_t header = page_header_size(format);
	uint32_t used = header + (commit & COMMIT_BYTES) + format->commit_size; /* with a count */

	for (uint32_t at = PAGE_SIZE_MIN; at < format->size && len >= at + header;
	     at += PAGE_SIZE_MIN) {
		if (at >= used && memcmp(page + at, zeros, header) != 0)
			return false;
	}
	return true;
}

static bool is_doubtful(const uint8_t *page, const struct page_header *h,
			const struct page_format *format)
{
	return (h->time == 0 && h->commit == 0) ||
	       !padding_is_zero(page, format->size, h->commit, format);
}

size_t page_scan(const uint8_t *window, size_t len, const struct page_format *format,
		 enum page_scan_mode mode, struct page_totals *totals)
{
	size_t at = 0;

	assert(page_format_valid(format));
	for (; len - at >= format->size; at += format->size) {
		struct page_header h;
		int r = page_read(window + at, format->size, format, &h);

		if (mode == PAGE_SCAN_STOP_AT_DOUBT &&
		    (r < 0 || is_doubtful(window + at, &h, format)))
			return at;
		if (r < 0) {
			totals->pages++;
			totals->bad_pages++;
			continue;
		}
		totals_add(totals, &h);
	}
	return at;
}

/*
 * Whether all headers at multiples of format->size are sane, and those between them are none. A
 * size that is too small is refused by the first header, if its events do not fit, else by the
 * zeros behind them: so data is never taken for a header.
 */
static bool size_explains(const uint8_t *bytes, size_t len, const struct page_format *format,
			  bool allow_unwritten)
{
	uint32_t header = page_header_size(format);

	for (size_t at = 0; at < len && len - at >= header; at += format->size) {
		uint64_t word = get_commit(bytes + at + 8, format);
		uint32_t commit = (uint32_t)word;
		uint32_t upper = (uint32_t)(word >> 32);

		if (word == 0 && get_time(bytes + at, format) == 0 && !allow_unwritten)
			return false;
		if (commit & COMMIT_STRAY || !commit_fits(commit, format))
			return false;
		if (upper != 0 && !(upper == UINT32_MAX && commit & COMMIT_LOST))
			return false;
		if (!padding_is_zero(bytes + at, len - at, commit, format))
			return false;
	}
	return true;
}

uint32_t page_prove_size(const uint8_t *bytes, size_t len, const struct page_format *format)
{
	struct page_format f = *format;

	assert(page_format_valid(format));
	for (int allow_unwritten = 0; allow_unwritten <= 1; allow_unwritten++) {
		for (f.size = PAGE_SIZE_MIN; f.size <= PAGE_SIZE_MAX; f.size *= 2) {
			if (size_explains(bytes, len, &f, allow_unwritten))
				return f.size;
		}
	}
	return 0;
}

void page_mark_lost(uint8_t *page, const struct page_format *format)
{
	/* Where bit 31 of the low 32 bits lies. */
	size_t at = format->big_endian ? 8u + format->commit_size - 4u : 8u + 3u;

	assert(page_format_valid(format));
	page[at] |= 0x80;
}

void page_make_filler(const struct page_format *format, uint64_t time, uint8_t *ret_header)
{
	assert(page_format_valid(format));
	memset(ret_header, 0, page_header_size(format));
	wire_set_u64_as(ret_header, time, format->big_endian);
}

/* The kinds of ring-buffer events: the 5-bit type_len. 1..28: that many words of data follow. */
#define TYPE_DATA_LONG   0u  /* length in the next word, itself included */
#define TYPE_PADDING     29u /* length in the next word; no time delta: the rest is empty */
#define TYPE_TIME_EXTEND 30u
#define TYPE_TIME_STAMP  31u

int64_t page_count_events(const uint8_t *page, const struct page_format *format)
{
	struct page_header h;
	struct wire_reader r;
	int64_t events = 0;

	if (page_read(page, format->size, format, &h) < 0)
		return -EBADMSG;
	r = wire_reader_init(page + page_header_size(format), h.commit);
	while (wire_left(&r) > 0) {
		uint32_t word = wire_get_u32_as(&r, format->big_endian);
		uint32_t type = format->big_endian ? word >> 27 : word & 31;
		uint32_t delta = format->big_endian ? word & 0x07ffffff : word >> 5;
		uint32_t length;

		switch (type) {
		case TYPE_DATA_LONG:
			length = wire_get_u32_as(&r, format->big_endian);
			if (length < 4 || length > format->size)
				return -EBADMSG;
			wire_skip(&r, ((length + 3) & ~3u) - 4);
			events++;
			break;
		case TYPE_PADDING:
			if (delta == 0)
				return events;
			length = wire_get_u32_as(&r, format->big_endian);
			if (length < 4 || length > format->size)
				return -EBADMSG;
			wire_skip(&r, length - 4);
			break;
		case TYPE_TIME_EXTEND:
		case TYPE_TIME_STAMP:
			wire_skip(&r, 4);
			break;
		default:
			wire_skip(&r, (uint64_t)type * 4);
			events++;
			break;
		}
	}
	return r.err ? -EBADMSG : events;
}
