/* SPDX-License-Identifier: MIT */
/* methods.c - the table of names. */
#include "sessiond-lite/methods.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	method_fn *call;
} table[] = {
	{"session.create", session_method_create},   {"session.list", session_method_list},
	{"session.show", session_method_show},       {"session.stop", session_method_stop},
	{"session.start", session_method_start},     {"session.rotate", session_method_rotate},
	{"session.destroy", session_method_destroy}, {"daemon.status", daemon_method_status},
	{"daemon.config", daemon_method_config},     {"daemon.version", daemon_method_version},
};

#define METHODS (sizeof(table) / sizeof(table[0]))

void methods_call(const struct method_subjects *subjects, struct call *call)
{
	const char *name = call_request(call)->method;
	char sentence[512];
	size_t n;

	for (size_t i = 0; i < METHODS; i++)
		if (strcmp(table[i].name, name) == 0) {
			table[i].call(subjects, call);
			return;
		}
	n = (size_t)snprintf(sentence, sizeof(sentence), "there is no method \"%.80s\"; there are",
			     name);
	for (size_t i = 0; i < METHODS && n < sizeof(sentence); i++)
		n += (size_t)snprintf(sentence + n, sizeof(sentence) - n, "%s %s", i ? "," : "",
				      table[i].name);
	call_fail(call, JSONRPC_METHOD_NOT_FOUND, sentence);
}
