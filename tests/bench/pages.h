/* SPDX-License-Identifier: MIT */
/*
 * pages.h - the sub-buffers that the load generator sends and finds again.
 *
 * Every byte of a page follows from (seed, client, cpu, page number), and the page says which those
 * are: a byte that is missing, doubled, moved or from somebody else's stream shows. A page is a
 * valid ring-buffer page (one event that fills it, time stamps that rise), so that trace-cmd report
 * prints one line a page. Numbers are in the order of this machine, as the metadata says.
 *
 *	0	u64 time stamp		16	u32 event header: type_len 0, delta 0
 *	8	u64 commit		20	u32 length of the event, itself included
 *	24	u16 event id, u8 flags, u8 preemption count, s32 pid
 *	32	u64 page number		40	u32 client	44	u32 cpu
 *	48	u64 seed		56	words of the pool, each xor a key of all four
 *
 * Making one costs one pass over the page in the first-level cache. Stateless but for the pool.
 * Source of the layout: the kernel's events/header_page and header_event.
 */
#ifndef TESTS_BENCH_PAGES_H
#define TESTS_BENCH_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_SIZE_MIN       4096
#define PAGES_SIZE_MAX       65536
#define PAGES_HEADER         16          /* time stamp and commit */
#define PAGES_PAYLOAD        24          /* where the event's fields begin */
#define PAGES_EVENT_ID       1900        /* of the one event in the metadata */
#define PAGES_COMMIT_MISSING 0x80000000u /* events were lost before this page */

struct pages_stream {
	uint64_t seed; /* of the run: a stale file of another run does not pass */
	uint32_t client;
	uint32_t cpu;
	uint32_t page_size; /* a power of two, PAGES_SIZE_MIN..PAGES_SIZE_MAX */
};

/* Before anything else, once. */
void pages_init(void);

/* Write n whole pages from number first on. buf: n * page_size bytes, aligned to 32. */
void pages_make(const struct pages_stream *s, uint64_t first, uint8_t *buf, size_t n);

/* What a page says it is. s->page_size is taken as it stands; the rest is filled in. */
void pages_read_identity(const uint8_t *page, struct pages_stream *s, uint64_t *ret_number);

/*
 * Compare a page with what it ought to be. With marks allowed, the bits of commit by which a relay
 * says that events were lost are ignored.
 * Return -1 if every byte is right, else the offset of the first wrong one.
 */
int pages_check(const struct pages_stream *s, uint64_t number, const uint8_t *page,
		bool marks_allowed);

#endif
