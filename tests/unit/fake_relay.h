/* SPDX-License-Identifier: MIT */
/*
 * fake_relay.h - the two sockets of a relay, with scripted answers, for tests of relayctl.
 *
 * Life:   fake_relay_start() to fake_relay_stop(), which removes its directory.
 * Thread: the test's; the sockets are served by threads of their own.
 */
#ifndef TRACERELAY_TESTS_UNIT_FAKE_RELAY_H
#define TRACERELAY_TESTS_UNIT_FAKE_RELAY_H

#include <jansson.h>

struct fake_relay;

/* No socket is there yet: what is not scripted below does not exist. */
struct fake_relay *fake_relay_start(void);
void fake_relay_stop(struct fake_relay *f);
const char *fake_relay_dir(const struct fake_relay *f);

/* control.sock: the answer to a method, JSON as text; the next call for it replaces it. */
void fake_relay_answer(struct fake_relay *f, const char *method, const char *result);
void fake_relay_refuse(struct fake_relay *f, const char *method, int code, const char *message);
/* Send these bytes, whatever is asked, then close. */
void fake_relay_say(struct fake_relay *f, const char *bytes);

/* status.sock: connection after connection gets one of these; the last one is repeated. */
void fake_relay_document(struct fake_relay *f, const char *text);

/* The last request to control.sock, borrowed until the next one; asserted that there was one. */
const json_t *fake_relay_request(struct fake_relay *f);

/* A socket's file that nobody serves. */
void fake_relay_dead_socket(struct fake_relay *f, const char *name);

/* What relayctl said, and its exit status. */
struct said {
	int status;
	char out[65536], err[8192];
};

/* relayctl --run-dir DIR, and these words (up to NULL). The result is static. */
const struct said *fake_relay_run(struct fake_relay *f, ...) __attribute__((sentinel));

#endif
