/* SPDX-License-Identifier: MIT */
/*
 * workplace.h - run.dir and output.dir, open and locked, and the user that works there.
 *
 * Life:   workplace_open() as whoever started us, workplace_become(), workplace_lock(),
 *         workplace_close().
 * Thread: the main thread, before the loop runs. Failures are complained about here.
 * Source: design.md sections 1 and 7. Test: tests/unit/place.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_WORKPLACE_H
#define TRACERELAY_SESSIOND_LITE_WORKPLACE_H

#include "config/options.h"
#include "sessiond-lite/place.h"

struct workplace {
	const struct options *options;
	struct place_user user;
	/* -1: not open */
	int run_dir, run_lock;
	int output_dir, output_lock; /* relayd has duplicates of both */
};

int workplace_open(const struct options *options, struct workplace *ret);
int workplace_become(const struct workplace *w);
int workplace_lock(struct workplace *w);
void workplace_close(struct workplace *w); /* copes with a failed open */

#endif
