/* SPDX-License-Identifier: MIT */
/*
 * relayd_process.h - executing relayd, and telling how it ended.
 *
 * The child inherits one descriptor, its end of the link, and stderr; INT, TERM and HUP are ignored
 * in it, since its end is told over the link: what a terminal or systemd sends to the whole group
 * must not kill it in the middle. Nothing ties its life to ours: when we die it finishes its
 * chunks and exits.
 *
 * Thread: any; relayd_process_start() blocks until the child has called execve().
 * Test:   tests/unit/supervisor.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_RELAYD_PROCESS_H
#define TRACERELAY_SESSIOND_LITE_RELAYD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * @path      the executable, called with "--link FD"
 * @ret_link  our end, non-blocking and close-on-exec
 * Return 0; -ENOENT, -EACCES, ...: it could not be executed (the child is gone); -EMFILE, -EAGAIN.
 */
int relayd_process_start(const char *path, pid_t *ret_pid, int *ret_link);

/* Is the process only waiting for a thread to come back from the kernel? Reads /proc. */
bool relayd_process_is_dying(pid_t pid);

/* "was killed by signal 9 (Killed)", "exited with status 1"; status as waitpid() gives it. */
void relayd_process_describe(int status, char *buf, size_t size);

/*
 * relayd's path: beside our own executable, else in the libexec folder of the installation.
 * 0; -ENAMETOOLONG; -ENOENT: in neither place.
 */
int relayd_process_find(char *buf, size_t size);

#endif
