/* SPDX-License-Identifier: MIT */
/*
 * counters.h - everything relayd counts, each thing once: name, unit, meaning.
 *
 * The lists below yield the enums, the texts, the JSON and the documentation. A help text says
 * what is counted, when a number other than 0 is normal, and how counters add up.
 *
 * Life:   the memory is the caller's: zeroed before first use, normally part of the mapping that
 *         outlives relayd, so that counting goes on after a restart. A new row goes at the END of
 *         its list: a row's place is part of that mapping's layout.
 * Thread: counters_add() from any thread; each thread has a shard (a struct counters) of its own,
 *         so that no cache line is fought over. Reading sums all shards at any time; a sum of
 *         several counters is no snapshot.
 * Truth:  relaxed atomics beside the work, not part of any step: a SIGKILL may cost the last
 *         addition of each thread, never more. The exact figures are the ledger of each stream.
 * Source: design.md sections 3 (ledger), 6; issue 8 points 8 and 9. Test: tests/unit/counters.c.
 */
#ifndef TRACERELAY_COMMON_COUNTERS_H
#define TRACERELAY_COMMON_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/*
 * Why a connection was closed: X(id, error, sentence). The sentence goes behind "closed: " in logs
 * and records. `error` tells a mishap (logged as a warning) from the ordinary end (info).
 */
#define CLOSE_REASONS(X)                                                                          \
	X(finished, false, "the client ended as its protocol says")                               \
	X(eof, false, "the peer closed the connection")                                           \
	X(eof_in_handshake, true, "the peer closed the connection before its handshake was over") \
	X(eof_in_metadata, true, "the peer closed the connection inside its metadata")            \
	X(eof_without_close, true, "the control connection ended without the client's CLOSE")     \
	X(reset, true, "the peer reset the connection")                                           \
	X(keep_alive, true, "the peer's host no longer answers (TCP keep-alive)")                 \
	X(protocol, true, "the peer sent what its protocol does not allow")                       \
	X(oversize, true, "the peer announced a message longer than allowed")                     \
	X(handshake_timeout, true, "silence in the handshake (limits.handshake-timeout)")         \
	X(metadata_timeout, true, "silence inside the metadata (limits.metadata-timeout)")        \
	X(stall_timeout, true, "silence inside a message (limits.stall-timeout)")                 \
	X(metadata_limit, true, "more metadata than limits.metadata allows")                      \
	X(sources_limit, true, "more sources than limits.sources allows")                         \
	X(streams_limit, true, "more streams than limits.streams-per-peer allows")                \
	X(no_lease, true, "no source of this peer holds a lease on this port")                    \
	X(lease_in_use, true, "this stream has its connection already")                           \
	X(ports_exhausted, true, "no free port for this peer in trace-cmd.stream-ports")          \
	X(version_unknown, true, "the peer insists on a protocol version nobody knows")           \
	X(version_fallback, false, "the peer is to come back speaking an older version")          \
	X(session_stopped, false, "the session is stopped")                                       \
	X(session_destroyed, false, "the session was destroyed")                                  \
	X(disk, true, "its file could not be written")                                            \
	X(no_memory, true, "no memory")                                                           \
	X(no_descriptors, true, "no descriptors left (RLIMIT_NOFILE)")                            \
	X(no_slot, true, "no free slot in the state memory")                                      \
	X(shutdown, false, "the relay is being shut down")                                        \
	X(unknown_stream, true, "the peer named a stream that is not its own")                    \
	X(bad_name, true, "a name from the peer could leave its directory")                       \
	X(anonymous_limit, true, "more silent data connections than lttng.anonymous-sockets")     \
	X(metadata_wait, true, "its metadata waited too long for the disk (lttng.metadata-wait)") \
	X(snapshot_done, false, "the snapshot is complete")                                       \
	X(session_over, false, "the session that was viewed is over")                             \
	X(internal, true, "a mistake in the relay itself")

/*
 * X(id, unit, help). The bytes_discarded_* stand together, in the order of the ledger's causes
 * (enum discard, common/state.h), so that the cause picks the counter.
 */
