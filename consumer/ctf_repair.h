/* SPDX-License-Identifier: MIT */
/*
 * ctf_repair.h - LTTng session directories that a pair of daemons left open when it died.
 *
 * A source keeps a hidden file .open-N in its session directory while it lives; in it stands what
 * a record says of the source. Where an older one is found:
 *
 *   stream files  are cut back to the end of the last packet that their index knows, the index to
 *                 the packets that are there: a partial packet makes a whole trace unreadable
 *   metadata      is cut back to whole packets
 *   chunks        get their record, chunk.json, if they have none
 *   hidden ones   (.chunk-N) come out: into the session directory, or as TIME-N beside it
 *
 * Files without index are kept as they are.
 * Thread: repair's. Test: tests/unit/ctf_repair.c.
 */
#ifndef TRACERELAY_CONSUMER_CTF_REPAIR_H
#define TRACERELAY_CONSUMER_CTF_REPAIR_H

#include <stdint.h>

#define CTF_REPAIR_MARK         ".open-"
#define CTF_REPAIR_INDEX_HEADER 16 /* bytes before the first record of an index file */

/* Bytes of a record of an open index file, or 0: it is none. */
uint32_t ctf_repair_record_length(int index);

/* Look through the output directory for marks older than @before_ns (CLOCK_REALTIME). Returns the
 * number of session directories repaired. Does I/O. */
unsigned ctf_repair_run(int output_fd, int64_t before_ns);

#endif
