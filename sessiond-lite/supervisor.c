/* SPDX-License-Identifier: MIT */
/* supervisor.c - one relayd at a time. */
#include "sessiond-lite/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "sessiond-lite/clock.h"
#include "sessiond-lite/relayd_process.h"

/* Who ran at least so long is replaced at once. */
#define LONG_ENOUGH_MS   1000
#define FIRST_PAUSE_MS   10
#define LONGEST_PAUSE_MS 4000
#define KILLED_PAUSE_MS  100 /* the longest for who was killed from outside before it served */

/* A relayd that closed the link but does not go is killed. */
#define LEAVING_MS 10000

/* How often a shutdown that takes long says so; how often relayd may die in it. */
#define PATIENCE_MS        10000
#define DEATHS_IN_SHUTDOWN 5

#define PIPE_BYTES     (1 << 20)
#define PIPE_BYTES_MIN (1 << 16)

struct supervisor {
	uv_loop_t *loop;
	struct supervisor_config config;
	struct supervisor_hooks hooks;
	char *relayd;
	struct state *st;
	struct relayd_link *link;
	int (*pipe)[2]; /* [workers] */
	uv_signal_t child;
	uv_timer_t pause;    /* WAITING, or a relayd that is leaving */
	uv_timer_t patience; /* shutdown */
	int handles;         /* of these still to be closed */
	enum supervisor_state state;
	pid_t pid; /* 0: none */
	bool shutting_down;
	bool served, stopped_heard; /* this relayd: READY, STOPPED came */
	uint32_t restarts, deaths_in_shutdown;
	int64_t pause_ms;    /* the last one; 0: none was needed */
	int64_t next_try_ms; /* CLOCK_MONOTONIC */
	int64_t started_ms, started_ns;
	char last_end[96];
};

/* As large as we may: an unprivileged user's pipes are limited together. */
static int make_pipe(int ret[2])
{
	int size = PIPE_BYTES;

	if (pipe2(ret, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	while (fcntl(ret[0], F_SETPIPE_SZ, size) < 0 && size > PIPE_BYTES_MIN)
		size /= 2;
	if (size < PIPE_BYTES)
		log_info("small-pipe",
			 "a worker's pipe holds %d KiB only (/proc/sys/fs/pipe-user-pages-soft)",
			 size / 1024);
	return 0;
}

static void on_child(uv_signal_t *h, int signum);

int supervisor_create(uv_loop_t *loop, const struct supervisor_config *config,
		      const struct supervisor_hooks *hooks, struct state *st,
		      struct relayd_link *link, struct supervisor **ret)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	uint32_t made = 0;
	int r = -ENOMEM;

	assert(config->workers && config->workers <= STATE_WORKERS_MAX);
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->config = *config;
	s->hooks = *hooks;
	s->st = st;
	s->link = link;
	s->relayd = strdup(config->relayd);
	s->pipe = calloc(config->workers, sizeof(*s->pipe));
	if (!s->relayd || !s->pipe)
		goto fail;
	for (; made < config->workers; made++) {
		r = make_pipe(s->pipe[made]);
		if (r < 0)
			goto fail;
	}
	r = uv_signal_init(loop, &s->child);
	if (r < 0)
		goto fail;
	uv_timer_init(loop, &s->pause);
	uv_timer_init(loop, &s->patience);
	s->handles = 3;
	s->child.data = s->pause.data = s->patience.data = s;
	uv_signal_start(&s->child, on_child, SIGCHLD);
	*ret = s;
	return 0;
fail:
	while (made--) {
		close(s->pipe[made][0]);
		close(s->pipe[made][1]);
	}
	free(s->pipe);
	free(s->relayd);
	free(s);
	return r;
}

static void on_handle_closed(uv_handle_t *h)
{
	struct supervisor *s = h->data;

	if (--s->handles)
		return;
	free(s->relayd);
	free(s->pipe);
	free(s);
}

void supervisor_free(struct supervisor *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->config.workers; i++) {
		close(s->pipe[i][0]);
		close(s->pipe[i][1]);
	}
	relayd_link_close(s->link);
	uv_close((uv_handle_t *)&s->child, on_handle_closed);
	uv_close((uv_handle_t *)&s->pause, on_handle_closed);
	uv_close((uv_handle_t *)&s->patience, on_handle_closed);
}

