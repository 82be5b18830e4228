/* SPDX-License-Identifier: MIT */
/* ledger.c - sums of ledgers; see ledger.h. */
#include "common/ledger.h"

#define FIGURES (sizeof(struct stream_ledger) / sizeof(uint64_t))

/* All members are numbers of the same kind; what is added for one is added for each. */
typedef uint64_t __attribute__((may_alias)) figure;

_Static_assert(sizeof(struct stream_ledger) == (10 + DISCARD_COUNT) * sizeof(uint64_t),
	       "a ledger is figures of 64 bits and nothing else");

void ledger_add(struct stream_ledger *to, const struct stream_ledger *l)
{
	figure *sum = (figure *)to;
	const figure *more = (const figure *)l;

	for (unsigned i = 0; i < FIGURES; i++)
		sum[i] += more[i];
}

struct stream_ledger ledger_since(const struct stream_ledger *now, const struct stream_ledger *base)
{
	struct stream_ledger ret = *now;
	const figure *less = (const figure *)base;
	figure *left = (figure *)&ret;

	for (unsigned i = 0; i < FIGURES; i++)
		left[i] -= less[i];
	return ret;
}
