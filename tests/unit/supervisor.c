/* SPDX-License-Identifier: MIT */
/* supervisor.c - a fake relayd is started, killed, crashes in a loop, and is shut down. */
#include "sessiond-lite/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "sessiond-lite/relayd_process.h"
#include "sessiond-lite/store.h"

#define WORKERS 2

static struct fixture {
	uv_loop_t loop;
	uv_timer_t guard;
	struct store *store;
	struct relayd_link *link;
	struct supervisor *supervisor;
	int passed, died, ready, finished;
	bool clean;
	struct link_message ready_message;
	int files[4];
} f;

static void on_message(void *context, const struct link_message *m, int *fds, unsigned n_fds)
{
	(void)context;
	(void)fds;
	(void)n_fds;
	if (m->type == LINK_READY) {
		f.ready_message = *m;
		supervisor_on_ready(f.supervisor);
	} else if (m->type == LINK_STOPPED) {
		supervisor_on_stopped(f.supervisor);
	}
}

static void on_gone(void *context, int error)
{
	(void)context;
	supervisor_link_gone(f.supervisor, error);
}

static void on_pass_all(void *context)
{
	(void)context;
	f.passed++;
}

static void on_died(void *context)
{
	(void)context;
	cr_assert_not(relayd_link_is_open(f.link));
	f.died++;
}

static void on_ready(void *context)
{
	(void)context;
	f.ready++;
}

static void on_finished(void *context, bool clean)
{
	(void)context;
	f.finished++;
	f.clean = clean;
}

static void on_guard(uv_timer_t *h)
{
	(void)h;
	cr_assert_fail("nothing happened for 20 s");
}

static const char *path_of_fake(void)
{
	static char path[4096];
	const char *build = getenv("TRACERELAY_BUILD");

	snprintf(path, sizeof(path), "%s/tests/unit/fake_relayd", build ? build : ".");
	return path;
}

static void start(const char *relayd, const char *mode)
{
	struct store_config store = {
		.capacity = {4, 4, 16, WORKERS}, .conversations_per_peer = 4, .descriptors = 1000};
	struct supervisor_config config = {.relayd = relayd, .workers = WORKERS};
	struct supervisor_hooks hooks = {NULL, on_pass_all, on_died, on_ready, on_finished};

	memset(&f, 0, sizeof(f));
	setenv("FAKE_RELAYD", mode, 1);
	for (int i = 0; i < 4; i++) {
		f.files[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
		cr_assert_geq(f.files[i], 0);
	}
	config.options_fd = f.files[0];
	config.status_fd = f.files[1];
	config.output_dir_fd = f.files[2];
	config.output_lock_fd = f.files[3];
	cr_assert_eq(uv_loop_init(&f.loop), 0);
	uv_timer_init(&f.loop, &f.guard);
	uv_timer_start(&f.guard, on_guard, 20000, 0);
	cr_assert_eq(store_create(&store, &f.store), 0);
	cr_assert_eq(relayd_link_create(&f.loop, f.store,
					&(struct relayd_link_handlers){on_message, on_gone, NULL},
					&f.link),
		     0);
	cr_assert_eq(supervisor_create(&f.loop, &config, &hooks, store_state(f.store), f.link,
				       &f.supervisor),
		     0);
}

static void run_until(const int *what, int count)
{
	while (*what < count)
		uv_run(&f.loop, UV_RUN_ONCE);
}

static struct supervisor_status status(void)
{
	struct supervisor_status s;

	supervisor_status(f.supervisor, &s);
	return s;
}

static void stop(void)
{
	supervisor_free(f.supervisor);
	relayd_link_free(f.link);
	uv_close((uv_handle_t *)&f.guard, NULL);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&f.loop), 0);
	store_free(f.store);
	for (int i = 0; i < 4; i++)
		close(f.files[i]);
}

