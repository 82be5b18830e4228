/* SPDX-License-Identifier: MIT */
/*
 * call.h - one request of control.sock, from its line to its answer.
 *
 * Life:   call_new() to the one function that answers it, which frees it. Whoever made it may
 *         abandon it meanwhile: it goes on, and its answer is dropped.
 * Thread: sessiond-lite's loop. Test: tests/unit/methods.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CALL_H
#define TRACERELAY_SESSIOND_LITE_CALL_H

#include <jansson.h>

#include "common/jsonrpc.h"
#include "sessiond-lite/refusal.h"

struct call;

/*
 * The answer, maybe before the method's function returns.
 * @response  taken; NULL: there is none to send, as the request was a notification
 * @error     0, or -ENOMEM: there ought to be one
 */
typedef void call_answered(void *context, json_t *response, int error);

/* @request  taken (left zeroed) on success. NULL without memory. */
struct call *call_new(struct jsonrpc_request *request, call_answered *answered, void *context);
void call_abandon(struct call *c); /* answered will not be called */

const struct jsonrpc_request *call_request(const struct call *c);

/* ---- the answer: each of them ends the call ---- */

/* @result  taken; NULL is what jansson's builders give without memory */
void call_reply(struct call *c, json_t *result);

/* No, for a reason of ours: JSONRPC_REFUSED with data {"reason": keyword}. */
void call_refuse(struct call *c, const struct refusal *why);

/* No, as JSON-RPC has it: a code of enum jsonrpc_code. */
void call_fail(struct call *c, int code, const char *sentence);

/* What jsonrpc_request_unpack() gave besides a negative result. */
void call_bad_params(struct call *c, int error, json_t *response);

#endif
