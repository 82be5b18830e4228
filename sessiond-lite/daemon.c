/* SPDX-License-Identifier: MIT */
/* daemon.c - the order of the start, what the modules tell each other, the order of the end. */
#include "sessiond-lite/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "common/log.h"
#include "sessiond-lite/acceptor.h"
#include "sessiond-lite/background.h"
#include "sessiond-lite/catalog.h"
#include "sessiond-lite/clock.h"
#include "sessiond-lite/complaint.h"
#include "sessiond-lite/control.h"
#include "sessiond-lite/control_ports.h"
#include "sessiond-lite/database.h"
#include "sessiond-lite/hold.h"
#include "sessiond-lite/listener.h"
#include "sessiond-lite/registry.h"
#include "sessiond-lite/relayd_link.h"
#include "sessiond-lite/relayd_process.h"
#include "sessiond-lite/request.h"
#include "sessiond-lite/sources.h"
#include "sessiond-lite/store.h"
#include "sessiond-lite/supervisor.h"
#include "sessiond-lite/unix_listener.h"
#include "sessiond-lite/workplace.h"

/* Streams for which there are slots; slots that were never used cost nothing. */
#define STREAMS_A_SOURCE 4u
#define STREAMS_MIN      65536u

/*
 * Connections at a time, in units of limits.sources: a source of trace-cmd has one. A client
 * session of LTTng has one of each kind for each consumer (kernel, 64-bit and 32-bit applications),
 * and viewers are counted for themselves.
 */
#define CONTROLS_A_SOURCE      3u
#define DATA_A_SOURCE          3u
#define VIEWERS_A_SOURCE       1u
#define CONVERSATIONS_A_SOURCE (1u + CONTROLS_A_SOURCE + DATA_A_SOURCE + VIEWERS_A_SOURCE)

/* Somebody may send one request to end twice: timeout(1), to the process and to its group. */
#define SAME_REQUEST 500u /* ms */

struct daemon {
	const struct options *options;
	int report; /* -1: stdout */
	uv_loop_t loop;
	uv_signal_t signal[3]; /* TERM, INT, HUP */
	size_t n_signals;      /* initialized */
	uint64_t asked_to_end; /* uv_now(); 0: nobody did */
	bool announced, clean;
	struct workplace place;
	int options_fd, status_fd; /* -1: not open */
	struct store *store;
	struct relayd_link *link;
	struct acceptor *acceptor;
	struct listeners *listeners;
	struct hold *hold;
	struct database *database;
	struct registry *registry;
	struct catalog *catalog;
	struct sources *sources;
	struct supervisor *supervisor;
	struct control *control;
	struct request_context requests;
};

