/* SPDX-License-Identifier: MIT */
/* port_owner.c - from the port to the socket's inode, from there to the process. */
#include "sessiond-lite/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTENING 0x0a

/* The listening socket's inode and its user's number. */
static bool find_socket(const char *table, uint16_t port, unsigned long *ret_inode,
			unsigned *ret_uid)
{
	FILE *f = fopen(table, "re");
	char line[512];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned local, state;

		found = sscanf(line,
			       " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %u %*d %lu",
			       &local, &state, ret_uid, ret_inode) == 4 &&
			local == port && state == TCP_LISTENING;
	}
	fclose(f);
	return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
	char path[288], want[64], is[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	if (!d)
		return false;
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	while (!found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, is, sizeof(is) - 1);

		found = n > 0 && (size_t)n == strlen(want) && !memcmp(is, want, (size_t)n);
	}
	closedir(d);
	return found;
}

static bool name_process(unsigned long inode, char *buf, size_t size)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		char path[288], name[32] = "?";
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]) || !has_socket(e->d_name, inode))
			continue;
		found = true;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f) {
			if (fgets(name, sizeof(name), f))
				name[strcspn(name, "\n")] = '\0';
			fclose(f);
		}
		snprintf(buf, size, "%s (process %s)", name, e->d_name);
	}
	closedir(d);
	return found;
}

int port_owner(uint16_t port, char *buf, size_t size)
{
	unsigned long inode;
	struct passwd *pw;
	unsigned uid;

	buf[0] = '\0';
	if (!find_socket("/proc/net/tcp", port, &inode, &uid) &&
	    !find_socket("/proc/net/tcp6", port, &inode, &uid))
		return 0;
	if (name_process(inode, buf, size))
		return 1;
	pw = getpwuid(uid);
	if (pw)
		snprintf(buf, size, "a process of user %s", pw->pw_name);
	else
		snprintf(buf, size, "a process of user %u", uid);
	return 1;
}
