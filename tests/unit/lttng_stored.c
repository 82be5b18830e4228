/* SPDX-License-Identifier: MIT */
/* lttng_stored.c - LTTng's control connection: chunks, metadata, indexes, what is pending. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/lttng_feed.h"

static struct feed f;

Test(lttng_stored, chunks)
{
	feed_open(&f, 13, 2);
	f.s.chunks = 0;
	feed_chunk(&f, 5, "snapshot-1-20261121-014957-0");
	feed_close_chunk(&f, 5, true, 2);
	feed_whole(&f);
	cr_assert_eq(f.order_count, 2);
	cr_assert_eq(f.orders[0].type, CTF_ORDER_CHUNK);
	cr_assert_eq(f.orders[0].number, 5);
	cr_assert_eq(f.orders[0].value, 0x6b00f87b);
	cr_assert_eq(f.payload_len, 28);
	cr_assert_arr_eq(f.payload, "snapshot-1-20261121-014957-0", 28);
	cr_assert_eq(f.orders[1].type, CTF_ORDER_CLOSE_CHUNK);
	cr_assert_eq(f.orders[1].flag, CTF_CLOSE_DELETE);
	cr_assert_eq(f.orders[1].value, 0x6b00f8a5);
	cr_assert_eq(feed_code_at(&f, 8), 8, "chunk-5 and its NUL");

	/* One that it did not create; the answer has a path, or the client would hang. */
	feed_open(&f, 13, 2);
	f.s.chunks = 0;
	feed_chunk(&f, 5, "");
	feed_chunk(&f, 6, "");
	feed_close_chunk(&f, 5, true, 0);
	feed_close_chunk(&f, 7, true, 0);
	feed_close_chunk(&f, 6, true, 0);
	feed_whole(&f);
	cr_assert_eq(f.order_count, 3);
	cr_assert_eq(f.reason, CLOSE_protocol);
	cr_assert_eq(f.out_len, 4 + 4 + (8 + 8) + (8 + 1));
	cr_assert_eq(feed_code_at(&f, 24), LTTNG_INVALID);
	cr_assert_eq(feed_code_at(&f, 28), 1);

	feed_open(&f, 13, 2);
	feed_chunk(&f, 5, "../x");
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_bad_name);
	cr_assert_eq(feed_code_at(&f, 0), LTTNG_INVALID);
	feed_open(&f, 13, 2);
	feed_chunk(&f, CTF_NONE, ""); /* the one that old clients have */
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_bad_name);
}

Test(lttng_stored, metadata_in_pieces)
{
	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(1), 3 * CTF_PIECE + 1, 77);
	feed_metadata(&f, feed_handle(1), CTF_PIECE, 0);
	feed_metadata(&f, feed_handle(1), 0, 5);
	feed_whole(&f);
	cr_assert_eq(f.order_count, 6);
	cr_assert_eq(f.out_len, 0);
	for (unsigned i = 0; i < 6; i++) {
		static const uint32_t bytes[] = {CTF_PIECE, CTF_PIECE, CTF_PIECE, 1, CTF_PIECE, 0};
		static const uint64_t padding[] = {0, 0, 0, 77, 0, 5};

		cr_assert_eq(f.orders[i].type, CTF_ORDER_METADATA);
		cr_assert_eq(f.orders[i].stream, 2);
		cr_assert_eq(f.orders[i].bytes, bytes[i], "%u", i);
		cr_assert_eq(f.orders[i].flag, i >= 3, "%u", i);
		cr_assert_eq(f.orders[i].value, padding[i], "%u", i);
	}
	cr_assert_arr_eq(f.payload, f.in + LTTNG_HEADER_SIZE + 12, 3 * CTF_PIECE + 1);
}

Test(lttng_stored, metadata_waits_for_room)
{
	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(1), 9000, 0);
	f.room = ctf_order_size(CTF_PIECE) - 1;
	f.now_ms += 3600 * 1000;
	feed_whole(&f);
	cr_assert_not(f.ended, "the silence is ours");
	cr_assert_eq(f.wait, LTTNG_WAIT_ROOM);
	cr_assert_eq(f.deadline_ms, f.now_ms + LTTNG_ROOM_AGAIN_MS);
	cr_assert_eq(f.order_count, 0);
	f.room++;
	feed_whole(&f);
	cr_assert_eq(f.order_count, 3);
}

/* Index records leave half of the ring to what is never dropped; metadata leaves what the option
 * does not allow. */
