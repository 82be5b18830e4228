/* SPDX-License-Identifier: MIT */
/*
 * compact_clone.h - a finished chunk without its holes, where the file system collapses none but
 * shares extents (btrfs): a new file that shares the old one's, then a rename.
 *
 * A kill leaves the old file, or the new one, and maybe a hidden .NAME.compact, which the next
 * attempt begins anew. Thread: the compactor's; it may wait for the disk. Source: design.md
 * section 5. Test: tests/wire/compaction.py.
 */
#ifndef TRACERELAY_CONSUMER_COMPACT_CLONE_H
#define TRACERELAY_CONSUMER_COMPACT_CLONE_H

#include "consumer/compact_file.h"

/*
 * @dir, @name  where the file is; @fd  the file, open for reading (borrowed)
 * @block       bytes: what extents are aligned to
 * Return 0: @name is the new file, on the disk; -EOPNOTSUPP: no extents can be shared here, or not
 * these; other negative errno: the old file stays.
 */
int compact_clone(int dir, const char *name, int fd, const struct compact_file *f,
		  const struct compact_plan *plan, uint32_t block);

#endif
