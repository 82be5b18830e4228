/* SPDX-License-Identifier: MIT */
/*
 * ctf_place.h - where an LTTng client's session, its chunks and streams lie: names, no I/O.
 *
 * All paths are relative, without leading, trailing or double slashes, and below output.dir.
 *
 *   ROOT / SESSION DIRECTORY [/ chunk directory] / ust/uid/0/64-bit / channel0_0
 *
 * Minors 11 and up name a stream's place below its chunk; we choose the session directory. Up to 10
 * the client names all of it: the session directory is what stands before the last component that
 * is "ust" or "kernel".
 *
 * Life:   values; every text is the caller's. Outputs are written on success only.
 * Errors: -EINVAL: a name could leave its directory, or hide; -ENAMETOOLONG: it, or one of its
 *         components, is longer than a file system takes or than the buffer.
 * Thread: any. Times are formatted in local time (TZ); a time that no calendar has is taken for the
 *         nearest one that has four digits in its year.
 * Source: doc/protocol.md "LTTng"; lttng-relayd's tree. Test: tests/unit/ctf_place.c.
 */
#ifndef TRACERELAY_COMMON_CTF_PLACE_H
#define TRACERELAY_COMMON_CTF_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/state_ctf.h"

/* lttng.group */
enum ctf_group {
	CTF_GROUP_HOST = 0, /* HOST/SESSION-TIME */
	CTF_GROUP_SESSION,  /* SESSION/HOST-TIME */
};

/* ---- names from a peer ---- */

/* One component: not empty, no '/', no leading '.', at most 255 characters. 0, -EINVAL or
 * -ENAMETOOLONG. Session, host and override names. */
int ctf_place_check_name(const char *name);

/* The same for a stream, whose files get suffixes: "_18446744073709551615" if it has tracefiles,
 * and ".idx". */
int ctf_place_check_stream(const char *name, bool tracefiles);

/* The same for a session or host, behind whose name a time and "-999" may be put. */
int ctf_place_check_session(const char *name);

/* A path from a peer: slashes at the beginning, at the end and double ones go, every component is
 * checked like a name. "" stays "". 0, -EINVAL or -ENAMETOOLONG. */
int ctf_place_normalise(const char *from, char *to, size_t cap);

/* Of a normalised stream path of minor <= 10: the part that stands below the session directory,
 * "ust/uid/0/64-bit" of "vm/s1-20261121-024022/ust/uid/0/64-bit". It points into path. NULL: no
 * such part, or nothing before it. */
const char *ctf_place_below(const char *path);

/* What to put behind a chunk's directory for a stream: all of it from minor 11 on, else
 * ctf_place_below(). */
const char *ctf_place_stream(uint32_t minor, const char *path);

/* ---- the session directory ---- */

struct ctf_place {
	const char *root; /* directory of the tracerelay session, below output.dir; "": none */
	enum ctf_group group;
	uint32_t minor;
	/* All checked and normalised; "" where the minor has none. */
	const char *session_name, *host, *base_path;
	bool name_has_time; /* of session_name */
	int64_t created; /* seconds since the epoch: of the client; minors <= 10: of the source */
	const char *stream_path; /* minors <= 10: of its first stream, normalised */
	unsigned attempt;        /* 2 and more: "-2", ... behind the name, since others own it */
};

/* ROOT/SESSION DIRECTORY. 0 or -ENAMETOOLONG; -EINVAL: no stream_path, or one without "ust" or
 * "kernel" in it (minors <= 10). It leaves room for what a chunk adds. */
int ctf_place_session(const struct ctf_place *p, char *dir, size_t cap);

/* ---- chunks, below the session directory ---- */

#define CTF_PLACE_CHUNK 96u /* bytes of any of these names, NUL included */

/* "20261121T014924+0000"; cap at least 21. */
void ctf_place_time(int64_t seconds, char *text, size_t cap);
/* ".chunk-SERIAL": one that opens while an older one is still in the session directory. */
void ctf_place_hidden(uint64_t serial, char name[CTF_PLACE_CHUNK]);
/* ".cleared-SERIAL": one that was cleared, for viewers who are in the middle of it. */
void ctf_place_cleared(uint64_t serial, char name[CTF_PLACE_CHUNK]);
bool ctf_place_is_cleared(const char *dir);
/* ".NAME_N.gone", ".NAME_N.gone.idx": tracefile N of a ring, whose name has come again. */
void ctf_place_gone(const char *stream, uint64_t number, bool index, char *name, size_t cap);
/* "CREATED-ID": open, of a session that has rotated. */
void ctf_place_open(int64_t created, uint64_t id, char name[CTF_PLACE_CHUNK]);
/* "archives/CREATED-CLOSED-ID". */
void ctf_place_archive(int64_t created, int64_t closed, uint64_t id, char name[CTF_PLACE_CHUNK]);

/* A chunk that is being closed. */
struct ctf_place_closing {
	const char *session_dir; /* as ctf_place_session() said */
	const char *name;        /* override name, or "" */
	enum ctf_close command;
	bool archived; /* a chunk of this session went to archives/ before */
	int64_t created, closed;
	uint64_t id;
};

/*
 * Where it will lie in the end, which is what the client is told: below the override name, if it
 * has one; in archives/, if the command says so or if the session has rotated before and the chunk
 * is not deleted; else in the session directory. 0 or -ENAMETOOLONG.
 */
int ctf_place_closed(const struct ctf_place_closing *c, char *dir, size_t cap);

#endif
