/* SPDX-License-Identifier: MIT */
/*
 * control.h - control.sock: JSON-RPC 2.0, a request a line, any number of clients.
 *
 * A client's requests are answered in their order, the next one begun when the answer before has
 * been sent. So one line and one answer are the most that is held for a client, and one that does
 * not read its answers hurts nobody. Who may connect is decided by the file's mode (0600).
 *
 * Life:   control_create() to control_free(), which closes all clients and removes the file.
 *         Answers that come later are dropped.
 * Thread: sessiond-lite's loop. The program ignores SIGPIPE.
 * Source: design.md section 7; doc/control.md has every method. Test: tests/unit/control.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_CONTROL_H
#define TRACERELAY_SESSIOND_LITE_CONTROL_H

#include <uv.h>

#include "sessiond-lite/methods.h"

struct control;

/*
 * @fd        a listening unix socket; taken over, on failure too
 * @subjects  copied; what it points to is borrowed until control_free()
 */
int control_create(uv_loop_t *loop, int fd, const struct method_subjects *subjects,
		   struct control **ret);
void control_free(struct control *c); /* NULL is a no-op; done when the loop has run */

size_t control_clients(const struct control *c);

#endif
