/* SPDX-License-Identifier: MIT */
/* compact_file.c - see compact_file.h. */
#include "consumer/compact_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "consumer/trace_dat_layout.h"
#include "consumer/trace_dat_tail.h"

static int build_tail(const struct compact_file *f, const struct trace_dat_region *regions,
		      uint8_t **ret_buffer, struct trace_dat_tail *ret)
{
	size_t cap = trace_dat_tail_bound(f->cpus, false);
	uint8_t *buffer = malloc(cap);
	int r;

	if (!buffer)
		return -ENOMEM;
	r = trace_dat_tail_build(&(struct trace_dat_tail_input){.meta = &f->meta,
								.cpus = f->cpus,
								.regions = regions,
								.subbuf_size = f->meta.page_size},
				 buffer, cap, ret);
	if (r < 0) {
		free(buffer);
		return r;
	}
	*ret_buffer = buffer;
	return 0;
}

int compact_file_read(int fd, uint64_t size, struct compact_file *ret)
{
	size_t len = (size_t)(size < TRACE_DAT_DATA_START ? size : TRACE_DAT_DATA_START);
	struct trace_dat_tail tail;
	uint8_t *bytes, *buffer;
	int r;

	if (!len)
		return -EBADMSG;
	bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	r = trace_dat_meta_parse(bytes, len, &ret->meta);
	if (r == 0 && (!ret->meta.complete || !ret->meta.table_at))
		r = -EBADMSG;
	if (r < 0)
		goto out;
	ret->cpus = ret->meta.cpus ? ret->meta.cpus : ret->meta.table_entries;
	ret->regions = calloc(ret->cpus ? ret->cpus : 1, sizeof(*ret->regions));
	r = !ret->regions
		    ? -ENOMEM
		    : trace_dat_tail_read_table(bytes, len, &ret->meta, ret->cpus, ret->regions);
	if (r == 0)
		r = build_tail(ret, ret->regions, &buffer, &tail);
	if (r == 0) {
		ret->tail_end = tail.end;
		free(buffer);
	}
out:
	munmap(bytes, len);
	if (r < 0)
		free(ret->regions);
	return r;
}

void compact_file_clear(struct compact_file *f)
{
	free(f->regions);
}

int compact_file_write_table(int fd, const struct compact_file *f, const struct compact_plan *plan,
			     uint32_t done)
{
	struct trace_dat_region *regions = calloc(f->cpus, sizeof(*regions));
	struct trace_dat_tail tail;
	uint8_t *buffer;
	int r;

	if (!regions)
		return -ENOMEM;
	compact_plan_table(plan, done, regions);
	r = build_tail(f, regions, &buffer, &tail);
	for (unsigned i = 0; r == 0 && i < tail.count; i++) {
		const struct trace_dat_write *w = &tail.writes[i];
		ssize_t n = pwrite(fd, w->bytes, w->len, (off_t)w->offset);

		if (n != (ssize_t)w->len)
			r = n < 0 ? -errno : -ENOSPC;
	}
	if (r == 0)
		free(buffer);
	free(regions);
	return r;
}
