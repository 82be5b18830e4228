/* SPDX-License-Identifier: MIT */
/* place_name.c - what peers call themselves cannot leave a directory. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/place_name.h"

struct name_case {
	char from[40], want[40];
	size_t cap;
};

ParameterizedTestParameters(place_name, safe)
{
	static struct name_case cases[] = {
		{"build-7.example", "build-7.example", 40},
		{"", "", 40},
		{"..", "_.", 40},
		{"../../etc/passwd", "_._.._etc_passwd", 40},
		{".hidden", "_hidden", 40},
		{"-rf", "_rf", 40},
		{"a/b\\c d\n", "a_b_c_d_", 40},
		{"caf\xc3\xa9", "caf__", 40},
		{"abcdef", "abc", 4},
	};

	return cr_make_param_array(struct name_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct name_case *c, place_name, safe)
{
	char got[40];

	place_name_safe(c->from, got, c->cap);
	cr_assert_str_eq(got, c->want, "%s: %s", c->from, got);
}

Test(place_name, make_is_mkdir_p)
{
	char top[] = "/tmp/tracerelay-place-XXXXXX", command[64];
	struct stat sb;
	int fd;

	cr_assert_not_null(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(place_name_make(fd, "a/b/c"), 0);
	cr_assert_eq(place_name_make(fd, "a/b/c"), 0, "again");
	cr_assert_eq(fstatat(fd, "a/b/c", &sb, 0), 0);
	cr_assert(S_ISDIR(sb.st_mode));
	cr_assert_eq(sb.st_mode & 0027, 0, "not for others");
	close(openat(fd, "file", O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(place_name_make(fd, "file/x"), -ENOTDIR);
	snprintf(command, sizeof(command), "rm -r '%s'", top);
	cr_assert_eq(system(command), 0);
}
