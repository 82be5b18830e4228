/* SPDX-License-Identifier: MIT */
/* log_limit.c - a window of lines let through; see log_limit.h. */
#include "common/log_limit.h"

#include <assert.h>

static bool window_is_over(const struct log_limit *l, uint64_t now_ms)
{
	/* Threads read the clock before they come here, so now may be a little before the start. */
	return now_ms >= l->window_start_ms && now_ms - l->window_start_ms >= l->window_ms;
}

bool log_limit_take(struct log_limit *l, uint64_t now_ms, uint64_t *ret_left_out)
{
	uint64_t left_out = 0;

	assert(l->lines > 0 && l->window_ms > 0);
	if (l->passed == 0 || window_is_over(l, now_ms)) {
		left_out = l->left_out;
		l->left_out = 0;
		l->passed = 0;
		l->window_start_ms = now_ms;
	}
	*ret_left_out = left_out;
	if (l->passed == l->lines) {
		l->left_out++;
		return false;
	}
	l->passed++;
	return true;
}

uint64_t log_limit_due(const struct log_limit *l)
{
	return l->left_out ? l->window_start_ms + l->window_ms : UINT64_MAX;
}

uint64_t log_limit_settle(struct log_limit *l, uint64_t now_ms)
{
	uint64_t left_out = l->left_out;

	if (!left_out || !window_is_over(l, now_ms))
		return 0;
	l->left_out = 0;
	return left_out;
}
