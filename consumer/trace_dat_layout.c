/* SPDX-License-Identifier: MIT */
/* trace_dat_layout.c - see trace_dat_layout.h. */
#include "consumer/trace_dat_layout.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/trace_dat_tail.h"

int trace_dat_layout_init(uint32_t cpus, uint64_t max_file_size, struct trace_dat_layout *ret)
{
	uint64_t stride;

	assert(cpus >= 1);
	if (max_file_size < TRACE_DAT_DATA_START)
		return -EFBIG;
	stride = (max_file_size - TRACE_DAT_DATA_START) / cpus;
	stride -= stride % TRACE_DAT_STRIDE_UNIT;
	if (stride > TRACE_DAT_STRIDE_MAX)
		stride = TRACE_DAT_STRIDE_MAX;
	if (stride == 0)
		return -EFBIG;
	*ret = (struct trace_dat_layout){.cpus = cpus, .stride = stride};
	return 0;
}

uint64_t trace_dat_layout_region(const struct trace_dat_layout *layout, uint32_t cpu)
{
	assert(cpu <= layout->cpus);
	return TRACE_DAT_DATA_START + cpu * layout->stride;
}

uint64_t trace_dat_layout_metadata_max(uint32_t cpus)
{
	size_t tail = trace_dat_tail_bound(cpus, true);

	return tail < TRACE_DAT_DATA_START ? TRACE_DAT_DATA_START - tail : 0;
}

/* A new file in @dirfd that nobody else can see, or negative errno. */
static int open_unlinked(int dirfd)
{
	char name[64];
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* NFS and others have no O_TMPFILE. */
	snprintf(name, sizeof(name), ".probe-%ld", (long)getpid());
	fd = openat(dirfd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (unlinkat(dirfd, name, 0) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int trace_dat_layout_probe(int dirfd, uint64_t *ret_max_file_size)
{
	uint64_t fits = 0, not = (uint64_t)1 << 63; /* off_t ends here */
	struct rlimit limit;
	int fd = open_unlinked(dirfd);

	if (fd < 0)
		return fd;
	/* Beyond the process's own limit ftruncate() would raise SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < not )
		not = (uint64_t)limit.rlim_cur + 1;
	while (not -fits > 1) {
		uint64_t middle = fits + (not -fits) / 2;

		if (ftruncate(fd, (off_t)middle) == 0)
			fits = middle;
		else
			not = middle;
	}
	close(fd);
	*ret_max_file_size = fits;
	return 0;
}
