/* SPDX-License-Identifier: MIT */
/* arrival.c - wait until a server has put every trace.dat in place; see arrival.h. */
#include "tests/bench/arrival.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/fleet.h"
#include "tests/bench/outputs.h"
#include "tests/bench/tracefile.h"

struct arrival {
	uint64_t bytes;
	uint32_t clients;
	uint32_t arrived;
	uint64_t *known; /* hashes of the paths that have arrived, `clients` of them at most */
};

/* FNV-1a: a hash of 64 bits stands for the path. */
static uint64_t hash_path(const char *path)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 0x100000001b3;
	return h;
}

static int look_at(const char *path, void *arg)
{
	struct arrival *a = arg;
	uint64_t hash = hash_path(path);
	struct tracefile t;

	for (uint32_t i = 0; i < a->arrived; i++)
		if (a->known[i] == hash)
			return 0;
	if (a->arrived == a->clients || tracefile_open(path, false, &t) < 0)
		return 0;
	if (t.total == a->bytes && tracefile_is_whole(&t))
		a->known[a->arrived++] = hash;
	tracefile_close(&t);
	return 0;
}

int arrival_wait(const char *directory, uint32_t clients, uint64_t bytes, uint64_t deadline_ns)
{
	struct arrival a = {
		.bytes = bytes,
		.clients = clients,
		.known = calloc(clients, sizeof(*a.known)),
	};
	int r = 0;

	if (!a.known)
		err(1, "out of memory");
	for (;;) {
		uint64_t begun = fleet_now(), took;

		r = outputs_walk(directory, ".dat", look_at, &a);
		if (r == -ENOENT)
			r = 0; /* the server has not made the directory yet */
		if (r < 0 || a.arrived == clients)
			break;
		if (fleet_now() > deadline_ns) {
			warnx("out of time: %u of %u trace files below %s", a.arrived, clients,
			      directory);
			r = -ETIMEDOUT;
			break;
		}
		/* Looking must not take the processor from the server: rest at least as long. */
		took = fleet_now() - begun;
		if (took < 500000)
			took = 500000;
		nanosleep(&(struct timespec){.tv_nsec = (long)(took % 1000000000)}, NULL);
	}
	free(a.known);
	return r;
}
