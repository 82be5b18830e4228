/* SPDX-License-Identifier: MIT */
/*
 * log.c - the queue of log lines and the thread that writes them; see log.h.
 *
 * Invariants: everything in `the` but the level is guarded by the.lock, which is never held while a
 * target is written to, unless there is no thread. Lines leave in the order in which they came.
 */
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBSYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

#include "common/log_record.h"

#define CLOSE_TIMEOUT_MS 1000
#define JOURNAL_SOCKET   "/run/systemd/journal/socket"

static atomic_int level_in_use = LOG_LEVEL_INFO;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the thread: a line, a summary, the end */
	pthread_cond_t idle; /* for log_flush(), log_close() */
	pthread_t thread;
	bool prepared; /* conditions, handlers of fork() and exit() */
	bool running;  /* the thread takes lines; else whoever logs writes them */
	bool stopping;
	bool ended;   /* the thread is about to return */
	bool writing; /* the thread is inside write_record() */
	bool hung;    /* it never came back: nobody else tries */

	enum log_target target;
	bool stderr_is_journal;
	struct log_record queue[LOG_QUEUE_LINES];
	size_t first, count;
	uint64_t lost, lost_said; /* lines */
	struct log_limit *owing;  /* limits that may owe a summary */
} the = {.lock = PTHREAD_MUTEX_INITIALIZER, .target = LOG_TARGET_STDERR};

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct timespec deadline(uint64_t monotonic_ms)
{
	return (struct timespec){.tv_sec = (time_t)(monotonic_ms / 1000),
				 .tv_nsec = (long)(monotonic_ms % 1000) * 1000000};
}

/* ---- targets ---- */

/* @patience_ms  how long a target that takes nothing is waited for; -1 = as long as it lasts */
static void write_stderr(const char *text, size_t len, int patience_ms)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n > 0) {
			text += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			/* Somebody made it non-blocking. */
			struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

			if (poll(&p, 1, patience_ms) == 0)
				return;
		} else if (n == 0 || errno != EINTR) {
			return; /* nobody is left whom we could tell */
		}
	}
}

static bool write_journal(const struct log_record *r)
{
#ifdef HAVE_LIBSYSTEMD
	struct iovec fields[LOG_FIELDS_MAX];
	char buf[LOG_TEXT_MAX];

	return sd_journal_sendv(fields, (int)log_record_to_fields(r, fields, buf)) >= 0;
#else
	(void)r;
	return false;
#endif
}

static void write_record(const struct log_record *r, enum log_target target, bool to_journal,
			 int patience_ms)
{
	char text[LOG_TEXT_MAX];
	size_t len;

	if (target == LOG_TARGET_JOURNAL && write_journal(r))
		return;
	len = log_record_to_text(r, to_journal, program_invocation_short_name, (int)getpid(), text);
	write_stderr(text, len, patience_ms);
}

/* ---- the queue; the.lock is held ---- */

__attribute__((format(printf, 4, 0))) static void queue_push_va(enum log_level level,
								const struct log_about *about,
								const char *event,
								const char *format, va_list args)
{
	struct log_record *slot;

	if (the.count == LOG_QUEUE_LINES || the.hung) {
		the.lost++;
		return;
	}
	slot = &the.queue[(the.first + the.count) % LOG_QUEUE_LINES];
	log_record_make(slot, level, clock_ms(CLOCK_REALTIME), about, event, format, args);
	if (the.running) {
		the.count++;
		pthread_cond_signal(&the.work);
	} else {
		write_record(slot, the.target, the.stderr_is_journal, 100);
	}
}

__attribute__((format(printf, 3, 4))) static void queue_push(enum log_level level,
							     const char *event, const char *format,
							     ...)
{
	va_list args;

	va_start(args, format);
	queue_push_va(level, NULL, event, format, args);
	va_end(args);
}

static void say_left_out(enum log_level level, const char *event, uint64_t lines)
{
	queue_push(level, event, "%llu more such lines were left out", (unsigned long long)lines);
}

