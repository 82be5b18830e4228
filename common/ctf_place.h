/* SPDX-License-Identifier: MIT */
/*
 * ctf_place.h - where an LTTng client's traces lie: names only, as lttng-relayd would choose them.
 *
 * Pure. Times in names are local time, as users know them from lttng-relayd.
 * Thread: any.
 * Errors: -ENAMETOOLONG; -EINVAL: a name that could leave its directory.
 * Source: doc/protocol.md "LTTng: places". Test: tests/unit/ctf_place.c.
 */
#ifndef TRACERELAY_COMMON_CTF_PLACE_H
#define TRACERELAY_COMMON_CTF_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A name that stands for one file or directory: not empty, no '/', no '.' at its beginning, no
 * longer than a file system takes. */
bool ctf_place_name_ok(const char *name);

/* The same of a stream's name, with what is put behind it: ".idx", and the number of a tracefile.
 */
bool ctf_place_stream_ok(const char *name, bool tracefiles);

/* Names that are well: is there room for a time and "-999" behind either, in one component? */
bool ctf_place_session_fits(const char *session, const char *host);

/*
 * A relative path out of one that a peer sent: no '/' at its ends, none doubled. "" is well.
 * -EINVAL: a component that starts with '.'; -ENAMETOOLONG: it, or a component. Nothing is said of
 * what is in ret then.
 */
int ctf_place_clean(const char *path, char *ret, size_t cap);

struct ctf_place {
	uint32_t minor;
	bool by_session;         /* lttng.group */
	bool name_has_time;      /* minors 11 and up */
	const char *session;     /* "": minors up to 3 */
	const char *host;        /* likewise */
	const char *base_path;   /* "" or clean; minors 11 and up */
	int64_t created;         /* seconds since the epoch; minors 11 and up */
	const char *stream_path; /* of its first stream, clean; minors up to 10 */
};

/* The session's directory, below that of our session; it holds ust/ and kernel/, or chunks. */
int ctf_place_session(const struct ctf_place *p, char *ret, size_t cap);

/*
 * Where a stream's files lie below the session's directory, from its clean path: with minors up to
 * 10 what stands from "ust" or "kernel" on, else all of it. Inside @path.
 */
const char *ctf_place_below(uint32_t minor, const char *path);

/* "20261121T014924+0000-1", and with its end "20261121T014924+0000-20261121T014925+0000-1". */
int ctf_place_open_chunk(int64_t created, uint64_t id, char *ret, size_t cap);
int ctf_place_closed_chunk(int64_t created, int64_t closed, uint64_t id, char *ret, size_t cap);

#endif
