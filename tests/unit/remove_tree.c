/* SPDX-License-Identifier: MIT */
/* remove_tree.c - what goes, what stays. */
#include "sessiond-lite/remove_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char top[] = "/tmp/tracerelay-remove-XXXXXX";
static char at[4096];
static int top_fd;

static void make_top(void)
{
	cr_assert(mkdtemp(top));
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(top_fd, 0);
}

static void clean_up(void)
{
	char command[128];

	close(top_fd);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	cr_assert_eq(system(command), 0);
}

TestSuite(remove_tree, .init = make_top, .fini = clean_up);

static void dir(const char *path)
{
	cr_assert_eq(mkdirat(top_fd, path, 0750), 0, "%s", path);
}

static void file(const char *path)
{
	int fd = openat(top_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0640);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, "x", 1), 1);
	close(fd);
}

static bool exists(const char *path)
{
	struct stat sb;

	return fstatat(top_fd, path, &sb, AT_SYMLINK_NOFOLLOW) == 0;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(remove_tree, a_session)
{
	int fds = count_fds();
	char path[64];

	dir("web");
	dir("web/host-1");
	dir("web/host-1/20240101-000000-1");
	file("web/host-1/20240101-000000-1/trace.dat");
	file("web/host-1/20240101-000000-1/.trace.000002.open");
	dir("web/empty");
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "web/host-1/f%d", i);
		file(path);
	}
	dir("other");
	file("other/trace.dat");
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), 0);
	cr_assert_not(exists("web"));
	cr_assert(exists("other/trace.dat"));
	cr_assert_eq(count_fds(), fds);
}

Test(remove_tree, nothing_there_is_done)
{
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), 0);
}

Test(remove_tree, links_are_not_followed)
{
	dir("precious");
	file("precious/trace.dat");
	dir("web");
	cr_assert_eq(symlinkat("../precious", top_fd, "web/link"), 0);
	cr_assert_eq(symlinkat("/", top_fd, "web/root"), 0);
	cr_assert_eq(symlinkat("nowhere", top_fd, "web/dangling"), 0);
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), 0);
	cr_assert_not(exists("web"));
	cr_assert(exists("precious/trace.dat"));
}

Test(remove_tree, the_tree_itself_is_no_link)
{
	dir("precious");
	file("precious/trace.dat");
	cr_assert_eq(symlinkat("precious", top_fd, "web"), 0);
	cr_assert_lt(remove_tree(top_fd, "web", NULL, at, sizeof(at)), 0);
	cr_assert_str_eq(at, "web");
	cr_assert(exists("precious/trace.dat"));
	cr_assert(exists("web"));
}

Test(remove_tree, the_tree_itself_is_no_file)
{
	file("web");
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), -ENOTDIR);
	cr_assert(exists("web"));
}

Test(remove_tree, names_only)
{
	dir("a");
	dir("a/b");
	cr_assert_eq(remove_tree(top_fd, "a/b", NULL, at, sizeof(at)), -EINVAL);
	cr_assert_eq(remove_tree(top_fd, "..", NULL, at, sizeof(at)), -EINVAL);
	cr_assert_eq(remove_tree(top_fd, ".", NULL, at, sizeof(at)), -EINVAL);
	cr_assert_eq(remove_tree(top_fd, "", NULL, at, sizeof(at)), -EINVAL);
	cr_assert(exists("a/b"));
}

Test(remove_tree, too_deep)
{
	char path[1024] = "web";

	dir(path);
	for (int i = 0; i < 80; i++) {
		strcat(path, "/d");
		dir(path);
	}
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), -ELOOP);
	cr_assert_eq(strncmp(at, "web/d/d/d", 9), 0, "%s", at);
}

Test(remove_tree, says_where_it_failed)
{
	bool root = geteuid() == 0;

	/* root may delete everything */
	if (root) {
		cr_assert_eq(chmod(top, 0777), 0);
		cr_assert_eq(seteuid(65534), 0);
	}
	dir("web");
	dir("web/a");
	file("web/a/f");
	cr_assert_eq(fchmodat(top_fd, "web/a", 0500, 0), 0);
	cr_assert_eq(remove_tree(top_fd, "web", NULL, at, sizeof(at)), -EACCES);
	cr_assert_str_eq(at, "web/a/f");
	if (root)
		cr_assert_eq(seteuid(0), 0);
}

Test(remove_tree, cancelled)
{
	atomic_bool cancel = true;

	dir("web");
	cr_assert_eq(remove_tree(top_fd, "web", &cancel, at, sizeof(at)), -ECANCELED);
	cr_assert(exists("web"));
}
