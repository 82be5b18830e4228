/* SPDX-License-Identifier: MIT */
/*
 * fuzz_lttng.c - any bytes as an LTTng client on the control port.
 *
 * Byte 0 is the minor that is announced (low nibble; the state too: bit 7 begins in the middle of a
 * session), byte 1 what the answers are, the rest what the client sends. The conversation is held
 * whole and byte by byte. Held to: all that tests/unit/lttng_feed.h checks (bounds, a wait changes
 * nothing, steps come to an end); both give the same replies and the same orders.
 */
#include "tests/unit/lttng_feed.h"

#define OPENED  0x80
#define REFUSED 0x01 /* byte 1 */
#define NARROW  0x02
#define STORED  0x04
#define ENDS    0x08
#define NO_PATH 0x10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(struct feed *f, const uint8_t *data, size_t size)
{
	uint32_t minor = data[0] & 0x0f;

	if (!minor)
		minor = 13;
	if (data[0] & OPENED)
		feed_open(f, minor, 3);
	else
		feed_start(f, minor);
	f->refuse = data[1] & REFUSED;
	f->stored = data[1] & STORED;
	f->exists = f->in_flight = !f->stored;
	f->eof = data[1] & ENDS ? 1 : 0;
	f->no_path = data[1] & NO_PATH;
	if (data[1] & NARROW)
		f->limits.message_max = 2000;
	f->in_len = size - 2;
	memcpy(f->in, data + 2, size - 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct feed whole, pieces;

	if (size < 2 || size > 8192)
		return 0;
	begin(&whole, data, size);
	begin(&pieces, data, size);
	feed_whole(&whole);
	feed_bytewise(&pieces);
	FEED_NEED(whole.ended == pieces.ended && whole.reason == pieces.reason);
	FEED_NEED(whole.taken == pieces.taken && whole.steps == pieces.steps);
	FEED_NEED(!memcmp(&whole.s, &pieces.s, sizeof(whole.s)));
	FEED_NEED(whole.out_len == pieces.out_len && whole.order_count == pieces.order_count);
	FEED_NEED(!memcmp(whole.out, pieces.out, whole.out_len));
	FEED_NEED(
		!memcmp(whole.orders, pieces.orders, whole.order_count * sizeof(whole.orders[0])));
	FEED_NEED(whole.payload_len == pieces.payload_len);
	FEED_NEED(!memcmp(whole.payload, pieces.payload, whole.payload_len));
	FEED_NEED(!(data[1] & ENDS) || whole.ended);
	FEED_NEED(whole.reason != CLOSE_internal);
	return 0;
}