#define TRACERELAY_COUNTERS(X)                                                                     \
	X(connections_control, "connections",                                                      \
	  "Control connections taken over from the accepting daemon.")                             \
	X(connections_stream, "connections",                                                       \
	  "Data connections (TCP) taken over, those that no lease expected included.")             \
	X(connections_closed, "connections",                                                       \
	  "Connections closed, control and data; the sum of all closed_* counters.")               \
	X(sources_v1, "sources", "Sources begun that speak trace-cmd V1.")                         \
	X(sources_v2_2015, "sources", "Sources begun in the V2 dialect of 2015.")                  \
	X(sources_v2_2018, "sources", "Sources begun in the V2 dialect of trace-cmd 2.7.")         \
	X(sources_v3, "sources", "Sources begun that speak trace-cmd V3.")                         \
	X(sources_lttng, "sources", "LTTng client sessions begun.")                                \
	X(sources_ended, "sources", "Sources ended, complete or not.")                             \
	X(sources_incomplete, "sources",                                                           \
	  "Sources among the ended ones whose client died: their record says so. Normal when "     \
	  "clients are killed or hosts crash.")                                                    \
	X(sources_orphaned, "sources",                                                             \
	  "Sources whose control connection ended without CLOSE while streams went on; storing "   \
	  "went on too. Normal for trace-cmd with several buffers.")                               \
	X(versions_renegotiated, "handshakes",                                                     \
	  "Clients that asked for an unknown protocol version and were offered V3.")               \
	X(repaired_version, "sources",                                                             \
	  "Files whose empty version string was filled in. Normal with trace-cmd 2.8.0 to 2.8.3.") \
	X(repaired_cmdlines, "sources",                                                            \
	  "Files whose missing command lines were added. Normal with V1 of trace-cmd 2.9.2 and "   \
	  "later.")                                                                                \
	X(repaired_page_size, "sources",                                                           \
	  "Files whose page size was set to the real sub-buffer size. Normal where the traced "    \
	  "kernel's sub-buffers are larger than a page.")                                          \
	X(bytes_metadata, "bytes", "Metadata received. Not part of bytes_received.")               \
	X(bytes_received, "bytes",                                                                 \
	  "Stream bytes taken from sockets. When nothing is in flight it equals bytes_stored "     \
	  "plus all bytes_discarded_*.")                                                           \
	X(bytes_stored, "bytes", "Stream bytes stored in chunks.")                                 \
	X(bytes_discarded_disk, "bytes",                                                           \
	  "Stream bytes not stored: the disk was full or failed. Other than 0 is a loss.")         \
	X(bytes_discarded_stall, "bytes",                                                          \
	  "Stream bytes not stored: the disk was too slow and the policy says not to wait. Other " \
	  "than 0 is a loss.")                                                                     \
	X(bytes_discarded_protocol, "bytes",                                                       \
	  "Stream bytes not stored: no ring-buffer pages. Other than 0 points to a broken or "     \
	  "hostile client.")                                                                       \
	X(bytes_discarded_partial, "bytes",                                                        \
	  "Stream bytes not stored: a page's beginning without its end. Normal when a client is "  \
	  "killed; less than one page a stream.")                                                  \
	X(bytes_discarded_stopped, "bytes",                                                        \
	  "Stream bytes not stored because the session was stopped. Normal after relayctl stop.")  \
	X(pages_stored, "pages", "Ring-buffer pages (sub-buffers) stored.")                        \
	X(pages_marked, "pages",                                                                   \
	  "Stored pages that were marked, since this host lost what came before them: readers "    \
	  "print EVENTS DROPPED there. Not counted: pages that the traced kernel had marked.")     \
	X(kernel_events_lost, "events",                                                            \
	  "Events the traced kernels report as overwritten before they were read. Normal when "    \
	  "tracing outruns the network; larger buffers on the traced host help.")                  \
	X(kernel_losses_unknown, "intervals",                                                      \
	  "Intervals in which a traced kernel lost events without saying how many. Beside "        \
	  "kernel_events_lost, never part of it.")                                                 \
	X(datagrams_received, "datagrams", "Datagrams of leased streams received.")                \
	X(datagrams_dropped, "datagrams",                                                          \
	  "Datagrams of leased streams that this host's kernel dropped, its receive queue being "  \
	  "full. Other than 0 is a loss: use TCP (trace-cmd record -t) or more memory for UDP "    \
	  "(net.core.rmem_max).")                                                                  \
	X(datagrams_stray, "datagrams",                                                            \
	  "Datagrams from peers that hold no lease on the port; thrown away. A few are normal "    \
	  "after a client's end.")                                                                 \
	X(chunks_finished, "chunks", "Chunks finished, complete or not.")                          \
	X(chunks_incomplete, "chunks",                                                             \
	  "Chunks among the finished ones that lack something: their record says what.")           \
	X(chunks_compacted, "chunks", "Chunks whose holes were removed in the background.")        \
	X(chunks_sparse, "chunks",                                                                 \
	  "Chunks left sparse, since their file system can neither collapse nor share extents. "   \
	  "Normal on tmpfs and NFS: copy such files with cp --sparse or rsync --sparse.")          \
	X(compactions_delayed, "attempts",                                                         \
	  "Compactions put off because somebody had the file open. Normal.")                       \
	X(chunks_dropped, "chunks", "Oldest chunks deleted because of --keep-chunks.")             \
	X(rotations_asked, "rotations", "Rotations of a source that relayctl asked for.")          \
	X(rotations_size, "rotations", "Rotations of a source because of --rotate-size.")          \
	X(rotations_time, "rotations", "Rotations of a source because of --rotate-time.")          \
	X(rotations_region, "rotations",                                                           \
	  "Rotations of a source because a CPU had filled its region of the file. Normal after "   \
	  "terabytes.")                                                                            \
	X(records_written, "records", "Chunk records (trace.json) renamed into place.")            \
	X(disk_full_episodes, "episodes",                                                          \
	  "Times a worker met a full disk after there had been room. Other than 0 means that "     \
	  "bytes_discarded_disk is a loss.")                                                       \
	X(connections_held, "holds",                                                               \
	  "Times a data connection of LTTng was read in the place of a worker that the disk did "  \
	  "not let go on. Other than 0 means that bytes_discarded_stall is a loss.")               \
	X(disk_errors, "errors", "Failed writes and renames, full disks not counted.")             \
	X(metadata_ring_full, "episodes",                                                          \
	  "Times a control connection was left unread because its metadata waited for the disk. "  \
	  "Normal under load.")                                                                    \
	X(recoveries, "starts",                                                                    \
	  "Starts of relayd that found state of an earlier one. One for each crash or upgrade.")   \
	X(recovered_moves, "moves", "Moves found unfinished at a recovery and completed.")         \
	X(recovered_bytes, "bytes", "Bytes found in pipes at a recovery and stored.")              \
	X(recovered_conversations, "conversations",                                                \
	  "Conversations that went on after a recovery without the client noticing.")              \
	X(recovered_chunks, "chunks",                                                              \
	  "Chunks of a pair of daemons that died together, finished at the next start.")           \
	X(descriptors_repeated, "messages",                                                        \
	  "Messages whose descriptors could not all be received and that were asked for again. "   \
	  "Other than 0: raise RLIMIT_NOFILE.")                                                    \
	X(log_lines_suppressed, "lines",                                                           \
	  "Log lines that peers caused and the rate limit kept back. Normal under attack.")        \
	X(status_documents, "documents", "Status documents served.")                               \
	X(messages_unexpected, "messages",                                                         \
	  "trace-cmd messages that had no place where they came: answered NOT_SUPP in a V3 "       \
	  "handshake, passed over behind the port list. Normal with future clients.")              \
	X(connections_live, "connections", "Connections of live viewers (LTTng) taken over.")      \
	X(packets_stored, "packets", "LTTng packets stored whole.")                                \
	X(packets_discarded, "packets",                                                            \
	  "LTTng packets left out, with their index records, for any reason.")                     \
	X(indexes_stored, "records", "LTTng index records written.")                               \
	X(indexes_dropped, "records",                                                              \
	  "LTTng index records whose packet was left out or never came.")                          \
	X(packets_unindexed, "packets", "LTTng packets stored whose index never came.")            \
	X(beacons, "messages", "Live beacons of LTTng streams.")                                   \
	X(tracer_events_lost, "events", "Events that LTTng tracers say they discarded.")           \
	X(tracer_packets_lost, "packets", "Packets that LTTng tracers overwrote.")                 \
	X(streams_retired, "streams",                                                              \
	  "LTTng streams that ended before their session and gave their slots back. Normal with "  \
	  "buffers of each program (--buffers-pid).")

