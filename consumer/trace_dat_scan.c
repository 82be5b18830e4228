/* SPDX-License-Identifier: MIT */
/* trace_dat_scan.c - see trace_dat_scan.h. */
#include "consumer/trace_dat_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_BACK 4096 /* pages of zeros looked at one by one, from the end */

static int read_fully(int fd, uint8_t *to, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The end of the last extent with data in [start, limit); start if there is none. */
static int data_end(int fd, uint64_t start, uint64_t limit, uint64_t *ret)
{
	uint64_t end = start;

	while (end < limit) {
		off_t data = lseek(fd, (off_t)end, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return -errno;
		if ((uint64_t)data >= limit)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		end = (uint64_t)hole;
	}
	*ret = end < limit ? end : limit;
	return 0;
}

/* 1 if the page's header is not all zero, 0 if it is, or negative errno. */
static int page_is_written(int fd, uint64_t offset, const struct page_format *format)
{
	uint8_t header[PAGE_HEADER_MAX] = {0};
	int err = read_fully(fd, header, page_header_size(format), offset);

	if (err < 0)
		return err;
	for (size_t i = 0; i < sizeof(header); i++) {
		if (header[i])
			return 1;
	}
	return 0;
}

/* Drops unwritten pages from the end. Extents make those few; where the file system does not tell
 * extents, there may be terabytes of them, so after a look at the last ones the end is bisected. */
static int trim_unwritten(int fd, uint64_t start, const struct page_format *format, uint64_t *pages)
{
	uint64_t written = 0, not = *pages;
	int r;

	for (unsigned i = 0; i < LOOK_BACK; i++) {
		if (not == 0) {
			*pages = 0;
			return 0;
		}
		r = page_is_written(fd, start + (not -1) * format->size, format);
		if (r < 0)
			return r;
		if (r) {
			*pages = not ;
			return 0;
		}
		not --;
	}
	while (written < not ) {
		uint64_t middle = written + (not -written) / 2;

		r = page_is_written(fd, start + middle * format->size, format);
		if (r < 0)
			return r;
		if (r)
			written = middle + 1;
		else
			not = middle;
	}
	*pages = written;
	return 0;
}

static int region_bytes(int fd, uint64_t start, uint64_t limit, const struct page_format *format,
			uint8_t *page, uint64_t *ret)
{
	uint64_t end = start, pages;
	int err;

	err = data_end(fd, start, limit, &end);
	if (err < 0)
		return err;
	pages = (end - start) / format->size;
	err = trim_unwritten(fd, start, format, &pages);
	if (err < 0)
		return err;
	/* A page that was cut off ends in zeros, which are no events. */
	if (pages > 0) {
		err = read_fully(fd, page, format->size, start + (pages - 1) * format->size);
		if (err < 0)
			return err;
		if (page_count_events(page, format) < 0)
			pages--;
	}
	*ret = pages * format->size;
	return 0;
}

int trace_dat_scan_regions(int fd, const struct trace_dat_layout *layout,
			   const struct page_format *format, struct trace_dat_region *ret_regions)
{
	struct stat st;
	uint8_t *page;
	int err = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	page = malloc(format->size);
	if (!page)
		return -ENOMEM;
	for (uint32_t cpu = 0; cpu < layout->cpus && err == 0; cpu++) {
		uint64_t start = trace_dat_layout_region(layout, cpu);
		uint64_t limit = start + layout->stride;
		uint64_t bytes = 0;

		if (limit > (uint64_t)st.st_size)
			limit = (uint64_t)st.st_size;
		if (start < limit)
			err = region_bytes(fd, start, limit, format, page, &bytes);
		ret_regions[cpu] = (struct trace_dat_region){.offset = start, .bytes = bytes};
	}
	free(page);
	return err;
}
