/* SPDX-License-Identifier: MIT */
/* clock.h - the two clocks, in the units that slots and leases use. Thread: any. */
#ifndef TRACERELAY_SESSIOND_LITE_CLOCK_H
#define TRACERELAY_SESSIOND_LITE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t clock_realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
