/* SPDX-License-Identifier: MIT */
/*
 * ctf_repair.h - LTTng session directories that a pair of daemons left open when it died.
 *
 * A source keeps a hidden file .open-N in its session directory while it lives. Where an older one
 * is found, every stream file is cut back to the end of its last packet that its index knows, and
 * the index to the packets that are there: a partial packet makes a whole trace unreadable. Files
 * without index are kept as they are.
 * Thread: repair's. Test: tests/unit/ctf_worker.c.
 */
#ifndef TRACERELAY_CONSUMER_CTF_REPAIR_H
#define TRACERELAY_CONSUMER_CTF_REPAIR_H

#include <stdint.h>

#define CTF_REPAIR_MARK ".open-"

/* Look through the output directory for marks older than @before_ns (CLOCK_REALTIME). Returns the
 * number of session directories repaired. Does I/O. */
unsigned ctf_repair_run(int output_fd, int64_t before_ns);

#endif
