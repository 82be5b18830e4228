/* SPDX-License-Identifier: MIT */
/* lease.c - ports per peer: lowest first, rest, limits, and a random run against a plain model. */
#include "sessiond-lite/lease.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define FIRST 30000

/* What bind() of the test says. */
struct world {
	bool taken[65536]; /* by somebody else */
	int error;         /* for every port */
	unsigned asked;
};

static int bind_in(void *context, uint16_t port, enum transport transport)
{
	struct world *w = context;

	(void)transport;
	w->asked++;
	if (w->error)
		return w->error;
	return w->taken[port] ? -EADDRINUSE : 0;
}

static struct lease_table *table(uint32_t pool, uint32_t per_peer)
{
	struct lease_config c = {.first_port = FIRST,
				 .last_port = (uint16_t)(FIRST + pool - 1),
				 .per_peer = per_peer,
				 .rest_ms = 60000};
	struct lease_table *t;

	cr_assert_eq(lease_table_create(&c, &t), 0);
	return t;
}

static struct addr host(const char *text)
{
	struct addr a;

	cr_assert_eq(addr_parse(text, &a), 0);
	return a;
}

static uint64_t next_id = 1;

static int take(struct lease_table *t, struct world *w, const char *from, uint32_t n, int64_t now,
		uint16_t *ports)
{
	struct addr peer = host(from);
	struct state_ref streams[4096];
	struct lease_request rq = {
		.peer = &peer, .n = n, .streams = streams, .bind = bind_in, .context = w};

	for (uint32_t i = 0; i < n; i++)
		streams[i] = (struct state_ref){.index = i, .id = next_id++};
	return lease_take(t, &rq, now, ports);
}

static void end(struct lease_table *t, const char *from, uint16_t port, int64_t now)
{
	struct addr peer = host(from);

	lease_end(t, &peer, port, now);
}

Test(lease, lowest_ports_for_every_host)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	uint16_t a[4], b[4];

	cr_assert_eq(take(t, &w, "10.0.0.1", 4, 0, a), 0);
	cr_assert_eq(take(t, &w, "10.0.0.2", 4, 0, b), 0);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(a[i], FIRST + i);
		cr_assert_eq(b[i], FIRST + i);
	}
	cr_assert_eq(lease_count(t), 8);
	cr_assert_eq(lease_peer_count(t), 2);
	cr_assert_eq(lease_held(t, &(struct addr){0}), 0);
	end(t, "10.0.0.1", a[3], 0);
	{
		struct addr peer = host("10.0.0.1:77");

		cr_assert_eq(lease_held(t, &peer), 3);
	}
	lease_table_free(t);
}

Test(lease, peers_behind_one_address_get_distinct_ports)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	uint16_t a[2], b[2];

	cr_assert_eq(take(t, &w, "10.0.0.1:1000", 2, 0, a), 0);
	cr_assert_eq(take(t, &w, "10.0.0.1:2000", 2, 0, b), 0);
	cr_assert_eq(b[0], FIRST + 2);
	cr_assert_eq(b[1], FIRST + 3);
	lease_table_free(t);
}

Test(lease, find_gives_the_stream)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	struct addr peer = host("10.0.0.1"), other = host("10.0.0.2");
	struct state_ref ref = {.id = 77};
	uint16_t p[3];

	cr_assert_eq(take(t, &w, "10.0.0.1", 3, 0, p), 0);
	peer.port = 4711; /* of the connection: plays no part */
	cr_assert_eq(lease_find(t, &peer, p[1], &ref), 0);
	cr_assert_eq(ref.index, 1);
	cr_assert_eq(ref.id, 2);
	ref.id = 77;
	cr_assert_eq(lease_find(t, &other, p[1], &ref), -ENOENT);
	cr_assert_eq(lease_find(t, &peer, FIRST + 3, &ref), -ENOENT);
	cr_assert_eq(lease_find(t, &peer, FIRST - 1, &ref), -ENOENT);
	cr_assert_eq(lease_find(t, &peer, FIRST + 64, &ref), -ENOENT);
	cr_assert_eq(lease_find(t, &peer, 65535, &ref), -ENOENT);
	end(t, "10.0.0.1", p[1], 5);
	cr_assert_eq(lease_find(t, &peer, p[1], &ref), -ENOENT);
	cr_assert_eq(ref.id, 77, "output on failure");
	lease_table_free(t);
}