Test(lttng_stored, shares_of_the_ring)
{
	feed_open(&f, 13, 2);
	feed_index(&f, 13, feed_handle(0), 0, 4096);
	f.room = LTTNG_ORDERS_SHARE + ctf_order_size(64) - 1;
	feed_whole(&f);
	cr_assert_eq(f.wait, LTTNG_WAIT_ROOM);
	f.room++;
	feed_whole(&f);
	cr_assert_eq(f.order_count, 1);
	feed_open(&f, 13, 2);
	f.limits.metadata_wait = 64 << 10;
	feed_metadata(&f, feed_handle(1), 100, 0);
	f.room = LTTNG_ORDERS_SHARE - (64 << 10) + ctf_order_size(100) - 8;
	feed_whole(&f);
	cr_assert_eq(f.wait, LTTNG_WAIT_ROOM);
	f.room += 8;
	feed_whole(&f);
	cr_assert_eq(f.order_count, 1);
}

/* Room was waited for too long: an index is dropped, and answered; metadata ends the source. */
Test(lttng_stored, late_for_room)
{
	feed_open(&f, 13, 2);
	feed_index(&f, 13, feed_handle(0), 7, 4096);
	f.room = 0;
	f.late = true;
	feed_whole(&f);
	cr_assert_not(f.ended);
	cr_assert_eq(f.order_count, 0);
	cr_assert_eq(feed_code_at(&f, 0), LTTNG_OK);
	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(1), 100, 0);
	f.room = 0;
	f.late = true;
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_metadata_wait);
	cr_assert_eq(f.order_count, 0);
}

Test(lttng_stored, metadata_of_a_data_stream)
{
	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(0), 10, 0);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
	feed_open(&f, 13, 2);
	feed_metadata(&f, feed_handle(1), 10, UINT32_MAX); /* of zeros, on our disk */
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
}

Test(lttng_stored, rotation)
{
	static const unsigned paddings[] = {0, 3, 7};

	for (unsigned i = 0; i < 3; i++) {
		feed_open(&f, 13, 3);
		feed_rotate(&f, 3, paddings[i]);
		feed_whole(&f);
		cr_assert_eq(f.out_len, 4);
		cr_assert_eq(feed_code_at(&f, 0), LTTNG_OK);
		cr_assert_eq(f.order_count, 3);
		for (uint32_t k = 0; k < 3; k++) {
			cr_assert_eq(f.orders[k].type, CTF_ORDER_ROTATE);
			cr_assert_eq(f.orders[k].stream, 1 + k);
			cr_assert_eq(f.orders[k].flag, 1);
			cr_assert_eq(f.orders[k].number, 1);
			cr_assert_eq(f.orders[k].value, 5);
		}
	}
	feed_open(&f, 13, 3);
	feed_rotate(&f, 3, 5);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_protocol);
}

Test(lttng_stored, pending)
{
	feed_open(&f, 13, 2);
	f.in_flight = f.exists = true;
	feed_numbers(&f, LTTNG_DATA_PENDING, 2, feed_handle(0), 4);
	feed_numbers(&f, LTTNG_DATA_PENDING, 2, feed_handle(0), CTF_NONE);
	feed_numbers(&f, LTTNG_END_DATA_PENDING, 1, 0, 0);
	feed_numbers(&f, LTTNG_CHUNK_EXISTS, 1, 0, 0);
	feed_whole(&f);
	cr_assert_eq(feed_code_at(&f, 0), 1);
	cr_assert_eq(feed_code_at(&f, 4), 0);
	cr_assert_eq(feed_code_at(&f, 8), 1);
	cr_assert_eq(feed_code_at(&f, 12), LTTNG_OK);
	cr_assert_eq(f.out[16], 1);
	f.stored = true;
	f.in_flight = f.exists = false;
	feed_numbers(&f, LTTNG_DATA_PENDING, 2, feed_handle(0), 4);
	feed_numbers(&f, LTTNG_END_DATA_PENDING, 1, 0, 0);
	feed_numbers(&f, LTTNG_CHUNK_EXISTS, 1, 0, 0);
	feed_whole(&f);
	cr_assert_eq(feed_code_at(&f, 17), 0);
	cr_assert_eq(feed_code_at(&f, 21), 0);
	cr_assert_eq(f.out[29], 0);
}

/* One that has retired was complete; nothing of it can be pending. */
Test(lttng_stored, pending_of_a_stream_that_was)
{
	feed_open(&f, 13, 2);
	f.gone = ctf_handle(9, FEED_ID + 9);
	feed_numbers(&f, LTTNG_DATA_PENDING, 2, f.gone, 4);
	feed_numbers(&f, LTTNG_QUIESCENT, 1, f.gone, 0);
	feed_whole(&f);
	cr_assert_eq(feed_code_at(&f, 0), 0);
	cr_assert_eq(feed_code_at(&f, 4), LTTNG_OK);
	cr_assert_eq(f.checked, 0);
	cr_assert_not(f.ended);
	feed_numbers(&f, LTTNG_CLOSE_STREAM, 2, f.gone, 4);
	feed_whole(&f);
	cr_assert_eq(f.reason, CLOSE_unknown_stream);
}
