/* SPDX-License-Identifier: MIT */
/*
 * remove_tree.h - delete a directory of ours and all that is in it, and nothing else.
 *
 * Symbolic links are removed, never followed; other file systems mounted inside are left alone, and
 * so is what holds them. What others create or rename in the meantime cannot lead outside.
 *
 * Thread: any that may wait for the disk. Test: tests/unit/remove_tree.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_REMOVE_TREE_H
#define TRACERELAY_SESSIOND_LITE_REMOVE_TREE_H

#include <stdatomic.h>
#include <stddef.h>

/*
 * @name    a directory's name, without a slash, below parent_fd
 * @cancel  set from another thread, it ends the removal with -ECANCELED; NULL: no such thing
 * @ret_at  the path, below parent_fd, of what could not be removed; written on failure
 * Return 0, also if there is no such directory; -ENOTDIR; -EXDEV; -ELOOP: nested deeper than any
 * path of ours; other negative errno.
 */
int remove_tree(int parent_fd, const char *name, const atomic_bool *cancel, char *ret_at,
		size_t ret_at_size);

#endif