Test(supervisor, starts_passes_and_stops)
{
	start(path_of_fake(), "");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	cr_assert_eq(status().state, SUPERVISOR_STARTING);
	run_until(&f.ready, 1);
	cr_assert_eq(status().state, SUPERVISOR_RUNNING);
	cr_assert_eq(status().generation, 1);
	cr_assert_eq(status().restarts, 0);
	cr_assert_eq(f.passed, 1);
	cr_assert_eq(f.ready_message.kind, 5 + 2 * WORKERS);
	cr_assert_str_eq(f.ready_message.text, "0 1 2 3 ", "inherited: %s", f.ready_message.text);
	supervisor_shutdown(f.supervisor);
	supervisor_shutdown(f.supervisor);
	cr_assert_eq(status().state, SUPERVISOR_STOPPING);
	run_until(&f.finished, 1);
	cr_assert(f.clean);
	cr_assert_eq(status().state, SUPERVISOR_STOPPED);
	cr_assert_eq(status().pid, 0);
	stop();
}

Test(supervisor, a_killed_relayd_is_replaced)
{
	start(path_of_fake(), "");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	for (int i = 1; i <= 4; i++) {
		run_until(&f.ready, i);
		cr_assert_eq(f.passed, i);
		kill(status().pid, SIGKILL);
		run_until(&f.died, i);
		cr_assert(strstr(status().last_end, "signal 9"), "%s", status().last_end);
	}
	run_until(&f.ready, 5);
	cr_assert_eq(status().generation, 5);
	cr_assert_eq(status().restarts, 4);
	cr_assert_eq(f.finished, 0);
	supervisor_shutdown(f.supervisor);
	run_until(&f.finished, 1);
	stop();
}

Test(supervisor, a_crash_loop_slows_down)
{
	int64_t last = 0;

	start(path_of_fake(), "crash");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	for (int i = 1; i <= 6; i++) {
		run_until(&f.died, i);
		cr_assert_eq(status().state, SUPERVISOR_WAITING);
		cr_assert_geq(status().next_try_ms, last);
		last = status().next_try_ms;
		cr_assert_str_eq(status().last_end, "exited with status 3");
	}
	cr_assert_geq(last, 200);
	cr_assert_eq(f.ready, 0);
	stop();
}

Test(supervisor, killed_while_finishing)
{
	start(path_of_fake(), "stubborn");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	run_until(&f.ready, 1);
	supervisor_shutdown(f.supervisor);
	run_until(&f.finished, 1);
	cr_assert(f.clean);
	cr_assert_eq(status().generation, 3);
	cr_assert_eq(f.died, 3);
	stop();
}

Test(supervisor, shutdown_of_what_never_runs)
{
	start(path_of_fake(), "crash");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	run_until(&f.died, 1);
	supervisor_shutdown(f.supervisor);
	run_until(&f.finished, 1);
	cr_assert_not(f.clean);
	stop();
}

Test(supervisor, no_executable)
{
	start("/nonexistent/relayd", "");
	cr_assert_eq(supervisor_start(f.supervisor), -ENOENT);
	cr_assert_eq(f.died, 0);
	stop();
}

Test(supervisor, a_relayd_that_closed_its_link_is_dying)
{
	pid_t pid;

	start(path_of_fake(), "deaf");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	while (!f.ready || status().state != SUPERVISOR_DYING)
		uv_run(&f.loop, UV_RUN_ONCE);
	pid = status().pid;
	cr_assert_neq(pid, 0);
	cr_assert_eq(status().generation, 1, "no second one while the first runs");
	kill(pid, SIGKILL);
	run_until(&f.died, 1);
	cr_assert_eq(status().state, SUPERVISOR_STARTING);
	cr_assert_eq(status().generation, 2);
	stop();
}

/* What is freed does not take relayd with it: that sees the link's end and leaves by itself. */
Test(supervisor, freed_while_relayd_runs)
{
	pid_t pid;

	start(path_of_fake(), "");
	cr_assert_eq(supervisor_start(f.supervisor), 0);
	run_until(&f.ready, 1);
	pid = status().pid;
	stop();
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(supervisor, descriptions)
{
	char text[96];

	relayd_process_describe(SIGSEGV, text, sizeof(text));
	cr_assert_str_eq(text, "was killed by signal 11 (Segmentation fault)");
	relayd_process_describe(1 << 8, text, sizeof(text));
	cr_assert_str_eq(text, "exited with status 1");
	cr_assert_not(relayd_process_is_dying(getpid()));
}
