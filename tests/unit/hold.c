/* SPDX-License-Identifier: MIT */
/* hold.c - descriptors kept by key. */
#include "sessiond-lite/hold.h"

#include <errno.h>
#include <fcntl.h>

#include <criterion/criterion.h>

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(hold, kept_until_released)
{
	struct hold *h;
	int a = some_fd(), b = some_fd(), c = some_fd();

	cr_assert_eq(hold_create(&h), 0);
	cr_assert_eq(hold_keep(h, 1, "x", a), 0);
	cr_assert_eq(hold_keep(h, 2, "y", b), 0);
	hold_release(h, 3);
	cr_assert(is_open(a) && is_open(b));
	hold_release(h, 1);
	cr_assert(!is_open(a) && is_open(b));
	cr_assert_eq(hold_keep(h, 2, "y", c), 0);
	cr_assert(!is_open(b) && is_open(c), "a key holds one");
	hold_free(h);
	cr_assert_not(is_open(c));
}

Test(hold, has_a_limit)
{
	struct hold *h;
	int fd = some_fd(), r;

	cr_assert_eq(hold_create(&h), 0);
	for (uint64_t i = 1;; i++) {
		r = hold_keep(h, i, "", fd);
		if (r < 0)
			break;
		cr_assert_lt(i, 10000);
		fd = some_fd();
	}
	cr_assert_eq(r, -EMFILE);
	cr_assert(is_open(fd), "a refused descriptor stays the caller's");
	hold_free(h);
}
