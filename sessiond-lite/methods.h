/* SPDX-License-Identifier: MIT */
/*
 * methods.h - what can be asked over control.sock, and of whom.
 *
 * Thread: sessiond-lite's loop. A method may answer later; none blocks.
 * Source: doc/control.md. Test: tests/unit/methods.c.
 */
#ifndef TRACERELAY_SESSIOND_LITE_METHODS_H
#define TRACERELAY_SESSIOND_LITE_METHODS_H

#include <uv.h>

#include "config/options.h"
#include "sessiond-lite/call.h"
#include "sessiond-lite/catalog.h"
#include "sessiond-lite/database.h"
#include "sessiond-lite/listener.h"
#include "sessiond-lite/registry.h"
#include "sessiond-lite/sources.h"
#include "sessiond-lite/store.h"
#include "sessiond-lite/supervisor.h"

/* Everybody whom a method asks; borrowed. */
struct method_subjects {
	uv_loop_t *loop;
	struct registry *registry;
	struct catalog *catalog;
	struct database *database;
	struct supervisor *supervisor;
	struct store *store;
	struct sources *sources;
	struct listeners *listeners;
	const struct options *options;
};

/* Do what the call asks. @call  taken */
void methods_call(const struct method_subjects *subjects, struct call *call);

/* ---- the methods, each taking its call ---- */

typedef void method_fn(const struct method_subjects *s, struct call *call);

/* session_methods.c */
method_fn session_method_create, session_method_list, session_method_show, session_method_stop,
	session_method_start, session_method_rotate, session_method_destroy;
/* daemon_methods.c */
method_fn daemon_method_status, daemon_method_config, daemon_method_version;

#endif