static void notify(const char *state)
{
#ifdef HAVE_LIBSYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

/* ---- what the modules tell each other ---- */

static void on_link_gone(void *context, int error)
{
	struct daemon *d = context;

	supervisor_link_gone(d->supervisor, error);
}

static void on_link_message(void *context, const struct link_message *m, int *fds, unsigned n_fds)
{
	struct daemon *d = context;

	request_handle(&d->requests, m, fds, n_fds);
}

static void on_pass_all(void *context)
{
	struct daemon *d = context;

	request_pass_all(&d->requests);
}

static void on_died(void *context)
{
	struct daemon *d = context;

	sources_sweep(d->sources);
}

static void announce(struct daemon *d)
{
	char line[4096];

	control_ports_ready_line(d->listeners, line, sizeof(line));
	if (d->report >= 0) {
		background_ready(d->report, line);
		d->report = -1;
	} else {
		fputs(line, stdout);
		fflush(stdout);
	}
	notify("READY=1");
}

static void on_ready(void *context)
{
	struct daemon *d = context;

	catalog_relayd_ready(d->catalog);
	if (!d->announced)
		announce(d);
	d->announced = true;
}

static void on_finished(void *context, bool clean)
{
	struct daemon *d = context;

	d->clean = clean;
	uv_stop(&d->loop);
}

static void on_session_changed(void *context, uint32_t session)
{
	struct daemon *d = context;
	struct link_message m = {.type = LINK_SESSION, .ref.index = session};

	relayd_link_send(d->link, &m);
}

static void on_numbers_ready(void *context)
{
	struct daemon *d = context;

	sources_numbers_ready(d->sources);
}

static int on_listen(void *context, uint32_t session, const struct addr *at, struct addr *ret_bound,
		     struct refusal *why)
{
	struct daemon *d = context;
	int r = listener_add(d->listeners, at, CONVERSATION_TRACE_CMD, session + 1, ret_bound);
	char sentence[REFUSAL_SENTENCE];

	if (r < 0) {
		control_ports_why_not("--listen", at, r, sentence, sizeof(sentence));
		return refusal_set(why, r, "listen", "%s", sentence);
	}
	return 0;
}

static void on_unlisten(void *context, uint32_t session)
{
	struct daemon *d = context;

	listener_remove(d->listeners, session + 1);
}

static void on_data_deleted(void *context, const char *session)
{
	struct daemon *d = context;

	catalog_forget(d->catalog, session);
}

static void on_chunk_kept(void *context, const struct link_message *chunk)
{
	struct daemon *d = context;
	struct link_message m = *chunk;

	m.type = LINK_CHUNK_KEPT;
	m.items = 0;
	relayd_link_send(d->link, &m);
}

static void on_compact(void *context, const char *path)
{
	struct daemon *d = context;
	struct link_message m = {.type = LINK_COMPACT};

	snprintf(m.text, sizeof(m.text), "%s", path);
	relayd_link_send(d->link, &m);
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct daemon *d = h->data;

	if (d->asked_to_end) {
		if (uv_now(&d->loop) - d->asked_to_end < SAME_REQUEST)
			return;
		log_warning("leaving", "a second signal (%s): leaving relayd to finish alone",
			    strsignal(signum));
		d->clean = false;
		uv_stop(&d->loop);
		return;
	}
	d->asked_to_end = uv_now(&d->loop);
	log_info("shutdown", "%s: finishing the open chunks", strsignal(signum));
	notify("STOPPING=1");
	listener_remove_all(d->listeners);
	supervisor_shutdown(d->supervisor);
}

/* ---- the start, step by step ---- */

/* Everything that may be opened; streams are descriptors. */
static uint32_t raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (!setrlimit(RLIMIT_NOFILE, &raised))
			limit.rlim_cur = limit.rlim_max;
	}
	return limit.rlim_cur < 1 << 30 ? (uint32_t)limit.rlim_cur : 1u << 30;
}

static struct keep_alive keep_alive_of(const struct options *o)
{
	return (struct keep_alive){.idle_s = o->limits.keep_alive.idle_s,
				   .interval_s = o->limits.keep_alive.interval_s,
				   .probes = o->limits.keep_alive.count};
}

static int make_modules(struct daemon *d)
{
	const struct options *o = d->options;
	uint32_t streams = o->limits.sources * STREAMS_A_SOURCE;
	struct store_config store = {
		.capacity = {.conversations = o->limits.sources * CONVERSATIONS_A_SOURCE,
			     .sources = o->limits.sources,
			     .streams = streams > STREAMS_MIN ? streams : STREAMS_MIN,
			     .workers = o->relayd.workers},
		.conversations_per_peer = o->limits.streams_per_peer,
		.conversations = {[CONVERSATION_TRACE_CMD] = o->limits.sources,
				  [CONVERSATION_LTTNG_CONTROL] =
					  o->limits.sources * CONTROLS_A_SOURCE,
				  [CONVERSATION_LTTNG_DATA] = o->limits.sources * DATA_A_SOURCE,
				  [CONVERSATION_LTTNG_LIVE] = o->limits.sources * VIEWERS_A_SOURCE},
		.anonymous_per_peer = o->lttng.anonymous_sockets,
		.descriptors = raise_descriptors()};
	struct relayd_link_handlers handlers = {on_link_message, on_link_gone, d};
	struct keep_alive keep_alive = keep_alive_of(o);
	int r;

	if ((r = store_create(&store, &d->store)) < 0 ||
	    (r = relayd_link_create(&d->loop, d->store, &handlers, &d->link)) < 0 ||
	    (r = acceptor_create(&d->loop, store_counters(d->store), &d->acceptor)) < 0 ||
	    (r = listener_create(&keep_alive, d->acceptor, d->store, d->link, &d->listeners)) < 0 ||
	    (r = hold_create(&d->hold)) < 0)
		return complaint_errno(r);
	store_state(d->store)->header->started_ns = clock_realtime_ns();
	if (o->lttng.control.count) /* relayd has the files; what is left here is left there */
		(void)store_descriptors_take(d->store, options_open_files(o, store.descriptors));
	return 0;
}

