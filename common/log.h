/* SPDX-License-Identifier: MIT */
/*
 * log.h - leveled log lines: an event, a sentence, and whom it is about.
 *
 * Programs log, once, at the edge that decides; functions in common/ return errors instead. A line
 * that a peer can cause is written with log_limited().
 *
 *	log_info("listening", "trace-cmd clients on %s", address);
 *	log_about(LOG_LEVEL_WARNING, &(struct log_about){id, peer, "protocol"}, "handshake-refused",
 *		  "the first string is no known greeting");
 *	static struct log_limit strays = LOG_LIMIT_USUAL;
 *	log_limited(&strays, LOG_LEVEL_INFO, &about, "stray-connection", "no lease of port %u",
 *port);
 *
 * No caller ever waits for a terminal, a pipe's reader, a disk or the journal: a line goes into a
 * queue of LOG_QUEUE_LINES, and a thread of the log's own writes it. If the queue is full the line
 * is dropped and counted, and a later line (event "log-lines-lost") says so. Before log_init(), in
 * a child process after fork(), and if the thread cannot be made, the caller writes to the target
 * itself.
 *
 * Thread: log_init() and log_close() from one thread; everything else from any thread. Not for
 *         signal handlers. Call log_init() after a fork() that detaches from the terminal.
 * Units:  milliseconds.
 */
#ifndef TRACERELAY_COMMON_LOG_H
#define TRACERELAY_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log_limit.h"

/* The order of the option log.level; a level includes the ones after it. */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_JOURNAL };

/* Whom a line is about; what is 0 or NULL is left out. Texts may come from a peer: they are
 * escaped. Borrowed for the call. */
struct log_about {
	uint64_t connection;
	const char *peer;   /* an address, as addr_format() writes it */
	const char *reason; /* one word or a few */
};

#define LOG_QUEUE_LINES 256

/*
 * Start the log's thread; called again (a reload), change level and target.
 * Until then the level is info and the target stderr.
 * Return 0; -EOPNOTSUPP if the journal is asked for and this build has no libsystemd (lines then go
 * to stderr, which is worth a warning if the user asked); another negative errno if the thread
 * cannot be made (lines are then written by whoever logs).
 */
int log_init(enum log_level level, enum log_target target);

/* Wait until every line logged so far is written, at most timeout_ms. Return whether it is. */
bool log_flush(unsigned timeout_ms);

/*
 * Flush for at most a second, then end the thread; lines logged later are written by the caller.
 * Registered with atexit() by log_init(), so programs need not call it; harmless if repeated.
 */
void log_close(void);

/* Does stderr lead to systemd's journal ($JOURNAL_STREAM names what it is)? */
bool log_stderr_is_journal(void);

/* Lines dropped since the start because the queue was full. */
uint64_t log_lines_lost(void);

/* "debug", "info", "warning", "error"; for log.target "stderr", "journal". */
const char *log_level_name(enum log_level level);
const char *log_target_name(enum log_target target);

/* Would a line of this level be written? For lines that are expensive to make. */
bool log_enabled(enum log_level level);

/*
 * The event is a string literal: lowercase words joined by '-', stable, for people who filter. The
 * message is a sentence without a period. Arguments are not evaluated if the level is off.
 */
#define log_debug(event, ...)   log_about(LOG_LEVEL_DEBUG, NULL, event, __VA_ARGS__)
#define log_info(event, ...)    log_about(LOG_LEVEL_INFO, NULL, event, __VA_ARGS__)
#define log_warning(event, ...) log_about(LOG_LEVEL_WARNING, NULL, event, __VA_ARGS__)
#define log_error(event, ...)   log_about(LOG_LEVEL_ERROR, NULL, event, __VA_ARGS__)

/* @about  may be NULL */
#define log_about(level, about, event, ...) \
	log_limited((struct log_limit *)NULL, level, about, event, __VA_ARGS__)

/* @limit  a static LOG_LIMIT, shared by the lines that together should stay few; NULL = no limit */
#define log_limited(limit, level, about, event, ...)                           \
	do {                                                                   \
		if (log_enabled(level))                                        \
			log_write(limit, level, about, "" event, __VA_ARGS__); \
	} while (0)

/* What the macros call. */
void log_write(struct log_limit *limit, enum log_level level, const struct log_about *about,
	       const char *event, const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
