/* SPDX-License-Identifier: MIT */
/* verify.c - does what was stored hold exactly what was sent?; see verify.h. */
#include "tests/bench/verify.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/outputs.h"
#include "tests/bench/pages.h"
#include "tests/bench/tracefile.h"

#define BLOCK (1024 * 1024) /* bytes read at once */

/* Consecutive pages of one stream that lie in one region. */
struct run {
	uint32_t client, cpu;
	uint64_t first, count; /* pages */
};

struct verify {
	const struct verify_expected *want;
	struct verify_result *result;
	struct run *runs;
	size_t run_count, run_room;
	uint8_t *block; /* BLOCK bytes */
};

__attribute__((format(printf, 2, 3))) static void complain(struct verify *v, const char *fmt, ...)
{
	va_list args;

	if (v->result->first_error[0])
		return;
	va_start(args, fmt);
	vsnprintf(v->result->first_error, sizeof(v->result->first_error), fmt, args);
	va_end(args);
}

static struct run *new_run(struct verify *v, const struct pages_stream *s, uint64_t first)
{
	if (v->run_count == v->run_room) {
		v->run_room = v->run_room ? 2 * v->run_room : 64;
		v->runs = realloc(v->runs, v->run_room * sizeof(*v->runs));
		if (!v->runs)
			err(1, "out of memory");
	}
	v->runs[v->run_count] = (struct run){s->client, s->cpu, first, 0};
	return &v->runs[v->run_count++];
}

/* A page that only fills a place: no events, and zero behind its time stamp. */
static bool is_filler(const uint8_t *page, uint32_t size)
{
	for (uint32_t i = 8; i < size; i++)
		if (page[i])
			return false;
	return true;
}

static bool belongs(const struct verify *v, const struct tracefile *t, uint32_t cpu,
		    const struct pages_stream *s, uint64_t number)
{
	return s->seed == v->want->seed && s->client < v->want->clients && s->cpu < v->want->cpus &&
	       number < v->want->bytes / v->want->page_size && (t->version == 0 || s->cpu == cpu);
}

/* One page at `at` in the file. *run is the run of pages before it, if any. */
static void check_page(struct verify *v, const char *path, const struct tracefile *t,
		       const struct tracefile_region *region, uint64_t at, const uint8_t *page,
		       struct run **run)
{
	struct pages_stream s = {.page_size = v->want->page_size};
	uint64_t number, commit, next = *run ? (*run)->first + (*run)->count : 0;
	int wrong;

	if (v->want->lossy && is_filler(page, s.page_size)) {
		v->result->filler_pages++;
		return;
	}
	pages_read_identity(page, &s, &number);
	if (!belongs(v, t, region->cpu, &s, number) ||
	    (*run && (s.client != (*run)->client || s.cpu != (*run)->cpu || number < next ||
		      (number > next && !v->want->lossy)))) {
		v->result->wrong_pages++;
		complain(v,
			 "%s: cpu %u, offset %" PRIu64 ": page %" PRIu64 " of client %u, cpu %u"
			 " does not belong here (page %" PRIu64 " of client %u does)",
			 path, region->cpu, at, number, s.client, s.cpu, next,
			 *run ? (*run)->client : 0);
		return;
	}
	wrong = pages_check(&s, number, page, v->want->lossy);
	if (wrong >= 0) {
		v->result->wrong_pages++;
		complain(v,
			 "%s: cpu %u, page %" PRIu64 " of client %u: wrong byte at offset %" PRIu64,
			 path, region->cpu, number, s.client, at + (uint64_t)wrong);
	}
	memcpy(&commit, page + 8, sizeof(commit));
	v->result->marked_pages += (commit & PAGES_COMMIT_MISSING) != 0;
	if (!*run || number != next)
		*run = new_run(v, &s, number);
	(*run)->count++;
}

static int check_region(struct verify *v, const char *path, const struct tracefile *t,
			const struct tracefile_region *region)
{
	struct run *run = NULL;

	for (uint64_t done = 0; done < region->size;) {
		uint64_t at = region->offset + done;
		size_t n = region->size - done < BLOCK ? (size_t)(region->size - done) : BLOCK;
		ssize_t r = pread(t->fd, v->block, n, (off_t)at);

		if (r < 0)
			return -errno;
		r -= r % v->want->page_size;
		if (r == 0) {
			complain(v, "%s: cpu %u: cut off at offset %" PRIu64, path, region->cpu,
				 at);
			v->result->wrong_pages++;
			return 0;
		}
		for (ssize_t i = 0; i < r; i += v->want->page_size)
			check_page(v, path, t, region, at + (uint64_t)i, v->block + i, &run);
		done += (uint64_t)r;
		v->result->bytes += (uint64_t)r;
	}
	return 0;
}

static int check_file(const char *path, void *arg)
{
	struct verify *v = arg;
	struct tracefile t;
	int r = tracefile_open(path, v->want->raw, &t);

	if (r < 0) {
		complain(v, "%s: %s", path, r == -EBADMSG ? "not a whole trace.dat" : strerror(-r));
		v->result->wrong_pages++;
		return 0;
	}
	v->result->files++;
	if (!tracefile_is_whole(&t) || (t.page_size && t.page_size != v->want->page_size)) {
		complain(v, "%s: its table names places that are not there or not page aligned",
			 path);
		v->result->wrong_pages++;
	}
	for (uint32_t i = 0; r == 0 && i < t.count; i++)
		r = check_region(v, path, &t, &t.regions[i]);
	tracefile_close(&t);
	return r;
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->client != y->client)
		return x->client < y->client ? -1 : 1;
	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The runs of each stream, joined, ought to be pages 0 to the last, each once. */
static void check_runs(struct verify *v)
{
	uint64_t pages = v->want->bytes / v->want->page_size;
	size_t i = 0;

	if (v->run_count)
		qsort(v->runs, v->run_count, sizeof(*v->runs), compare_runs);
	for (uint32_t client = 0; client < v->want->clients; client++)
		for (uint32_t cpu = 0; cpu < v->want->cpus; cpu++) {
			uint64_t next = 0, found = 0;

			for (; i < v->run_count && v->runs[i].client == client &&
			       v->runs[i].cpu == cpu;
			     i++) {
				const struct run *run = &v->runs[i];

				if (run->first < next) {
					complain(v,
						 "client %u, cpu %u: page %" PRIu64
						 " is there twice",
						 client, cpu, run->first);
					v->result->wrong_pages++;
				}
				next = run->first + run->count;
				found += run->count;
			}
			if (found >= pages)
				continue;
			v->result->missing_pages += pages - found;
			if (!v->want->lossy)
				complain(v,
					 "client %u, cpu %u: %" PRIu64 " of %" PRIu64
					 " pages found",
					 client, cpu, found, pages);
		}
}

int verify_paths(char *const *paths, int count, const struct verify_expected *want,
		 struct verify_result *ret)
{
	struct verify v = {.want = want, .result = ret, .block = malloc(BLOCK)};
	int r = 0;

	if (!v.block)
		err(1, "out of memory");
	*ret = (struct verify_result){0};
	for (int i = 0; r == 0 && i < count; i++)
		r = outputs_walk(paths[i], want->raw ? ".raw" : ".dat", check_file, &v);
	if (r == 0) {
		check_runs(&v);
		if (ret->wrong_pages || (ret->missing_pages && !want->lossy))
			r = -EBADMSG;
	}
	free(v.runs);
	free(v.block);
	return r;
}
