/* SPDX-License-Identifier: MIT */
/* call.c - answers go through one function, so that a call ends once. */
#include "sessiond-lite/call.h"

#include <errno.h>
#include <stdlib.h>

struct call {
	struct jsonrpc_request request;
	call_answered *answered;
	void *context;
};

struct call *call_new(struct jsonrpc_request *request, call_answered *answered, void *context)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->request = *request;
	*request = (struct jsonrpc_request){0};
	c->answered = answered;
	c->context = context;
	return c;
}

void call_abandon(struct call *c)
{
	c->answered = NULL;
}

const struct jsonrpc_request *call_request(const struct call *c)
{
	return &c->request;
}

static void end(struct call *c, json_t *response, int error)
{
	call_answered *answered = c->answered;
	void *context = c->context;

	jsonrpc_request_clear(&c->request);
	free(c);
	if (answered)
		answered(context, response, error);
	else
		json_decref(response);
}

void call_reply(struct call *c, json_t *result)
{
	json_t *response = NULL;
	int r = jsonrpc_reply(&c->request, result, &response);

	end(c, response, r);
}

static void refuse(struct call *c, int code, const char *sentence, json_t *data)
{
	json_t *response = NULL;
	int r = jsonrpc_refuse(&c->request, code, sentence, data, &response);

	end(c, response, r);
}

void call_refuse(struct call *c, const struct refusal *why)
{
	refuse(c, JSONRPC_REFUSED, why->sentence, json_pack("{s:s}", "reason", why->reason));
}

void call_fail(struct call *c, int code, const char *sentence)
{
	refuse(c, code, sentence, NULL);
}

void call_bad_params(struct call *c, int error, json_t *response)
{
	end(c, response, error == -EBADMSG ? 0 : error);
}
