/* SPDX-License-Identifier: MIT */
/* place.c - directories that are made, directories that are refused, locks that are waited for. */
#include "sessiond-lite/place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/log.h"

static char top[64];
static struct place_user me;

static void make_top(void)
{
	strcpy(top, "/tmp/place.XXXXXX");
	cr_assert(mkdtemp(top));
	cr_assert_eq(place_find_user("", &me), 0);
	cr_assert_not(me.other);
}

static void remove_top(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert_eq(system(command), 0);
}

static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

Test(place, parents_are_made)
{
	struct stat sb;
	mode_t before = umask(0077);
	int fd;

	make_top();
	cr_assert_eq(place_open_dir(below("a//b/c/"), 0750, &me, &fd), 0);
	umask(before);
	cr_assert_eq(fstat(fd, &sb), 0);
	cr_assert_eq(sb.st_mode & 07777, 0750, "whatever the umask is");
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	/* a second time: what is there stays as it is */
	cr_assert_eq(chmod(below("a/b/c"), 0700), 0);
	cr_assert_eq(place_open_dir(below("a/b/c"), 0750, &me, &fd), 0);
	cr_assert_eq(fstat(fd, &sb), 0);
	cr_assert_eq(sb.st_mode & 07777, 0700);
	close(fd);
	remove_top();
}

Test(place, no_directory)
{
	int fd;

	make_top();
	fd = open(below("file"), O_CREAT | O_WRONLY, 0600);
	close(fd);
	cr_assert_eq(place_open_dir(below("file"), 0750, &me, &fd), -ENOTDIR);
	cr_assert_eq(place_open_dir(below("file/x"), 0750, &me, &fd), -ENOTDIR);
	cr_assert_eq(place_open_dir("/proc/nothing/here", 0750, &me, &fd), -ENOENT);
	remove_top();
}

/* /tmp/tracerelay-UID: another user may have been first. */
Test(place, a_squatted_directory_is_refused)
{
	int fd;

	make_top();
	cr_assert_eq(chmod(top, 01777), 0);
	cr_assert_eq(place_open_dir(below("mine"), 0755, &me, &fd), 0);
	close(fd);
	cr_assert_eq(chmod(below("mine"), 0777), 0);
	cr_assert_eq(place_open_dir(below("mine"), 0755, &me, &fd), -EPERM);
	if (!geteuid()) {
		cr_assert_eq(chmod(below("mine"), 0700), 0);
		cr_assert_eq(chown(below("mine"), 12345, 12345), 0);
		cr_assert_eq(place_open_dir(below("mine"), 0755, &me, &fd), -EPERM);
	}
	remove_top();
}

Test(place, users)
{
	struct place_user u;

	cr_assert_eq(place_find_user("no-such-user-here", &u), -ENOENT);
	cr_assert_eq(place_find_user("root", &u), geteuid() ? -EPERM : 0);
	if (!geteuid()) {
		cr_assert_not(u.other);
		cr_assert_eq(place_find_user("nobody", &u), 0);
		cr_assert(u.other);
		cr_assert_neq(u.uid, 0);
	}
}

/* In a child: 0 if all is as it should be. */
static int become_and_look(const struct place_user *u)
{
	int fd;

	if (place_become(u) < 0 || geteuid() != u->uid || getegid() != u->gid)
		return 1;
	if (!setuid(0) || !seteuid(0))
		return 2;
	fd = open(below("run/mine"), O_CREAT | O_WRONLY, 0600);
	return fd < 0 ? 3 : 0; /* the directory was made for the user */
}

Test(place, become_is_for_good)
{
	struct place_user u;
	int fd, status;
	pid_t pid;

	if (geteuid())
		return;
	make_top();
	cr_assert_eq(chmod(top, 0755), 0);
	cr_assert_eq(place_find_user("nobody", &u), 0);
	cr_assert_eq(place_open_dir(below("run"), 0755, &u, &fd), 0);
	close(fd);
	pid = fork();
	if (!pid)
		_exit(become_and_look(&u));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%d", WEXITSTATUS(status));
	remove_top();
}

/* A process that holds the lock; named like a daemon or not. It ends when told to. */
static pid_t holder(const char *name, int ms)
{
	int ready[2], fd, n;
	char text[32];
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, name);
		fd = open(below("lock"), O_RDWR | O_CREAT, 0600);
		n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
		if (flock(fd, LOCK_EX) || write(fd, text, (size_t)n) != n ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		usleep((useconds_t)ms * 1000);
		_exit(0);
	}
	cr_assert_eq(read(ready[0], text, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

Test(place, lock_tells_who_has_it)
{
	char text[32] = "";
	pid_t who;
	int dir, fd, file;

	make_top();
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(place_lock(dir, top, "lock", &fd, &who), 0);
	file = open(below("lock"), O_RDWR);
	cr_assert_gt(read(file, text, sizeof(text) - 1), 0);
	cr_assert_eq(atoi(text), getpid());
	cr_assert_eq(flock(file, LOCK_EX | LOCK_NB), -1);
	/* a duplicate keeps it, as relayd's does */
	file = dup(fd);
	close(fd);
	fd = open(below("lock"), O_RDWR);
	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(file);
	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	close(dir);
	remove_top();
}

Test(place, lock_waits_for_a_relayd_that_finishes)
{
	pid_t pid, who;
	int dir, fd;

	make_top();
	log_init(LOG_LEVEL_ERROR, LOG_TARGET_STDERR);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = holder("relayd", 300);
	cr_assert_eq(place_lock(dir, top, "lock", &fd, &who), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
	close(dir);
	remove_top();
}

Test(place, lock_does_not_wait_for_a_daemon_that_runs)
{
	pid_t pid, who;
	int dir, fd;

	make_top();
	log_init(LOG_LEVEL_ERROR, LOG_TARGET_STDERR);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = holder("sessiond-lite", 60000);
	cr_assert_eq(place_lock(dir, top, "lock", &fd, &who), -EBUSY);
	cr_assert_eq(who, pid);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(dir);
	remove_top();
}
