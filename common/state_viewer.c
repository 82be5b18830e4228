/* SPDX-License-Identifier: MIT */
/* state_viewer.c - what viewers still want; see state_viewer.h. */
#include "common/state_viewer.h"

#include "common/state.h"
#include "common/tsan.h"

/*
 * What stands in the slot, whether it counts already or not: an entry too many only makes somebody
 * wait.
 */
TSAN_READS_RACILY static bool wants(const volatile struct viewer_slot *v, uint64_t session,
				    uint64_t stream, uint32_t number)
{
	bool attached = false;

	for (uint32_t i = 0; i < VIEWER_SESSIONS; i++) {
		if (v->attachment[i].session != session || v->attachment[i].over)
			continue;
		if (v->attachment[i].told.from <= number)
			return true; /* it is to be told of it */
		attached = true;
	}
	for (uint32_t i = 0; attached && i < VIEWER_CURSORS; i++)
		if (v->cursor[i].stream == stream && !v->cursor[i].over)
			return true;
	return false;
}

bool state_viewer_needs(const struct state *st, uint64_t session, uint64_t stream, uint32_t number,
			int64_t silent_ms)
{
	uint32_t high = atomic_load(&st->header->high_conversation);

	for (uint32_t i = 0; i < high; i++) {
		const struct conversation_slot *c = &st->conversation[i];
		struct conversation_half h;

		if (!conversation_lives(c, CONVERSATION_LTTNG_LIVE))
			continue;
		conversation_read(c, &h);
		if (h.last_byte_ms >= silent_ms && wants(&st->viewer[i], session, stream, number))
			return true;
	}
	return false;
}
