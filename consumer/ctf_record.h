/* SPDX-License-Identifier: MIT */
/*
 * ctf_record.h - chunk.json, the record of a chunk of an LTTng source.
 *
 * Source: doc/trace-json.md. Test: tests/unit/ctf_worker.c, tests/unit/ctf_repair.c.
 */
#ifndef TRACERELAY_CONSUMER_CTF_RECORD_H
#define TRACERELAY_CONSUMER_CTF_RECORD_H

#define CTF_RECORD_NAME "chunk.json"

/* The record replaces one of that name in the directory @dir: another name, then a rename. 0 or
 * negative errno. Does I/O; any thread. */
int ctf_record_put(int dir, const char *name, const char *content);

#endif