static int make_options_fd(struct daemon *d)
{
	json_t *json = options_to_json(d->options);
	int fd = memfd_create("tracerelay-options", MFD_CLOEXEC);
	int r = json && fd >= 0 && !json_dumpfd(json, fd, JSON_COMPACT) ? 0 : -ENOMEM;

	json_decref(json);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return complaint_errno(r);
	}
	d->options_fd = fd;
	return 0;
}

static int open_registry(struct daemon *d)
{
	struct refusal why;
	struct registry_config registry = {.loop = &d->loop,
					   .st = store_state(d->store),
					   .output_dir_fd = d->place.output_dir,
					   .hooks = {.context = d,
						     .session_changed = on_session_changed,
						     .numbers_ready = on_numbers_ready,
						     .listen = on_listen,
						     .unlisten = on_unlisten,
						     .data_deleted = on_data_deleted}};
	struct catalog_config catalog = {
		.loop = &d->loop,
		.st = store_state(d->store),
		.hooks = {.context = d, .kept = on_chunk_kept, .compact = on_compact}};
	int r;

	r = database_open(&d->loop, d->options->output.dir, &d->database, &why);
	if (r < 0)
		return complaint(r, "%s", why.sentence);
	registry.database = catalog.database = d->database;
	if ((r = registry_create(&registry, &d->registry, &why)) < 0 ||
	    (r = catalog_create(&catalog, &d->catalog, &why)) < 0)
		return complaint(r, "%s", why.sentence);
	return 0;
}

static int make_sources(struct daemon *d)
{
	const struct options *o = d->options;
	struct sources_config config = {.ports = {.first_port = o->trace_cmd.stream_ports.first,
						  .last_port = o->trace_cmd.stream_ports.last,
						  .keep_alive = keep_alive_of(o)},
					.streams_per_peer = o->limits.streams_per_peer};
	int r = sources_create(&config, d->acceptor, d->store, d->link, d->registry, &d->sources);

	return r < 0 ? complaint_errno(r) : 0;
}

static int make_control(struct daemon *d)
{
	const char *dir = d->options->run.dir;
	struct method_subjects subjects = {.loop = &d->loop,
					   .registry = d->registry,
					   .catalog = d->catalog,
					   .database = d->database,
					   .supervisor = d->supervisor,
					   .store = d->store,
					   .sources = d->sources,
					   .listeners = d->listeners,
					   .options = d->options};
	int fd, r;

	r = unix_listener_open(dir, "control.sock", 0600, &fd);
	if (r < 0)
		return complaint(r, "run.dir: cannot listen on %s/control.sock: %s", dir,
				 strerror(-r));
	r = control_create(&d->loop, fd, &subjects, &d->control);
	return r < 0 ? complaint_errno(r) : 0;
}

static int make_supervisor(struct daemon *d)
{
	const char *dir = d->options->run.dir;
	struct supervisor_hooks hooks = {d, on_pass_all, on_died, on_ready, on_finished};
	struct supervisor_config config = {.workers = d->options->relayd.workers,
					   .options_fd = d->options_fd,
					   .output_dir_fd = d->place.output_dir,
					   .output_lock_fd = d->place.output_lock};
	char relayd[4096];
	int r;

	r = relayd_process_find(relayd, sizeof(relayd));
	if (r < 0)
		return complaint(r, "relayd is neither beside sessiond-lite nor at %s", relayd);
	config.relayd = relayd;
	r = unix_listener_open(dir, "status.sock", 0666, &d->status_fd);
	if (r < 0)
		return complaint(r, "run.dir: cannot listen on %s/status.sock: %s", dir,
				 strerror(-r));
	config.status_fd = d->status_fd;
	r = supervisor_create(&d->loop, &config, &hooks, store_state(d->store), d->link,
			      &d->supervisor);
	return r < 0 ? complaint_errno(r) : 0;
}