static void send_simple(struct supervisor *s, enum link_type type)
{
	struct link_message m = {.type = type};

	relayd_link_send(s->link, &m);
}

static void send_setup(struct supervisor *s)
{
	struct link_message m = {
		.type = LINK_SETUP, .version = LINK_VERSION, .workers = s->config.workers};
	int fds[5 + 2 * STATE_WORKERS_MAX] = {s->st->fd, s->config.options_fd, s->config.status_fd,
					      s->config.output_dir_fd, s->config.output_lock_fd};
	unsigned n = 5;

	for (uint32_t i = 0; i < s->config.workers; i++) {
		fds[n++] = s->pipe[i][0];
		fds[n++] = s->pipe[i][1];
	}
	/* The offset is shared with the relayd before, which may have read. */
	(void)lseek(s->config.options_fd, 0, SEEK_SET);
	relayd_link_send_lent(s->link, &m, fds, n);
}

static int start(struct supervisor *s)
{
	int link, r;

	r = relayd_process_start(s->relayd, &s->pid, &link);
	if (r < 0)
		return r;
	s->state = SUPERVISOR_STARTING;
	s->served = s->stopped_heard = false;
	s->started_ms = clock_monotonic_ms();
	s->started_ns = clock_realtime_ns();
	atomic_fetch_add(&s->st->header->generation, 1);
	log_info("relayd-started", "relayd runs as process %d, generation %u", (int)s->pid,
		 atomic_load(&s->st->header->generation));
	r = relayd_link_open(s->link, link);
	if (r < 0) {
		kill(s->pid, SIGKILL); /* SIGCHLD leads to the next try */
		return 0;
	}
	send_setup(s);
	s->hooks.pass_all(s->hooks.context);
	send_simple(s, LINK_SYNCED);
	if (s->shutting_down)
		send_simple(s, LINK_SHUTDOWN);
	return 0;
}

int supervisor_start(struct supervisor *s)
{
	assert(!s->pid);
	return start(s);
}

static void on_pause_over(uv_timer_t *h);

static void pause_then_start(struct supervisor *s, int64_t longest_ms)
{
	s->pause_ms = s->pause_ms ? 2 * s->pause_ms : FIRST_PAUSE_MS;
	if (s->pause_ms > longest_ms)
		s->pause_ms = longest_ms;
	s->state = SUPERVISOR_WAITING;
	s->next_try_ms = clock_monotonic_ms() + s->pause_ms;
	uv_timer_start(&s->pause, on_pause_over, (uint64_t)s->pause_ms, 0);
}

static void start_or_pause(struct supervisor *s)
{
	int r = start(s);

	if (r < 0) {
		log_error("relayd-unstartable", "%s cannot be run: %s", s->relayd, strerror(-r));
		pause_then_start(s, LONGEST_PAUSE_MS);
	}
}

static void on_pause_over(uv_timer_t *h)
{
	struct supervisor *s = h->data;

	if (!s->pid)
		start_or_pause(s);
}

static void finish(struct supervisor *s, bool clean)
{
	s->state = SUPERVISOR_STOPPED;
	uv_timer_stop(&s->patience);
	uv_timer_stop(&s->pause);
	s->hooks.finished(s->hooks.context, clean);
}

