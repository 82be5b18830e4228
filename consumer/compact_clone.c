/* SPDX-License-Identifier: MIT */
/* compact_clone.c - see compact_clone.h. */
#include "consumer/compact_clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/trace_dat_tail.h"

/* File systems have several words for it. */
static int clone_error(int error)
{
	switch (error) {
	case ENOTTY:
	case EINVAL:
	case EXDEV:
	case ENOSYS:
	case EOPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -error;
	}
}

/* So many bytes of one, to a place in the other; whole blocks, of which the last may end with the
 * file. */
static int share(int from, uint64_t size, uint64_t at, uint64_t len, int to, uint64_t to_at,
		 uint32_t block)
{
	struct file_clone_range range = {
		.src_fd = from,
		.src_offset = at,
		.src_length = (len + block - 1) / block * block,
		.dest_offset = to_at,
	};

	if (!len)
		return 0;
	if (range.src_offset + range.src_length > size)
		range.src_length = size - at;
	return ioctl(to, FICLONERANGE, &range) < 0 ? clone_error(errno) : 0;
}

static int share_all(int from, uint64_t size, int to, const struct compact_file *f,
		     const struct compact_plan *plan, uint32_t block)
{
	struct trace_dat_region *place = calloc(f->cpus, sizeof(*place));
	int r;

	if (!place)
		return -ENOMEM;
	compact_plan_table(plan, compact_plan_count(plan), place);
	r = share(from, size, 0, f->tail_end, to, 0, block);
	for (uint32_t i = 0; r == 0 && i < f->cpus; i++)
		r = share(from, size, f->regions[i].offset, f->regions[i].bytes, to,
			  place[i].offset, block);
	free(place);
	return r;
}

/* Whose it is, who may read it, and when it was written. */
static int take_after(int to, const struct stat *sb)
{
	const struct timespec times[2] = {sb->st_atim, sb->st_mtim};

	if (fchown(to, sb->st_uid, sb->st_gid) < 0 || fchmod(to, sb->st_mode & 07777) < 0 ||
	    futimens(to, times) < 0)
		return -errno;
	return 0;
}

int compact_clone(int dir, const char *name, int fd, const struct compact_file *f,
		  const struct compact_plan *plan, uint32_t block)
{
	char hidden[300];
	struct stat sb;
	int to, r;

	if (snprintf(hidden, sizeof(hidden), ".%s.compact", name) >= (int)sizeof(hidden))
		return -ENAMETOOLONG;
	if (fstat(fd, &sb) < 0)
		return -errno;
	to = openat(dir, hidden, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	r = share_all(fd, (uint64_t)sb.st_size, to, f, plan, block);
	if (r == 0)
		r = compact_file_write_table(to, f, plan, compact_plan_count(plan));
	if (r == 0 && ftruncate(to, (off_t)compact_plan_final_size(plan)) < 0)
		r = -errno;
	if (r == 0)
		r = take_after(to, &sb);
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	close(to);
	if (r == 0 && renameat(dir, hidden, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, hidden, 0);
	return r;
}
