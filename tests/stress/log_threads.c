/* SPDX-License-Identifier: MIT */
/*
 * log_threads.c - many threads log at once, while the level changes and somebody flushes.
 *
 * What comes out at stderr (a pipe here) is whole lines, in the order of each thread; what does not
 * come is counted: in log_lines_lost() and the lines that say so, or, behind a limit, in the line
 * that says how many were left out.
 *
 * usage: log_threads [LINES-EACH]
 */
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define THREADS      6
#define WINDOW_MS    50
#define WINDOW_LINES 5

/* What the reader of the pipe has seen. */
struct seen {
	unsigned long flood, lost, limited, left_out;
	long last[THREADS]; /* of each thread's flood */
};

static struct seen seen;
static unsigned long lines_each;
static int say; /* the real stderr */
static atomic_bool enough;
static struct log_limit limit = LOG_LIMIT(WINDOW_LINES, WINDOW_MS);

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	va_list args;

	dprintf(say, "log_threads: ");
	va_start(args, format);
	vdprintf(say, format, args);
	va_end(args);
	dprintf(say, "\n");
	abort();
}

/* ---- those who log ---- */

/* So that many lines pass, and many do not. */
static void breathe(unsigned long n)
{
	if (n % 64 == 0)
		(void)poll(NULL, 0, 1);
}

static void *flood(void *arg)
{
	int thread = (int)(intptr_t)arg;
	char name[16];
	struct log_about about = {.connection = 1 + (unsigned)thread, .peer = name};

	snprintf(name, sizeof(name), "thread%d", thread);
	for (unsigned long n = 0; n < lines_each; n++) {
		log_about(LOG_LEVEL_WARNING, &about, "flood", "%d says %lu again %lu", thread, n,
			  n);
		breathe(n);
	}
	return NULL;
}

/* Fewer than the queue holds can pass, so none is lost. */
static void *be_limited(void *arg)
{
	(void)arg;
	for (unsigned long n = 0; n < lines_each; n++) {
		log_limited(&limit, LOG_LEVEL_WARNING, NULL, "limited", "line %lu", n);
		breathe(n);
	}
	return NULL;
}

static void *flush(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		log_debug("never", "the level is never that low");
		(void)log_flush(20);
		(void)log_lines_lost();
	}
	return NULL;
}

/* ---- the reader of the pipe ---- */

static void understand(const char *line)
{
	const char *text = strstr(line, " warning ");
	unsigned long n, again, connection;
	int thread, peer;

	if (!text)
		fail("no line of ours: %s", line);
	text += strlen(" warning ");
	if (sscanf(text, "flood: %d says %lu again %lu (connection %lu, peer thread%d)", &thread,
		   &n, &again, &connection, &peer) == 5) {
		if (thread < 0 || thread >= THREADS || n != again || peer != thread ||
		    connection != (unsigned)thread + 1 || line[strlen(line) - 1] != ')')
			fail("a line that nobody wrote: %s", line);
		if ((long)n <= seen.last[thread])
			fail("out of order: %s", line);
		seen.last[thread] = (long)n;
		seen.flood++;
	} else if (sscanf(text, "log-lines-lost: %lu lines were dropped", &n) == 1) {
		seen.lost += n;
	} else if (sscanf(text, "limited: %lu more such lines were left out", &n) == 1 &&
		   strstr(text, "left out")) {
		seen.left_out += n;
	} else if (sscanf(text, "limited: line %lu", &n) == 1) {
		seen.limited++;
	} else {
		fail("not understood: %s", line);
	}
}

static void *read_lines(void *arg)
{
	FILE *in = fdopen((int)(intptr_t)arg, "r");
	char line[4096];

	while (fgets(line, sizeof(line), in)) {
		size_t len = strlen(line);

		if (line[len - 1] != '\n')
			fail("half a line: %s", line);
		line[len - 1] = '\0';
		understand(line);
	}
	fclose(in);
	return NULL;
}

/* ---- both rounds ---- */

static void run(void *(*what)(void *), pthread_t *flusher)
{
	pthread_t thread[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, what, (void *)i))
			fail("no thread");
	if (flusher && pthread_create(flusher, NULL, flush, NULL))
		fail("no thread");
	for (int i = 0; i < 50; i++) /* as a reload does */
		if (log_init(i % 2 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, LOG_TARGET_STDERR) < 0)
			fail("log_init");
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
	pthread_t reader, flusher;
	int ends[2];

	lines_each = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
	unsetenv("JOURNAL_STREAM");
	for (int i = 0; i < THREADS; i++)
		seen.last[i] = -1;
	say = dup(STDERR_FILENO);
	if (pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
		return 1;
	close(ends[1]);
	if (pthread_create(&reader, NULL, read_lines, (void *)(intptr_t)ends[0]) ||
	    log_init(LOG_LEVEL_INFO, LOG_TARGET_STDERR) < 0)
		return 1;
	run(flood, &flusher);
	atomic_store(&enough, true);
	pthread_join(flusher, NULL);
	if (!log_flush(10000))
		fail("the flood is not written after 10 s");
	run(be_limited, NULL);
	log_close();
	close(STDERR_FILENO); /* the pipe's end */
	pthread_join(reader, NULL);
	dup2(say, STDERR_FILENO);
	if (seen.flood + log_lines_lost() != THREADS * lines_each)
		fail("%lu lines of %lu, %lu lost", seen.flood, THREADS * lines_each,
		     (unsigned long)log_lines_lost());
	if (seen.lost != log_lines_lost())
		fail("%lu lines were lost, %lu were told", (unsigned long)log_lines_lost(),
		     seen.lost);
	if (seen.limited + seen.left_out != THREADS * lines_each || !seen.limited)
		fail("behind the limit %lu lines and %lu left out, not %lu", seen.limited,
		     seen.left_out, THREADS * lines_each);
	printf("%lu lines, %lu lost; %lu passed the limit, %lu left out\n", seen.flood, seen.lost,
	       seen.limited, seen.left_out);
	return 0;
}