static void on_death(struct supervisor *s, int status)
{
	int64_t ran_ms = clock_monotonic_ms() - s->started_ms;
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	bool exited_well = WIFEXITED(status) && !WEXITSTATUS(status);

	s->pid = 0;                 /* the number may be another's from now on */
	relayd_link_drain(s->link); /* what it said before; may be its STOPPED */
	relayd_link_close(s->link);
	uv_timer_stop(&s->pause);
	relayd_process_describe(status, s->last_end, sizeof(s->last_end));
	s->hooks.died(s->hooks.context);
	if (s->shutting_down && (s->stopped_heard || exited_well)) {
		log_info("relayd-stopped", "relayd has finished and %s", s->last_end);
		finish(s, true);
		return;
	}
	log_warning("relayd-died", "relayd ran %lld ms and %s", (long long)ran_ms, s->last_end);
	if (s->shutting_down && ++s->deaths_in_shutdown >= DEATHS_IN_SHUTDOWN) {
		log_error("relayd-unfinished",
			  "relayd cannot finish the open chunks; the next start will");
		finish(s, false);
		return;
	}
	s->restarts++;
	if (ran_ms >= LONG_ENOUGH_MS || (killed && s->served)) {
		s->pause_ms = 0;
		start_or_pause(s);
	} else {
		pause_then_start(s, killed ? KILLED_PAUSE_MS : LONGEST_PAUSE_MS);
	}
}

static void on_child(uv_signal_t *h, int signum)
{
	struct supervisor *s = h->data;
	int status;

	(void)signum;
	if (s->pid && waitpid(s->pid, &status, WNOHANG) == s->pid)
		on_death(s, status);
}

static void on_leaving_long(uv_timer_t *h)
{
	struct supervisor *s = h->data;

	if (!s->pid)
		return;
	log_warning("relayd-lingers", "relayd closed its link %d s ago and still runs: killing it",
		    LEAVING_MS / 1000);
	kill(s->pid, SIGKILL);
}

void supervisor_link_gone(struct supervisor *s, int error)
{
	relayd_link_close(s->link);
	if (!s->pid)
		return;
	s->state = SUPERVISOR_DYING;
	if (error < 0) {
		log_error("link-broken", "the link to relayd failed (%s): starting another",
			  strerror(-error));
		kill(s->pid, SIGKILL);
	} else if (!s->shutting_down) {
		uv_timer_start(&s->pause, on_leaving_long, LEAVING_MS, 0);
	}
}

void supervisor_on_ready(struct supervisor *s)
{
	if (s->state != SUPERVISOR_STARTING)
		return;
	s->served = true;
	s->state = s->shutting_down ? SUPERVISOR_STOPPING : SUPERVISOR_RUNNING;
	s->hooks.ready(s->hooks.context);
}

void supervisor_on_stopped(struct supervisor *s)
{
	s->stopped_heard = true;
}

static void on_patience(uv_timer_t *h)
{
	struct supervisor *s = h->data;

	log_info("still-finishing", "waiting for relayd (process %d) to finish the open chunks",
		 (int)s->pid);
}

void supervisor_shutdown(struct supervisor *s)
{
	if (s->shutting_down)
		return;
	s->shutting_down = true;
	uv_timer_start(&s->patience, on_patience, PATIENCE_MS, PATIENCE_MS);
	if (!s->pid) { /* chunks are open all the same */
		uv_timer_stop(&s->pause);
		start_or_pause(s);
		return;
	}
	if (s->state == SUPERVISOR_RUNNING)
		s->state = SUPERVISOR_STOPPING;
	send_simple(s, LINK_SHUTDOWN);
}

void supervisor_status(const struct supervisor *s, struct supervisor_status *ret)
{
	struct supervisor_status st = {.state = s->state,
				       .pid = s->pid,
				       .generation = atomic_load(&s->st->header->generation),
				       .restarts = s->restarts,
				       .started_ns = s->started_ns};

	if (s->pid && relayd_process_is_dying(s->pid))
		st.state = SUPERVISOR_DYING;
	if (s->state == SUPERVISOR_WAITING)
		st.next_try_ms = s->next_try_ms - clock_monotonic_ms();
	if (st.next_try_ms < 0)
		st.next_try_ms = 0;
	memcpy(st.last_end, s->last_end, sizeof(st.last_end));
	*ret = st;
}

const char *supervisor_state_name(enum supervisor_state state)
{
	static const char *const names[] = {
		[SUPERVISOR_STARTING] = "starting", [SUPERVISOR_RUNNING] = "running",
		[SUPERVISOR_DYING] = "dying",       [SUPERVISOR_WAITING] = "waiting",
		[SUPERVISOR_STOPPING] = "stopping", [SUPERVISOR_STOPPED] = "stopped",
	};

	return names[state];
}
