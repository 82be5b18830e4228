/* SPDX-License-Identifier: MIT */
/* unix_listener.c - mode, a socket left behind, a path too long. */
#include "sessiond-lite/unix_listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

Test(unix_listener, takes_the_place_of_one_left_behind)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/unix_listener.XXXXXX", path[64];
	struct stat sb;
	int first, second, client;
	mode_t mask = umask(022);

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/x.sock", dir);
	cr_assert_eq(unix_listener_open(dir, "x.sock", 0600, &first), 0);
	cr_assert_eq(stat(path, &sb), 0);
	cr_assert_eq(sb.st_mode & 0777, 0600);
	close(first); /* as a killed daemon leaves it */
	cr_assert_eq(unix_listener_open(dir, "x.sock", 0666, &second), 0);
	cr_assert_eq(stat(path, &sb), 0);
	cr_assert_eq(sb.st_mode & 0777, 0666);
	cr_assert_eq(umask(mask), 022, "the umask is as before");
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sa.sun_path, path);
	cr_assert_eq(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(client);
	close(second);
	unlink(path);
	rmdir(dir);
}

Test(unix_listener, errors)
{
	char dir[200];
	int fd = 42;

	memset(dir, 'x', sizeof(dir));
	dir[sizeof(dir) - 1] = '\0';
	cr_assert_eq(unix_listener_open(dir, "x.sock", 0600, &fd), -ENAMETOOLONG);
	cr_assert_eq(unix_listener_open("/nonexistent", "x.sock", 0600, &fd), -ENOENT);
	cr_assert_eq(fd, 42);
}
