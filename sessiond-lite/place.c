/* SPDX-License-Identifier: MIT */
/* place.c - mkdir, chown, flock, setuid. */
#include "sessiond-lite/place.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/* A sessiond-lite that was told to end, as in a restart, gets so long before it counts as running.
 */
#define ENDING_MS 5000
#define TRY_MS    50
#define TELL_MS   30000

int place_find_user(const char *name, struct place_user *ret)
{
	struct place_user u = {.uid = geteuid(), .gid = getegid()};
	struct passwd *pw;

	if (*name) {
		errno = 0;
		pw = getpwnam(name);
		if (!pw)
			return errno ? -errno : -ENOENT;
		u.other = pw->pw_uid != geteuid();
		if (u.other && geteuid())
			return -EPERM;
		u.uid = pw->pw_uid;
		u.gid = pw->pw_gid;
		snprintf(u.name, sizeof(u.name), "%s", name);
	}
	*ret = u;
	return 0;
}

/* Below a directory where anybody may make things, others may have been first. */
static int check_ours(int parent, int fd, const struct place_user *user)
{
	struct stat above, sb;

	if (fstat(parent, &above) < 0 || fstat(fd, &sb) < 0)
		return -errno;
	if (!(above.st_mode & S_IWOTH))
		return 0;
	return sb.st_uid == user->uid && !(sb.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

/* One step down; made if missing. Takes `at` over. */
static int step(int at, const char *name, mode_t mode, bool last, const struct place_user *user)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	bool made = false;
	int fd, r;

	fd = openat(at, name, flags);
	if (fd < 0 && errno == ENOENT) {
		made = !mkdirat(at, name, last ? mode : 0755);
		if (made || errno == EEXIST)
			fd = openat(at, name, flags | O_NOFOLLOW);
	}
	r = fd < 0 ? -errno : 0;
	if (r == 0 && made && last && user->other && fchown(fd, user->uid, user->gid) < 0)
		r = -errno;
	if (r == 0 && made && last && fchmod(fd, mode) < 0) /* whatever the umask said */
		r = -errno;
	if (r == 0 && last)
		r = check_ours(at, fd, user);
	close(at);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

int place_open_dir(const char *path, mode_t mode, const struct place_user *user, int *ret_fd)
{
	char copy[PATH_MAX], *save, *name, *next;
	int fd;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	fd = open(*path == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (name = strtok_r(copy, "/", &save); name; name = next) {
		next = strtok_r(NULL, "/", &save);
		fd = step(fd, name, mode, !next, user);
		if (fd < 0)
			return fd;
	}
	*ret_fd = fd;
	return 0;
}

int place_become(const struct place_user *user)
{
	if (!user->other)
		return 0;
	if (initgroups(user->name, user->gid) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

static pid_t read_holder(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return (pid_t)strtol(text, NULL, 10);
}

/* The process that wrote its number may be gone while its relayd still finishes. */
static bool is_sessiond(pid_t pid)
{
	char path[64], name[32] = "";
	ssize_t n;
	int fd;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	return n > 0 && !strncmp(name, "sessiond-lite", strlen("sessiond-lite"));
}

static int write_holder(int fd)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n ? -errno : 0;
}

int place_lock(int dir_fd, const char *dir, const char *name, int *ret_fd, pid_t *ret_holder)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	int running_ms = 0;
	int r;

	if (fd < 0)
		return -errno;
	for (int waited_ms = 0;; waited_ms += TRY_MS) {
		pid_t holder;

		if (!flock(fd, LOCK_EX | LOCK_NB))
			break;
		if (errno != EWOULDBLOCK && errno != EINTR) {
			r = -errno;
			goto fail;
		}
		holder = read_holder(fd);
		if (waited_ms % TELL_MS == 0)
			log_info("waiting-for-lock",
				 "%s is in use by an earlier relay (process %d): waiting until it "
				 "has finished",
				 dir, (int)holder);
		running_ms = is_sessiond(holder) ? running_ms + TRY_MS : 0;
		if (running_ms > ENDING_MS) {
			*ret_holder = holder;
			r = -EBUSY;
			goto fail;
		}
		poll(NULL, 0, TRY_MS);
	}
	r = write_holder(fd);
	if (r < 0)
		goto fail;
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}
