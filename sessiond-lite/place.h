/* SPDX-License-Identifier: MIT */
/*
 * place.h - the directories that belong to this relay alone: making them, locking them, and the
 * user that works in them.
 *
 * Life:   used once, at the start, before the loop runs; place_lock() waits.
 * Thread: the main thread. Logs while it waits.
 * Errors: 0 or negative errno; place_lock() and place_become() write a sentence for the user.
 * Source: design.md sections 1 (the lock on output.dir) and 7. Test: tests/unit/place.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_PLACE_H
#define TRACERELAY_SESSIOND_LITE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Who works in the directories: run.user, or whoever we are. */
struct place_user {
	bool other; /* than we are */
	uid_t uid;
	gid_t gid;
	char name[64];
};

/* "": ourselves. -ENOENT: no such user; -EPERM: not root, and not ourselves. */
int place_find_user(const char *name, struct place_user *ret);

/*
 * Open a directory, made with its parents if it is missing. What is made belongs to the user.
 * @mode  of the directory itself; parents get 0755
 * -EPERM: a directory directly below a world-writable one (as /tmp/tracerelay-UID) is another's, or
 * others may write there.
 */
int place_open_dir(const char *path, mode_t mode, const struct place_user *user, int *ret_fd);

/* Become the user for good, groups included. */
int place_become(const struct place_user *user);

/*
 * Lock a file in a directory, wait while a relay that is ending has it. Its text is the holder's
 * process number, ours from now on.
 * Return 0 and the descriptor, on which the lock lives (duplicates included);
 * -EBUSY: a sessiond-lite that keeps running has it, *ret_holder says which; other errors of
 * open(2).
 */
int place_lock(int dir_fd, const char *dir, const char *name, int *ret_fd, pid_t *ret_holder);

#endif
