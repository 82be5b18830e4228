/* SPDX-License-Identifier: MIT */
/*
 * discard.h - why bytes that were received are not stored: the causes of the ledger, once.
 *
 * X(ID, name, sentence). The name is what JSON documents and counters (bytes_discarded_NAME) use.
 * A new cause goes at the end: a ledger in the state memory has an entry for each.
 */
#ifndef TRACERELAY_COMMON_DISCARD_H
#define TRACERELAY_COMMON_DISCARD_H

#define DISCARD_CAUSES(X)                                                             \
	X(DISK, disk, "the disk was full or failed")                                  \
	X(STALL, stall, "the disk was too slow for too long")                         \
	X(PROTOCOL, protocol, "they were no ring-buffer pages of the announced kind") \
	X(PARTIAL, partial, "they were the beginning of a page whose end never came") \
	X(STOPPED, stopped, "the session was stopped")

#define DISCARD_AS_ENUM(ID, name, sentence) DISCARD_##ID,
enum discard { DISCARD_CAUSES(DISCARD_AS_ENUM) DISCARD_COUNT };
#undef DISCARD_AS_ENUM

/* "disk", ...; asserts that d is in the list. */
const char *discard_name(enum discard d);
const char *discard_sentence(enum discard d);

#endif
