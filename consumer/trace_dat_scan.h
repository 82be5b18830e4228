/* SPDX-License-Identifier: MIT */
/*
 * trace_dat_scan.h - finds the ends of the regions in a chunk whose writers were both killed.
 *
 * With relayd alone killed the state memory knows them exactly; this is for what is found at a
 * start without it. Reads the file's extents and page headers. Does I/O: a worker's thread.
 */
#ifndef CONSUMER_TRACE_DAT_SCAN_H
#define CONSUMER_TRACE_DAT_SCAN_H

#include "consumer/page.h"
#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_tail.h"

/*
 * @fd           the chunk, readable; its file offset is moved
 * @ret_regions  [layout->cpus]: offset of each region and the bytes of whole pages in it. Pages of
 *               zeros at the end do not count, nor a last page that was not written to its end (as
 *               far as walking its events can tell).
 * Return 0, or negative errno of the I/O.
 */
int trace_dat_scan_regions(int fd, const struct trace_dat_layout *layout,
			   const struct page_format *format, struct trace_dat_region *ret_regions);

#endif
