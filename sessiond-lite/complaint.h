/* SPDX-License-Identifier: MIT */
/*
 * complaint.h - why sessiond-lite does not start, in a sentence on stderr.
 *
 * Thread: the main thread, before the loop runs.
 */
#ifndef TRACERELAY_SESSIOND_LITE_COMPLAINT_H
#define TRACERELAY_SESSIOND_LITE_COMPLAINT_H

/* Print "sessiond-lite: " and the sentence. Returns error, a negative errno. */
int complaint(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, where only the errno tells what is wrong. */
int complaint_errno(int error);

#endif
