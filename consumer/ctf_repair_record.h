/* SPDX-License-Identifier: MIT */
/*
 * ctf_repair_record.h - the record of a chunk whose daemons died: told by its files.
 *
 * Thread: repair's. Source: doc/trace-json.md. Test: tests/unit/ctf_repair.c.
 */
#ifndef TRACERELAY_CONSUMER_CTF_REPAIR_RECORD_H
#define TRACERELAY_CONSUMER_CTF_REPAIR_RECORD_H

#include <jansson.h>

/* What a source's mark says of it; to be released. An object in any case, or NULL without memory.
 */
json_t *ctf_repair_record_head(int dir, const char *mark);

/* Write chunk.json into @dir if it holds a chunk and no record. Does I/O. 0 or negative errno. */
int ctf_repair_record(int dir, const json_t *head);

#endif
