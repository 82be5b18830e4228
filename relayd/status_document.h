/* SPDX-License-Identifier: MIT */
/*
 * status_document.h - from the state memory to the text of the status document.
 *
 * Every slot is read as a consistent copy, but not all at one instant: a source that ends meanwhile
 * may miss its streams. Sums (of sources, sessions, totals) are of the very streams that the
 * document lists, so that they agree with one another.
 *
 * Thread: any; nothing waits for a writer. 8,000 streams take some tens of milliseconds.
 * Source: the schema is doc/status.md: change both together. Test: tests/unit/status_document.c.
 */
#ifndef TRACERELAY_RELAYD_STATUS_DOCUMENT_H
#define TRACERELAY_RELAYD_STATUS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/state.h"
#include "relayd/status_rates.h"

#define STATUS_FORMAT 1 /* of the document; a reader refuses greater ones */

/* What the document says beside the state memory. Everything is borrowed for the call. */
struct status_view {
	const struct state *st;
	const struct status_rates *rates;
	const json_t *limits;         /* options in use, an object */
	const int64_t *busy_since_ms; /* of each worker, as worker_busy_since_ms() */
	uint64_t leases;              /* entries of the stream table */
	pid_t pid;
	bool synced;
	int64_t now_ns, started_ns; /* CLOCK_REALTIME; of this relayd */
	int64_t now_ms, started_ms; /* CLOCK_MONOTONIC */
	struct status_readers {
		uint32_t now;         /* readers being served, this one included */
		uint64_t documents;   /* served so far by this relayd */
		uint64_t turned_away; /* too many at once */
		uint64_t given_up;    /* too slow */
	} readers;
};

/*
 * The document in one line, with "\n" at its end.
 * @ret  malloc()ed, the caller's; not NUL-terminated
 * Return 0 or -ENOMEM.
 */
int status_document(const struct status_view *view, char **ret, size_t *ret_len);

#endif
