/* SPDX-License-Identifier: MIT */
/* ctf_arrivals.c - see ctf_arrivals.h. */
#include "consumer/ctf_arrivals.h"

#include <errno.h>
#include <stdlib.h>

struct ctf_arrivals {
	const struct state *st;
	int64_t looked_ms;
	uint64_t look;       /* number of the last look, from 1 */
	uint64_t *of_source; /* [capacity.sources]: the last look that found a connection of it */
	struct addr *silent; /* n hosts, each as often as it has such connections */
	size_t n, room;
	bool short_of_memory; /* there may be more hosts than those */
};

int ctf_arrivals_new(const struct state *st, struct ctf_arrivals **ret)
{
	struct ctf_arrivals *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->st = st;
	a->of_source = calloc(st->header->capacity.sources, sizeof(*a->of_source));
	if (!a->of_source) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void ctf_arrivals_free(struct ctf_arrivals *a)
{
	if (!a)
		return;
	free(a->of_source);
	free(a->silent);
	free(a);
}

static void add_silent(struct ctf_arrivals *a, const struct addr *host)
{
	size_t room = a->room ? 2 * a->room : 64;
	struct addr *more;

	if (a->n == a->room) {
		more = realloc(a->silent, room * sizeof(*more));
		if (!more) {
			a->short_of_memory = true;
			return;
		}
		a->silent = more;
		a->room = room;
	}
	a->silent[a->n++] = *host;
}

void ctf_arrivals_look(struct ctf_arrivals *a, int64_t since_ms, int64_t now_ms)
{
	const struct state *st = a->st;
	uint32_t high = atomic_load(&st->header->high_conversation);

	if (a->look && a->looked_ms >= since_ms)
		return;
	a->look++;
	a->looked_ms = now_ms;
	a->n = 0;
	a->short_of_memory = false;
	for (uint32_t i = 0; i < high; i++) {
		const struct conversation_slot *c = &st->conversation[i];
		uint32_t source;

		if (!conversation_lives(c, CONVERSATION_LTTNG_DATA))
			continue;
		source = atomic_load(&c->source);
		if (source)
			a->of_source[source - 1] = a->look;
		else
			add_silent(a, &c->peer);
	}
}

bool ctf_arrivals_of_source(const struct ctf_arrivals *a, struct state_ref source)
{
	return a->of_source[source.index] == a->look;
}

bool ctf_arrivals_of_host(const struct ctf_arrivals *a, const struct addr *host)
{
	for (size_t i = 0; i < a->n; i++)
		if (addr_same_host(&a->silent[i], host))
			return true;
	return a->short_of_memory;
}