Test(lease, a_port_rests_for_a_minute)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	uint16_t p[2];

	cr_assert_eq(take(t, &w, "10.0.0.1", 2, 0, p), 0);
	end(t, "10.0.0.1", FIRST, 1000);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 60999, p), 0);
	cr_assert_eq(p[0], FIRST + 2);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 61000, p), 0);
	cr_assert_eq(p[0], FIRST);
	/* another host does not care */
	end(t, "10.0.0.1", FIRST, 61000);
	cr_assert_eq(take(t, &w, "10.0.0.2", 1, 61001, p), 0);
	cr_assert_eq(p[0], FIRST);
	lease_table_free(t);
}

Test(lease, resting_ports_are_the_last_resort)
{
	struct lease_table *t = table(4, 4096);
	struct world w = {0};
	uint16_t p[4];

	cr_assert_eq(take(t, &w, "10.0.0.1", 4, 0, p), 0);
	end(t, "10.0.0.1", FIRST + 2, 10);
	end(t, "10.0.0.1", FIRST, 20);
	cr_assert_eq(take(t, &w, "10.0.0.1", 3, 30, p), -EADDRNOTAVAIL);
	cr_assert_eq(lease_count(t), 2);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), 0);
	cr_assert_eq(p[0], FIRST + 2, "the longest rested; the failed attempt changed nothing");
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), 0);
	cr_assert_eq(p[0], FIRST);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), -EADDRNOTAVAIL);
	lease_table_free(t);
}

Test(lease, the_longest_rested_comes_first)
{
	struct lease_table *t = table(3, 4096);
	struct world w = {0};
	uint16_t p[3];

	cr_assert_eq(take(t, &w, "10.0.0.1", 3, 0, p), 0);
	end(t, "10.0.0.1", FIRST + 1, 10);
	end(t, "10.0.0.1", FIRST + 2, 20);
	end(t, "10.0.0.1", FIRST, 30);
	w.taken[FIRST + 1] = true; /* meanwhile somebody else's */
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), 0);
	cr_assert_eq(p[0], FIRST + 2);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), 0);
	cr_assert_eq(p[0], FIRST);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), -EADDRNOTAVAIL);
	w.taken[FIRST + 1] = false;
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 40, p), 0);
	cr_assert_eq(p[0], FIRST + 1);
	lease_table_free(t);
}

Test(lease, somebody_elses_ports_are_skipped)
{
	struct lease_table *t = table(8, 4096);
	struct world w = {0};
	uint16_t p[6];

	w.taken[FIRST] = w.taken[FIRST + 3] = true;
	cr_assert_eq(take(t, &w, "10.0.0.1", 6, 0, p), 0);
	cr_assert_eq(p[0], FIRST + 1);
	cr_assert_eq(p[2], FIRST + 4);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 0, p), -EADDRNOTAVAIL);
	w.taken[FIRST + 3] = false;
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 0, p), 0);
	cr_assert_eq(p[0], FIRST + 3);
	lease_table_free(t);
}

Test(lease, limits_and_errors_leave_nothing)
{
	struct lease_table *t = table(4096, 10);
	struct world w = {0};
	uint16_t p[16];

	cr_assert_eq(take(t, &w, "10.0.0.1", 11, 0, p), -EDQUOT);
	cr_assert_eq(lease_peer_count(t), 0);
	cr_assert_eq(take(t, &w, "10.0.0.1", 8, 0, p), 0);
	cr_assert_eq(take(t, &w, "10.0.0.1", 3, 0, p), -EDQUOT);
	cr_assert_eq(take(t, &w, "10.0.0.1", 2, 0, p), 0);
	end(t, "10.0.0.1", FIRST, 0);
	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 1, p), 0, "resting ports are not held");
	w.error = -EMFILE;
	cr_assert_eq(take(t, &w, "10.0.0.2", 4, 0, p), -EMFILE);
	w.error = 0;
	cr_assert_eq(lease_count(t), 10);
	cr_assert_eq(take(t, &w, "10.0.0.2", 1, 0, p), 0);
	cr_assert_eq(p[0], FIRST, "what was not given away needs no rest");
	lease_table_free(t);
}