#define COUNTERS_AS_CLOSE(id, error, sentence) CLOSE_##id,
#define COUNTERS_AS_ENUM(id, unit, help)       COUNTER_##id,

/* 0 is no reason: a connection that is open. */
enum close_reason { CLOSE_none, CLOSE_REASONS(COUNTERS_AS_CLOSE) CLOSE_REASON_COUNT };
enum counter { TRACERELAY_COUNTERS(COUNTERS_AS_ENUM) COUNTER_COUNT };

#undef COUNTERS_AS_CLOSE
#undef COUNTERS_AS_ENUM

/* Places in a shard; more than rows, so that new rows move nothing in a live mapping. */
#define COUNTERS_ROOM       192
#define COUNTERS_CLOSE_ROOM 64

/* One thread's shard: whole cache lines. All zero is the beginning. */
struct counters {
	_Alignas(64) _Atomic uint64_t v[COUNTERS_ROOM];
	_Atomic uint64_t closed[COUNTERS_CLOSE_ROOM];
};

_Static_assert(COUNTER_COUNT <= COUNTERS_ROOM, "struct counters has no room");
_Static_assert(CLOSE_REASON_COUNT <= COUNTERS_CLOSE_ROOM, "struct counters has no room");

static inline void counters_add(struct counters *c, enum counter id, uint64_t n)
{
	atomic_fetch_add_explicit(&c->v[id], n, memory_order_relaxed);
}

/* Count one closed connection under its reason (not CLOSE_none: asserted). */
void counters_add_close(struct counters *c, enum close_reason reason);

/* Sums over n shards that stand one behind the other. */
uint64_t counters_sum(const struct counters *shards, size_t n, enum counter id);
uint64_t counters_sum_closed(const struct counters *shards, size_t n, enum close_reason reason);

/* "eof", and its sentence. A value outside the list gives "none" and "not closed". */
const char *close_reason_name(enum close_reason reason);
const char *close_reason_sentence(enum close_reason reason);
bool close_reason_is_error(enum close_reason reason);

const char *counter_name(enum counter id);

/*
 * One flat object, every counter by its name and every close reason as "closed_NAME", all exact
 * integers, zeros included. NULL without memory. The caller owns it.
 */
json_t *counters_to_json(const struct counters *shards, size_t n);

/* What the names mean: { NAME: { "unit": ..., "help": ... }, ... } in the same order; NULL without
 * memory. For the schema and relayctl. */
json_t *counters_describe(void);

#endif
