/* SPDX-License-Identifier: MIT */
/*
 * live_files.h - the files that one viewer reads: index records, packets, metadata.
 *
 * A cursor's file is opened by name below output.dir and stays open until the cursor has got a
 * record of the next one, so that neither a rename nor an unlink takes it away. A process that was
 * started a moment ago opens it again by name; if it is gone, the cursor goes on with the oldest
 * that is left.
 * Visible: of the file being filled, the records that the stream's half counts; of every other
 *         file, all of them; of metadata, whole packets before the half's position.
 * Life:   live_files_new() to live_files_free(), a viewer's connection.
 * Thread: its owner's. Reads block as long as the disk does.
 * Source: common/state_ctf.h; doc/protocol.md "LTTng live". Test: tests/unit/live_files.c.
 */
#ifndef TRACERELAY_RELAYD_LIVE_FILES_H
#define TRACERELAY_RELAYD_LIVE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/state.h"
#include "relayd/live_viewer.h"

struct live_files;

/* output_fd is borrowed. NULL without memory. */
struct live_files *live_files_new(const struct state *st, int output_fd);
void live_files_free(struct live_files *f); /* NULL is a no-op */

/* These are what struct live_facts says of them; i < VIEWER_CURSORS. */
void live_files_start(struct live_files *f, struct viewer_cursor *c, bool now);
enum live_next live_files_next(struct live_files *f, uint32_t i, struct viewer_cursor *c,
			       struct live_record *ret);
int live_files_packet(struct live_files *f, uint32_t i, const struct viewer_cursor *c,
		      uint64_t offset, uint32_t len, uint8_t *to);
int live_files_metadata(struct live_files *f, uint32_t i, struct viewer_cursor *c, uint8_t *to,
			uint32_t max, bool *ret_over);

#endif