Test(lease, peers_are_forgotten_after_the_rest)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	char name[32];
	uint16_t p[2];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "10.0.1.%d", i);
		cr_assert_eq(take(t, &w, name, 2, i, p), 0);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "10.0.1.%d", i);
		end(t, name, FIRST, 1000 + i);
		end(t, name, FIRST + 1, 1000 + i);
	}
	cr_assert_eq(lease_peer_count(t), 200);
	lease_forget(t, 61000 + 49);
	cr_assert_eq(lease_peer_count(t), 150);
	cr_assert_eq(take(t, &w, "10.0.1.60", 1, 61050, p), 0);
	lease_forget(t, 100000);
	cr_assert_eq(lease_peer_count(t), 101);
	cr_assert_eq(lease_count(t), 201);
	lease_table_free(t);
}

Test(lease, ipv4_has_one_form)
{
	struct lease_table *t = table(4096, 4096);
	struct world w = {0};
	struct addr mapped = host("::ffff:10.0.0.1");
	struct state_ref ref;
	uint16_t p[1];

	cr_assert_eq(take(t, &w, "10.0.0.1", 1, 0, p), 0);
	cr_assert_eq(lease_find(t, &mapped, p[0], &ref), 0);
	lease_table_free(t);
}

/* 40,000 random moves of three hosts on 130 ports, beside a model that scans everything. */
Test(lease, random_run_against_a_model)
{
	enum { POOL = 130, HOSTS = 3 };
	static struct {
		uint64_t id; /* of the holder */
		int64_t rests_until;
	} model[HOSTS][POOL];
	static const char *const names[HOSTS] = {"10.0.0.1", "10.0.0.2", "2001:db8::7"};
	struct lease_table *t = table(POOL, POOL);
	struct world w = {0};
	int64_t now = 0;

	srandom(7);
	w.taken[FIRST + 5] = w.taken[FIRST + 64] = true;
	for (int step = 0; step < 40000; step++) {
		int h = (int)(random() % HOSTS);
		uint16_t p[8];

		now += random() % 3000;
		if (random() % 2) {
			uint32_t n = (uint32_t)(random() % 8) + 1, done = 0;
			uint64_t first_id = next_id;
			unsigned fresh = 0;

			for (int i = 0; i < POOL; i++)
				if (!model[h][i].id && model[h][i].rests_until <= now &&
				    !w.taken[FIRST + i])
					fresh++;
			if (fresh < n)
				continue; /* the last resort has tests of its own */
			cr_assert_eq(take(t, &w, names[h], n, now, p), 0);
			for (int i = 0; i < POOL && done < n; i++)
				if (!model[h][i].id && model[h][i].rests_until <= now &&
				    !w.taken[FIRST + i]) {
					cr_assert_eq(p[done], FIRST + i, "step %d", step);
					model[h][i].id = first_id + done++;
				}
		} else {
			int i = (int)(random() % POOL);
			struct addr peer = host(names[h]);
			struct state_ref ref;

			if (!model[h][i].id) {
				cr_assert_eq(lease_find(t, &peer, (uint16_t)(FIRST + i), &ref),
					     -ENOENT);
				continue;
			}
			cr_assert_eq(lease_find(t, &peer, (uint16_t)(FIRST + i), &ref), 0);
			cr_assert_eq(ref.id, model[h][i].id);
			lease_end(t, &peer, (uint16_t)(FIRST + i), now);
			model[h][i].id = 0;
			model[h][i].rests_until = now + 60000;
		}
	}
	lease_table_free(t);
}