/* Say the summaries that are due and forget the limits that owe none. Return when the next one
 * falls due. */
static uint64_t say_summaries(uint64_t now_ms)
{
	uint64_t next_due = UINT64_MAX;
	struct log_limit **link = &the.owing;

	while (*link) {
		struct log_limit *l = *link;
		uint64_t left_out = log_limit_settle(l, now_ms);

		if (left_out)
			say_left_out((enum log_level)l->level, l->event, left_out);
		if (log_limit_due(l) == UINT64_MAX) {
			l->owing = false;
			*link = l->next_owing;
			continue;
		}
		if (log_limit_due(l) < next_due)
			next_due = log_limit_due(l);
		link = &l->next_owing;
	}
	return next_due;
}

static bool is_written(void)
{
	return the.count == 0 && !the.writing && the.lost == the.lost_said;
}

/* ---- the thread ---- */

/* Write with the.lock given up meanwhile. */
static void write_unlocked(const struct log_record *r)
{
	enum log_target target = the.target;
	bool to_journal = the.stderr_is_journal;

	the.writing = true;
	pthread_mutex_unlock(&the.lock);
	write_record(r, target, to_journal, -1);
	pthread_mutex_lock(&the.lock);
	the.writing = false;
}

/* Not through the queue, which may be full again: this line must not get lost too. */
__attribute__((format(printf, 1, 2))) static void write_lines_lost(const char *format, ...)
{
	struct log_record r;
	va_list args;

	va_start(args, format);
	log_record_make(&r, LOG_LEVEL_WARNING, clock_ms(CLOCK_REALTIME), NULL, "log-lines-lost",
			format, args);
	va_end(args);
	the.lost_said = the.lost;
	write_unlocked(&r);
}

/* Take the oldest line out of the queue and write it. */
static void write_one(void)
{
	struct log_record r = the.queue[the.first];

	the.first = (the.first + 1) % LOG_QUEUE_LINES;
	the.count--;
	write_unlocked(&r);
	/* Half empty: the target takes lines again, and in a flood not every second line is this.
	 */
	if (the.lost != the.lost_said && the.count <= LOG_QUEUE_LINES / 2)
		write_lines_lost("%llu lines were dropped, since the target took none in time",
				 (unsigned long long)(the.lost - the.lost_said));
}

static void *run(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&the.lock);
	for (;;) {
		uint64_t now = the.stopping ? UINT64_MAX : (uint64_t)clock_ms(CLOCK_MONOTONIC);
		uint64_t due = say_summaries(now);

		if (the.count > 0) {
			write_one();
			continue;
		}
		pthread_cond_broadcast(&the.idle);
		if (the.stopping)
			break;
		if (due == UINT64_MAX) {
			pthread_cond_wait(&the.work, &the.lock);
		} else {
			struct timespec until = deadline(due);

			(void)pthread_cond_timedwait(&the.work, &the.lock, &until);
		}
	}
	the.ended = true;
	pthread_cond_broadcast(&the.idle);
	pthread_mutex_unlock(&the.lock);
	return NULL;
}

/* A child process has the caller's thread only. */
static void before_fork(void)
{
	pthread_mutex_lock(&the.lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&the.lock);
}

static void make_conditions(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&the.work, &attr);
	pthread_cond_init(&the.idle, &attr);
	pthread_condattr_destroy(&attr);
}

static void after_fork_in_child(void)
{
	make_conditions(); /* the parent's thread may be waiting in its copy */
	the.running = the.stopping = the.ended = the.writing = false;
	the.count = 0; /* the parent writes those */
	the.lost_said = the.lost;
	pthread_mutex_unlock(&the.lock);
}

static int start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	if (!the.prepared) {
		make_conditions();
		r = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
		if (r < 0)
			return r;
		(void)atexit(log_close);
		the.prepared = true;
	}
	r = -pthread_attr_init(&attr);
	if (r < 0)
		return r;
	(void)pthread_attr_setstacksize(&attr, 256 * 1024);
	sigfillset(&all); /* signals belong to the program's own threads */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	the.stopping = the.ended = false;
	r = -pthread_create(&the.thread, &attr, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0) {
		pthread_setname_np(the.thread, "log");
		the.running = true;
	}
	return r;
}

