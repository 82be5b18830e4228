/* SPDX-License-Identifier: MIT */
/* pages.c - sub-buffers with content that can be checked; see pages.h. */
#include "tests/bench/pages.h"

#include <assert.h>
#include <string.h>

#define FILL 56 /* where the words of the pool begin */

typedef uint64_t vec __attribute__((vector_size(32)));

static vec pool[PAGES_SIZE_MAX / sizeof(vec)];

/* splitmix64: each bit of the input reaches each bit of the output. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

void pages_init(void)
{
	for (size_t i = 0; i < sizeof(pool) / sizeof(pool[0]); i++)
		for (size_t w = 0; w < 4; w++)
			pool[i][w] = mix(4 * i + w);
}

static void make_one(const struct pages_stream *s, uint64_t number, uint8_t *page)
{
	uint64_t who = (uint64_t)s->client << 32 | s->cpu;
	uint64_t key = mix(s->seed ^ mix(who ^ mix(number)));
	vec keys = {key, key, key, key};
	vec *out = (vec *)page;
	struct {
		uint64_t time, commit;
		uint32_t event, length;
		uint16_t id;
		uint8_t flags, preempt;
		int32_t pid;
		uint64_t number;
		uint32_t client, cpu;
		uint64_t seed;
	} head = {
		/* 10 us a page, from 1000 s on; the CPUs a little apart, so that a report
		 * interleaves them in a known order. */
		.time = 1000000000000 + number * 10000 + s->cpu,
		.commit = s->page_size - PAGES_HEADER,
		.length = s->page_size - PAGES_HEADER - 4,
		.id = PAGES_EVENT_ID,
		.pid = 1,
		.number = number,
		.client = s->client,
		.cpu = s->cpu,
		.seed = s->seed,
	};

	_Static_assert(sizeof(head) == FILL, "no padding");
	for (size_t i = 0; i < s->page_size / sizeof(vec); i++)
		out[i] = pool[i] ^ keys;
	memcpy(page, &head, sizeof(head));
}

void pages_make(const struct pages_stream *s, uint64_t first, uint8_t *buf, size_t n)
{
	assert((uintptr_t)buf % sizeof(vec) == 0);
	for (size_t i = 0; i < n; i++)
		make_one(s, first + i, buf + i * s->page_size);
}

void pages_read_identity(const uint8_t *page, struct pages_stream *s, uint64_t *ret_number)
{
	memcpy(ret_number, page + 32, 8);
	memcpy(&s->client, page + 40, 4);
	memcpy(&s->cpu, page + 44, 4);
	memcpy(&s->seed, page + 48, 8);
}

int pages_check(const struct pages_stream *s, uint64_t number, const uint8_t *page,
		bool marks_allowed)
{
	static _Alignas(32) uint8_t want[PAGES_SIZE_MAX];

	pages_make(s, number, want, 1);
	if (marks_allowed) {
		/* Bit 31, and the upper half, which a kernel fills by sign extension. */
		uint64_t commit;

		memcpy(&commit, page + 8, 8);
		commit &= ~(uint64_t)PAGES_COMMIT_MISSING & UINT32_MAX;
		if (commit != s->page_size - PAGES_HEADER)
			return 8;
		memcpy(want + 8, page + 8, 8);
	}
	if (memcmp(want, page, s->page_size) == 0)
		return -1;
	for (uint32_t i = 0;; i++)
		if (want[i] != page[i])
			return (int)i;
}