static int watch_signals(struct daemon *d)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction now;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		r = uv_signal_init(&d->loop, &d->signal[i]);
		if (r < 0)
			return complaint_errno(r);
		d->n_signals++;
		d->signal[i].data = d;
		/* nohup, and shells that start things in the background, mean it */
		if (numbers[i] != SIGTERM && !sigaction(numbers[i], NULL, &now) &&
		    now.sa_handler == SIG_IGN)
			continue;
		r = uv_signal_start(&d->signal[i], on_signal, numbers[i]);
		if (r < 0)
			return complaint_errno(r);
	}
	return 0;
}

static int start(struct daemon *d)
{
	int r = database_start(d->database);

	if (r < 0)
		return complaint_errno(r);
	registry_start(d->registry);
	r = supervisor_start(d->supervisor);
	return r < 0 ? complaint(r, "relayd cannot be run: %s", strerror(-r)) : 0;
}

int daemon_create(const struct options *options, int report, struct daemon **ret)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return complaint_errno(-ENOMEM);
	d->options = options;
	d->report = report;
	d->options_fd = d->status_fd = -1;
	r = uv_loop_init(&d->loop);
	if (r < 0) {
		free(d);
		return complaint_errno(r);
	}
	/*
	 * As root what needs it: directories, ports. A port that is in use is found before the wait
	 * for a lock; clients that connect during that wait are served after it.
	 */
	if ((r = workplace_open(options, &d->place)) < 0 || (r = make_modules(d)) < 0 ||
	    (r = control_ports_open(d->listeners, options)) < 0 ||
	    (r = workplace_become(&d->place)) < 0 || (r = workplace_lock(&d->place)) < 0)
		goto fail;
	if ((r = make_options_fd(d)) < 0 || (r = open_registry(d)) < 0 ||
	    (r = make_sources(d)) < 0 || (r = make_supervisor(d)) < 0)
		goto fail;
	d->requests = (struct request_context){.sources = d->sources,
					       .listeners = d->listeners,
					       .link = d->link,
					       .supervisor = d->supervisor,
					       .hold = d->hold,
					       .catalog = d->catalog};
	if ((r = make_control(d)) < 0 || (r = watch_signals(d)) < 0 || (r = start(d)) < 0)
		goto fail;
	*ret = d;
	return 0;
fail:
	daemon_free(d);
	return r;
}

int daemon_run(struct daemon *d)
{
	uv_run(&d->loop, UV_RUN_DEFAULT);
	return d->clean ? 0 : 1;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void daemon_free(struct daemon *d)
{
	char path[4096];

	control_free(d->control);
	if (d->registry)
		registry_stop(d->registry);
	if (d->catalog)
		catalog_stop(d->catalog);
	database_close(d->database);    /* those who wait for it are still there */
	supervisor_free(d->supervisor); /* relayd finishes by itself if it still runs */
	sources_free(d->sources);
	listener_free(d->listeners);
	acceptor_free(d->acceptor);
	relayd_link_free(d->link);
	hold_free(d->hold);
	while (d->n_signals)
		uv_close((uv_handle_t *)&d->signal[--d->n_signals], NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&d->loop);
	catalog_free(d->catalog);
	registry_free(d->registry);
	store_free(d->store);
	if (d->status_fd >= 0) {
		snprintf(path, sizeof(path), "%s/status.sock", d->options->run.dir);
		(void)unlink(path);
	}
	close_fd(d->status_fd);
	close_fd(d->options_fd);
	workplace_close(&d->place);
	close_fd(d->report);
	free(d);
}
