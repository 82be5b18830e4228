/* SPDX-License-Identifier: MIT */
/*
 * lttng_handlers.h - what the files of an LTTng control conversation share; see lttng_control.h.
 *
 * A handler gets a whole message, legal in this state, of a size the table allows. It answers
 * through the functions below, and changes nothing if it waits.
 */
#ifndef TRACERELAY_RELAYD_LTTNG_HANDLERS_H
#define TRACERELAY_RELAYD_LTTNG_HANDLERS_H

#include "relayd/lttng_control.h"

/* One call of lttng_control_step(). */
struct lttng_step {
	struct lttng_control *s;
	const struct lttng_input *in;
	struct lttng_output *out;
	size_t size; /* of the message, header included */
};

typedef enum lttng_action (*lttng_handler)(const struct lttng_step *t, struct wire_reader *body);

enum lttng_action lttng_wait_for(struct lttng_output *out, enum lttng_wait wait);
enum lttng_action lttng_end(struct lttng_control *s, struct lttng_output *out,
			    enum close_reason reason, bool orderly);
enum lttng_action lttng_took(const struct lttng_step *t); /* no reply */
struct wire_writer lttng_reply(const struct lttng_step *t);
enum lttng_action lttng_answer(const struct lttng_step *t, const struct wire_writer *w);
enum lttng_action lttng_answer_code(const struct lttng_step *t, uint32_t code);
/* Behind an answer: the connection ends when it is sent. */
enum lttng_action lttng_leave(const struct lttng_step *t, enum close_reason reason);
enum lttng_action lttng_refuse(const struct lttng_step *t, uint32_t code, enum close_reason reason);
/* An order with that much payload has room. */
bool lttng_order_fits(const struct lttng_step *t, uint32_t bytes);
/* It has not: waited for, until that is too long: then the source is closed. */
enum lttng_action lttng_wait_for_room(const struct lttng_step *t);
struct ctf_order *lttng_order(const struct lttng_step *t, enum ctf_order_type type,
			      const struct state_ref *stream);
bool lttng_own_stream(const struct lttng_step *t, uint64_t handle, struct state_ref *ret,
		      bool *ret_metadata);

/* lttng_session.c */
enum lttng_action lttng_on_version(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_configuration(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_create_session(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_start_data(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_add_stream(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_streams_sent(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_close_stream(const struct lttng_step *t, struct wire_reader *body);

/* lttng_stored.c */
enum lttng_action lttng_on_reset_metadata(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_index(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_data_pending(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_quiescent(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_begin_data_pending(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_end_data_pending(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_create_chunk(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_close_chunk(const struct lttng_step *t, struct wire_reader *body);
enum lttng_action lttng_on_chunk_exists(const struct lttng_step *t, struct wire_reader *body);

#endif