/* ---- for programs ---- */

static bool journal_is_there(void)
{
#ifdef HAVE_LIBSYSTEMD
	/* Where it is missing, libsystemd drops lines and says that it sent them. */
	return access(JOURNAL_SOCKET, W_OK) == 0;
#else
	return false;
#endif
}

int log_init(enum log_level level, enum log_target target)
{
	int no_journal = 0;
	int r = 0;

	if (target == LOG_TARGET_JOURNAL && !journal_is_there()) {
		target = LOG_TARGET_STDERR;
		no_journal = -EOPNOTSUPP;
	}
	atomic_store_explicit(&level_in_use, (int)level, memory_order_relaxed);
	pthread_mutex_lock(&the.lock);
	the.target = target;
	the.stderr_is_journal = log_stderr_is_journal();
	if (!the.running && !the.hung)
		r = start_thread();
	pthread_mutex_unlock(&the.lock);
	return r < 0 ? r : no_journal;
}

bool log_flush(unsigned timeout_ms)
{
	struct timespec until = deadline((uint64_t)clock_ms(CLOCK_MONOTONIC) + timeout_ms);
	bool done;

	pthread_mutex_lock(&the.lock);
	while (the.running && !is_written())
		if (pthread_cond_timedwait(&the.idle, &the.lock, &until) == ETIMEDOUT)
			break;
	done = !the.running || is_written();
	pthread_mutex_unlock(&the.lock);
	return done;
}

void log_close(void)
{
	struct timespec until = deadline((uint64_t)clock_ms(CLOCK_MONOTONIC) + CLOSE_TIMEOUT_MS);
	bool ended;

	pthread_mutex_lock(&the.lock);
	if (!the.running) {
		pthread_mutex_unlock(&the.lock);
		return;
	}
	the.stopping = true;
	pthread_cond_signal(&the.work);
	while (!the.ended)
		if (pthread_cond_timedwait(&the.idle, &the.lock, &until) == ETIMEDOUT)
			break;
	ended = the.ended;
	the.running = false;
	the.hung = !ended;
	pthread_mutex_unlock(&the.lock);
	if (ended)
		pthread_join(the.thread, NULL);
	else
		pthread_detach(the.thread);
}

bool log_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

uint64_t log_lines_lost(void)
{
	uint64_t lost;

	pthread_mutex_lock(&the.lock);
	lost = the.lost;
	pthread_mutex_unlock(&the.lock);
	return lost;
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return "debug";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_ERROR:
		break;
	}
	return "error";
}

const char *log_target_name(enum log_target target)
{
	return target == LOG_TARGET_JOURNAL ? "journal" : "stderr";
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&level_in_use, memory_order_relaxed);
}

/* Whether the line may be written; if not, see to it that somebody says so later. */
static bool limit_allows(struct log_limit *l, enum log_level level, const char *event)
{
	uint64_t left_out;
	bool allowed = log_limit_take(l, (uint64_t)clock_ms(CLOCK_MONOTONIC), &left_out);

	if (left_out)
		say_left_out((enum log_level)l->level, l->event, left_out);
	if (allowed)
		return true;
	l->level = (int)level;
	l->event = event;
	if (!l->owing) {
		l->owing = true;
		l->next_owing = the.owing;
		the.owing = l;
		if (the.running)
			pthread_cond_signal(&the.work);
	}
	return false;
}

void log_write(struct log_limit *limit, enum log_level level, const struct log_about *about,
	       const char *event, const char *format, ...)
{
	va_list args;
	int saved_errno = errno; /* so that a program may log before it looks */

	pthread_mutex_lock(&the.lock);
	if (!limit || limit_allows(limit, level, event)) {
		va_start(args, format);
		queue_push_va(level, about, event, format, args);
		va_end(args);
	}
	pthread_mutex_unlock(&the.lock);
	errno = saved_errno;
}
