/* SPDX-License-Identifier: MIT */
/*
 * compactor.h - removes the holes of finished chunks in the background.
 *
 * One thread, one file at a time, so that a stalled file system stops nothing else. Orders come
 * from the catalog (sessiond-lite), which repeats those that were not answered, so nothing is
 * remembered here. A file that a reader has open is left alone: try later.
 * Source: design.md section 5 (compaction), section 6.
 */
#ifndef TRACERELAY_CONSUMER_COMPACTOR_H
#define TRACERELAY_CONSUMER_COMPACTOR_H

#include <stdint.h>

struct compactor;

struct compactor_events {
	/*
	 * [compactor's thread] A file lease is about to be taken on fd: sessiond-lite must hold a
	 * duplicate until release(), so that the lease outlives a kill. fd is borrowed until
	 * compactor_held(key) answers.
	 */
	void (*hold)(void *ctx, uint64_t key, const char *path, int fd);
	void (*release)(void *ctx, uint64_t key);
	/* Done: 0; -EOPNOTSUPP: stays sparse; -EAGAIN: in use, order it again later; other errno:
	 * failed. */
	void (*done)(void *ctx, const char *path, int result);
};

/* output_fd is borrowed. 0 or negative errno. */
int compactor_start(int output_fd, const struct compactor_events *events, void *ctx,
		    struct compactor **ret);
/* [any] Compact the trace.dat at path (below output.dir). Repeated orders for one path are one. */
void compactor_order(struct compactor *c, const char *path);
/* [any] Answer to hold(). */
void compactor_held(struct compactor *c, uint64_t key);
/*
 * [any] An earlier relayd was killed with this file under way: fd (owned from now on) carries its
 * file lease. Complete it before anything else.
 */
void compactor_inherit(struct compactor *c, uint64_t key, const char *path, int fd);
/* Ends after the file under way; then frees. */
void compactor_stop(struct compactor *c);

#endif
