/* SPDX-License-Identifier: MIT */
/* refusal.c - formats the sentence. */
#include "sessiond-lite/refusal.h"

#include <stdarg.h>
#include <stdio.h>

int refusal_set(struct refusal *refusal, int error, const char *reason, const char *format, ...)
{
	va_list args;

	refusal->reason = reason;
	va_start(args, format);
	vsnprintf(refusal->sentence, sizeof(refusal->sentence), format, args);
	va_end(args);
	return error;
}
