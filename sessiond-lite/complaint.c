/* SPDX-License-Identifier: MIT */
/* complaint.c - to stderr, whatever log.target says: the user is looking there. */
#include "sessiond-lite/complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int complaint(int error, const char *format, ...)
{
	va_list ap;

	fputs("sessiond-lite: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return error;
}

int complaint_errno(int error)
{
	return complaint(error, "cannot start: %s", strerror(-error));
}
