/* SPDX-License-Identifier: MIT */
/*
 * refusal.h - a no to a user's request: a keyword for programs, a sentence for people.
 *
 * Life:   a plain value; the reason is a string literal.
 * Thread: any; no state. The keywords are listed in doc/control.md.
 */
#ifndef TRACERELAY_SESSIOND_LITE_REFUSAL_H
#define TRACERELAY_SESSIOND_LITE_REFUSAL_H

#define REFUSAL_SENTENCE 512

struct refusal {
	const char *reason;              /* "exists", "bad-rule", ... */
	char sentence[REFUSAL_SENTENCE]; /* says what is wrong and what to do; no period */
};

/* Fill it in. Returns error, so that a caller can write `return refusal_set(...)`. */
int refusal_set(struct refusal *refusal, int error, const char *reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
