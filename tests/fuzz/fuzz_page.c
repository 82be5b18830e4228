/* SPDX-License-Identifier: MIT */
/*
 * fuzz_page.c - a stream of pages into everything that reads pages.
 * The first byte chooses the format: bit 0 byte order, bit 1 commit size; the size is 4096.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for any page; @page is a copy that may be changed. */
static void check_page(uint8_t *page, const struct page_format *format)
{
	struct page_header before, after;
	int64_t events = page_count_events(page, format);

	if (page_read(page, format->size, format, &before) < 0) {
		assert(events < 0);
		return;
	}
	assert(before.commit <= format->size - page_header_size(format));
	assert(events <= before.commit / 4);
	if (before.lost_count_known)
		assert(before.lost);
	page_mark_lost(page, format);
	/* A count without a loss may lie beyond the page; only with the loss it is one. */
	if (page_read(page, format->size, format, &after) == 0)
		assert(after.lost && after.commit == before.commit && after.time == before.time);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct page_format format = {.size = PAGE_SIZE_MIN, .commit_size = 8};
	struct page_totals totals = {0}, doubted = {0};
	size_t scanned;
	uint32_t proved;
	uint8_t *copy;

	if (size == 0)
		return 0;
	format.big_endian = data[0] & 1;
	format.commit_size = data[0] & 2 ? 4 : 8;
	data++;
	size--;

	scanned = page_scan(data, size, &format, PAGE_SCAN_ALL, &totals);
	assert(scanned == size - size % format.size && totals.pages == size / format.size);
	assert(totals.empty_pages + totals.bad_pages <= totals.pages);
	scanned = page_scan(data, size, &format, PAGE_SCAN_STOP_AT_DOUBT, &doubted);
	assert(doubted.pages == scanned / format.size && doubted.bad_pages == 0);
	proved = page_prove_size(data, size, &format);
	assert(proved == 0 || (proved >= format.size && proved <= PAGE_SIZE_MAX));

	copy = malloc(size + 1);
	assert(copy);
	memcpy(copy, data, size);
	for (size_t at = 0; size - at >= format.size; at += format.size)
		check_page(copy + at, &format);
	free(copy);
	return 0;
}
