/* SPDX-License-Identifier: MIT */
/* registry.c - sessions come, claim, stop, rotate, end, and outlive the daemon. */
#include "sessiond-lite/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/unit/registry_rig.h"

static struct rig rig;

static void open_rig(void)
{
	rig_open(&rig);
	rig_start_registry(&rig);
}

static void close_rig(void)
{
	rig_close(&rig);
}

TestSuite(registry, .init = open_rig, .fini = close_rig, .timeout = 60);

static void restart(void)
{
	rig_reopen(&rig);
	rig_start_registry(&rig);
}

/* ---- what a caller of control.sock would do, waiting for the answer ---- */

struct answer {
	bool told;
	char reason[24];
	char sentence[REFUSAL_SENTENCE];
};

static struct answer answers[4];
static unsigned n_answers;

static void on_answer(void *context, const struct refusal *why)
{
	struct answer *a = context;

	cr_assert_not(a->told, "answered twice");
	a->told = true;
	snprintf(a->reason, sizeof(a->reason), "%s", why ? why->reason : "");
	snprintf(a->sentence, sizeof(a->sentence), "%s", why ? why->sentence : "");
}

static struct answer *new_answer(void)
{
	struct answer *a = &answers[n_answers++ % 4];

	*a = (struct answer){.told = false};
	return a;
}

static struct session_spec *spec_of(const char *json)
{
	json_t *params = json_loads(json, 0, NULL);
	struct session_spec *spec;
	struct refusal why;

	cr_assert(params, "%s", json);
	cr_assert_eq(session_spec_from_json(params, &spec, &why), 0, "%s", why.sentence);
	json_decref(params);
	return spec;
}

static struct answer *create(const char *json)
{
	struct answer *a = new_answer();

	registry_create_session(rig.registry, spec_of(json), on_answer, a);
	rig_until(&rig, &a->told);
	return a;
}

static struct answer *begin_destroy(const char *name, bool delete_data)
{
	struct answer *a = new_answer();

	registry_destroy_session(rig.registry, name, delete_data, on_answer, a);
	return a;
}

static struct answer *destroy(const char *name, bool delete_data)
{
	struct answer *a = begin_destroy(name, delete_data);

	rig_until(&rig, &a->told);
	return a;
}

static struct answer *set_stopped(const char *name, bool stopped)
{
	struct answer *a = new_answer();

	registry_set_stopped(rig.registry, name, stopped, on_answer, a);
	rig_until(&rig, &a->told);
	return a;
}

static struct session_info find(const char *name)
{
	struct session_info info;
	struct refusal why;

	cr_assert_eq(registry_find(rig.registry, name, &info, &why), 0, "%s", why.sentence);
	return info;
}

static bool exists(const char *name)
{
	struct session_info info;
	struct refusal why;

	return registry_find(rig.registry, name, &info, &why) == 0;
}

static struct session_slot *slot_of(const char *name)
{
	return &rig.st.session[find(name).slot];
}

static int match(const char *host, const char *peer, uint16_t port, uint32_t own_session)
{
	struct match_subject subject = {.host = host,
					.protocol = host ? PROTOCOL_TRACE_CMD_V3
							 : PROTOCOL_TRACE_CMD_V1,
					.local_port = port,
					.own_session = own_session};

	cr_assert_eq(addr_parse(peer, &subject.peer), 0);
	return registry_match(rig.registry, &subject);
}

#define CREATED(json)   cr_assert_str_empty(create(json)->reason)
#define DESTROYED(name) cr_assert_str_empty(destroy(name, false)->reason)

/* ---- default ---- */

Test(registry, default_is_there)
{
	struct session_info info = find("default");

	cr_assert_eq(info.state, SESSION_LIVE);
	cr_assert_neq(atomic_load(&slot_of("default")->id), 0);
	cr_assert_str_eq(slot_of("default")->name, "default");
	cr_assert_geq(atomic_load(&rig.st.header->high_session), info.slot + 1);
	cr_assert_eq(match(NULL, "10.0.0.1", 12345, 0), (int)info.slot);
	cr_assert_str_eq(destroy("default", false)->reason, "default");
	cr_assert(exists("default"));
	cr_assert_str_eq(create("{\"name\":\"default\"}")->reason, "exists");
	restart();
	cr_assert(exists("default"));
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session"), 1);
}

/* ---- create ---- */

Test(registry, a_slot_says_what_was_asked)
{
	struct session_slot *slot;
	uint32_t index;

	CREATED("{\"name\":\"web\",\"rotate_size\":65536,\"rotate_time_ms\":2000,\"keep_chunks\":"
		"7}");
	slot = slot_of("web");
	index = find("web").slot;
	cr_assert_neq(atomic_load(&slot->id), 0);
	cr_assert_str_eq(slot->name, "web");
	cr_assert_eq(atomic_load(&slot->rotate_size), 65536);
	cr_assert_eq(atomic_load(&slot->rotate_time_ms), 2000);
	cr_assert_eq(atomic_load(&slot->keep_chunks), 7);
	cr_assert_eq(atomic_load(&slot->stopped) | atomic_load(&slot->ending) |
			     atomic_load(&slot->rotation_orders),
		     0);
	cr_assert_gt(rig.changed[index], 0, "relayd was told");
	/* the answer came after the commit */
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session WHERE name = 'web'"), 1);
	cr_assert_str_eq(create("{\"name\":\"web\"}")->reason, "exists");
}

Test(registry, two_at_once)
{
	struct answer *a = new_answer(), *b = new_answer();

	registry_create_session(rig.registry, spec_of("{\"name\":\"web\"}"), on_answer, a);
	registry_create_session(rig.registry, spec_of("{\"name\":\"web\"}"), on_answer, b);
	rig_until(&rig, &a->told);
	cr_assert(b->told);
	cr_assert_str_empty(a->reason);
	cr_assert_str_eq(b->reason, "exists");
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session WHERE name = 'web'"), 1);
}

Test(registry, a_session_that_is_not_on_the_disk_yet)
{
	struct answer *a = new_answer(), *b = new_answer();
	uint32_t slot;

	registry_create_session(rig.registry,
				spec_of("{\"name\":\"web\",\"match\":[{\"port\":7}],\"listen\":["
					"\"trace-cmd:0.0.0.0:7\"]}"),
				on_answer, a);
	slot = find("web").slot;
	cr_assert_eq(find("web").state, SESSION_PENDING);
	/* no rule claims for it yet, but who comes to its own port is its own */
	cr_assert_eq(match(NULL, "10.0.0.1", 7, 0), (int)find("default").slot);
	cr_assert_eq(match(NULL, "10.0.0.1", 7, slot + 1), (int)slot);
	registry_set_stopped(rig.registry, "web", true, on_answer, b);
	cr_assert_str_eq(b->reason, "busy");
	rig_until(&rig, &a->told);
	cr_assert_eq(match(NULL, "10.0.0.1", 7, 0), (int)slot);
}

Test(registry, full)
{
	static struct answer each[STATE_SESSIONS];
	char json[64];
	int i;

	for (i = 1; i < (int)STATE_SESSIONS; i++) {
		snprintf(json, sizeof(json), "{\"name\":\"s%d\"}", i);
		registry_create_session(rig.registry, spec_of(json), on_answer, &each[i]);
		if (i % 64 == 0)
			rig_turn(&rig);
	}
	rig_turn(&rig);
	while (--i)
		cr_assert(each[i].told && !*each[i].reason, "%d: %s", i, each[i].sentence);
	cr_assert_str_eq(create("{\"name\":\"one-too-many\"}")->reason, "too-many");
	DESTROYED("s500");
	CREATED("{\"name\":\"one-too-many\"}");
}

Test(registry, a_database_that_refuses)
{
	struct answer *a;

	CREATED("{\"name\":\"old\"}");
	rig_sql(&rig, "ALTER TABLE session RENAME TO away");
	a = create("{\"name\":\"web\",\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	cr_assert_str_eq(a->reason, "database");
	cr_assert(strstr(a->sentence, "catalog.db"), "%s", a->sentence);
	cr_assert_not(exists("web"));
	cr_assert_eq(rig.unlistened, 1, "its port is closed again");
	cr_assert_str_eq(set_stopped("old", true)->reason, "database");
	cr_assert_not(find("old").stopped);
	cr_assert_eq(atomic_load(&slot_of("old")->stopped), 0);
	cr_assert_str_eq(destroy("old", false)->reason, "database");
	cr_assert_eq(find("old").state, SESSION_LIVE);
	cr_assert_eq(atomic_load(&slot_of("old")->ending), 0);
	rig_sql(&rig, "ALTER TABLE away RENAME TO session");
	CREATED("{\"name\":\"web\"}");
	cr_assert_str_empty(set_stopped("old", true)->reason);
	DESTROYED("old");
}

/* ---- claims ---- */

Test(registry, the_first_created_wins)
{
	int first, second, other;

	CREATED("{\"name\":\"b\",\"match\":[{\"addr\":\"10.0.0.0/8\"}]}");
	CREATED("{\"name\":\"a\",\"match\":[{\"addr\":\"10.1.0.0/16\"},{\"port\":7}]}");
	first = (int)find("b").slot;
	second = (int)find("a").slot;
	other = (int)find("default").slot;
	cr_assert_eq(match(NULL, "10.1.0.1", 1, 0), first);
	cr_assert_eq(match(NULL, "192.168.0.1", 7, 0), second);
	cr_assert_eq(match(NULL, "192.168.0.1", 8, 0), other);
	restart();
	first = (int)find("b").slot;
	cr_assert_eq(match(NULL, "10.1.0.1", 1, 0), first, "the order outlives a restart");
	DESTROYED("b");
	CREATED("{\"name\":\"b\",\"match\":[{\"addr\":\"10.0.0.0/8\"}]}");
	cr_assert_eq(match(NULL, "10.1.0.1", 1, 0), (int)find("a").slot, "now it is the later one");
}

Test(registry, a_host_rule_needs_a_host)
{
	CREATED("{\"name\":\"web\",\"match\":[{\"host\":\"*\"}]}");
	cr_assert_eq(match("any", "10.0.0.1", 1, 0), (int)find("web").slot);
	cr_assert_eq(match(NULL, "10.0.0.1", 1, 0), (int)find("default").slot);
}

Test(registry, the_port_decides_before_all_rules)
{
	CREATED("{\"name\":\"all\",\"match\":[{\"addr\":\"0.0.0.0/0\"}]}");
	CREATED("{\"name\":\"own\",\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	cr_assert_eq(match(NULL, "10.0.0.1", 7, find("own").slot + 1), (int)find("own").slot);
	cr_assert_eq(match(NULL, "10.0.0.1", 7, 0), (int)find("all").slot);
}

/* ---- stop, start, rotate ---- */

Test(registry, stop_and_start)
{
	unsigned before = rig.changed[find("default").slot];

	cr_assert_str_empty(set_stopped("default", true)->reason);
	cr_assert(find("default").stopped);
	cr_assert_eq(atomic_load(&slot_of("default")->stopped), 1);
	cr_assert_gt(rig.changed[find("default").slot], before);
	cr_assert_eq(rig_number(&rig, "SELECT stopped FROM session"), 1);
	cr_assert_str_empty(set_stopped("default", true)->reason, "twice does no harm");
	restart();
	cr_assert(find("default").stopped);
	cr_assert_eq(atomic_load(&slot_of("default")->stopped), 1);
	cr_assert_str_empty(set_stopped("default", false)->reason);
	cr_assert_eq(atomic_load(&slot_of("default")->stopped), 0);
	restart();
	cr_assert_not(find("default").stopped);
	cr_assert_str_eq(set_stopped("nosuch", true)->reason, "not-found");
}

Test(registry, rotate)
{
	struct source_count sources = {77, 0};
	uint32_t slot = find("default").slot;
	struct refusal why;

	rig_source(&rig, slot);
	rig_source(&rig, slot);
	CREATED("{\"name\":\"web\"}");
	rig_source(&rig, find("web").slot);
	cr_assert_eq(registry_rotate(rig.registry, "default", &sources, &why), 0);
	cr_assert_eq(sources.all, 2);
	cr_assert_eq(atomic_load(&slot_of("default")->rotation_orders), 1);
	cr_assert_eq(atomic_load(&slot_of("web")->rotation_orders), 0);
	set_stopped("default", true);
	sources.all = 77;
	cr_assert_lt(registry_rotate(rig.registry, "default", &sources, &why), 0);
	cr_assert_str_eq(why.reason, "stopped");
	cr_assert_eq(sources.all, 77);
	cr_assert_eq(atomic_load(&slot_of("default")->rotation_orders), 1);
	cr_assert_lt(registry_rotate(rig.registry, "nosuch", &sources, &why), 0);
	cr_assert_str_eq(why.reason, "not-found");
}

/* Only the client of an LTTng source can rotate it. */
Test(registry, rotate_leaves_lttng_alone)
{
	uint32_t slot = find("default").slot;
	struct source_count sources = {0};
	struct refusal why;

	rig.st.source[rig_source(&rig, slot)].protocol = PROTOCOL_LTTNG;
	cr_assert_eq(registry_rotate(rig.registry, "default", &sources, &why), -EPERM);
	cr_assert_str_eq(why.reason, "lttng");
	cr_assert(strstr(why.sentence, "lttng rotate"));
	cr_assert_eq(atomic_load(&slot_of("default")->rotation_orders), 0);
	rig_source(&rig, slot);
	cr_assert_eq(registry_rotate(rig.registry, "default", &sources, &why), 0);
	cr_assert_eq(sources.all, 2);
	cr_assert_eq(sources.lttng, 1);
	cr_assert_eq(atomic_load(&slot_of("default")->rotation_orders), 1);
}

/* ---- own ports ---- */

Test(registry, own_ports)
{
	CREATED("{\"name\":\"web\",\"listen\":[\"trace-cmd:127.0.0.1:0\",\"trace-cmd:[::1]:7\"]}");
	cr_assert_eq(rig.listening, 2);
	cr_assert_eq(find("web").spec->listeners[0].port, 4242, "the port as bound");
	cr_assert_eq(find("web").not_listening, 0);
	restart();
	cr_assert_eq(rig.listening, 4, "opened again");
	cr_assert_eq(find("web").spec->listeners[0].port, 4242, "and the same");
	DESTROYED("web");
	cr_assert_eq(rig.unlistened, 1);
}

Test(registry, a_port_that_is_taken)
{
	struct answer *a;

	rig.listen_error = -EADDRINUSE;
	a = create("{\"name\":\"web\",\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	cr_assert_str_eq(a->reason, "listen");
	cr_assert(strstr(a->sentence, "port 7 is taken"));
	cr_assert_not(exists("web"));
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session WHERE name = 'web'"), 0);
	rig.listen_error = 0;
	CREATED("{\"name\":\"web\",\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	/* at a start the session stays without it */
	rig.listen_error = -EADDRINUSE;
	restart();
	cr_assert_eq(find("web").not_listening, 1);
	cr_assert_eq(find("web").state, SESSION_LIVE);
}

/* A connection to a port of a session that is gone belongs to no later session. */
Test(registry, a_slot_is_not_reused_under_a_connection)
{
	uint32_t slot;

	CREATED("{\"name\":\"web\",\"listen\":[\"trace-cmd:127.0.0.1:7\"]}");
	slot = find("web").slot;
	rig.st.conversation[0].own_session = slot + 1;
	atomic_store(&rig.st.conversation[0].id, 99);
	atomic_store(&rig.st.header->high_conversation, 1);
	DESTROYED("web");
	cr_assert_eq(match(NULL, "10.0.0.1", 7, slot + 1), -ECANCELED);
	CREATED("{\"name\":\"a\"}");
	cr_assert_neq(find("a").slot, slot);
	cr_assert_eq(match(NULL, "10.0.0.1", 7, slot + 1), -ECANCELED);
	atomic_store(&rig.st.conversation[0].id, 0);
	CREATED("{\"name\":\"b\"}");
	cr_assert_eq(find("b").slot, slot);
}

/* ---- destroy ---- */

static void put_file(const char *path)
{
	int fd = openat(rig.dir_fd, path, O_WRONLY | O_CREAT, 0640);

	cr_assert_geq(fd, 0);
	close(fd);
}

static bool is_there(const char *path)
{
	struct stat sb;

	return fstatat(rig.dir_fd, path, &sb, 0) == 0;
}

static void put_data(void)
{
	cr_assert_eq(mkdirat(rig.dir_fd, "web", 0750), 0);
	cr_assert_eq(mkdirat(rig.dir_fd, "web/host", 0750), 0);
	put_file("web/host/trace.dat");
}

Test(registry, destroy_waits_for_its_sources)
{
	uint32_t slot, one, two, other;
	struct answer *a;

	CREATED("{\"name\":\"web\",\"match\":[{\"port\":7}],\"listen\":[\"trace-cmd:127.0.0.1:7\"]"
		"}");
	slot = find("web").slot;
	one = rig_source(&rig, slot);
	other = rig_source(&rig, find("default").slot);
	two = rig_source(&rig, slot);
	a = begin_destroy("web", false);
	rig_turn(&rig);
	cr_assert_not(a->told);
	cr_assert_eq(find("web").state, SESSION_ENDING);
	cr_assert_eq(atomic_load(&slot_of("web")->ending), 1, "relayd ends them");
	cr_assert_eq(rig.unlistened, 1);
	cr_assert_eq(rig_number(&rig, "SELECT ending FROM session WHERE name = 'web'"), 1);
	/* nobody else comes to it */
	cr_assert_eq(match(NULL, "10.0.0.1", 7, 0), (int)find("default").slot);
	cr_assert_eq(match(NULL, "10.0.0.1", 7, slot + 1), -ECANCELED);
	cr_assert_str_eq(set_stopped("web", true)->reason, "ending");
	cr_assert_str_eq(destroy("web", false)->reason, "ending");
	cr_assert_str_eq(create("{\"name\":\"web\"}")->reason, "ending");

	rig_source_gone(&rig, one);
	rig_source_gone(&rig, other);
	rig_turn(&rig);
	cr_assert(exists("web"));
	rig_source_gone(&rig, two);
	rig_turn(&rig);
	cr_assert_not(exists("web"));
	cr_assert_eq(atomic_load(&rig.st.session[slot].id), 0);
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session WHERE name = 'web'"), 0);
}

/* A lease that was granted in the same moment. */
Test(registry, destroy_waits_for_a_late_source_too)
{
	uint32_t slot, early, late;

	CREATED("{\"name\":\"web\"}");
	slot = find("web").slot;
	early = rig_source(&rig, slot);
	begin_destroy("web", false);
	rig_turn(&rig);
	late = rig_source(&rig, slot);
	rig_source_gone(&rig, early);
	rig_turn(&rig);
	cr_assert(exists("web"));
	rig_source_gone(&rig, late);
	rig_turn(&rig);
	cr_assert_not(exists("web"));
}

Test(registry, destroy_answers_when_it_is_done)
{
	struct answer *a;
	uint32_t source;

	CREATED("{\"name\":\"web\"}");
	source = rig_source(&rig, find("web").slot);
	a = begin_destroy("web", false);
	rig_turn(&rig);
	cr_assert_not(a->told);
	rig_source_gone(&rig, source);
	rig_until(&rig, &a->told);
	cr_assert_str_empty(a->reason);
	cr_assert_str_eq(destroy("web", false)->reason, "not-found");
}

Test(registry, data_stays_unless_asked)
{
	CREATED("{\"name\":\"web\"}");
	put_data();
	DESTROYED("web");
	cr_assert(is_there("web/host/trace.dat"));
	cr_assert_str_empty(rig.deleted);
}

Test(registry, data_goes_if_asked)
{
	CREATED("{\"name\":\"web\"}");
	put_data();
	cr_assert_eq(mkdirat(rig.dir_fd, "web-2", 0750), 0);
	cr_assert_str_empty(destroy("web", true)->reason);
	cr_assert_not(is_there("web"));
	cr_assert(is_there("web-2"));
	cr_assert(is_there("catalog.db"));
	cr_assert_str_eq(rig.deleted, "web");
}

Test(registry, without_data_to_delete)
{
	CREATED("{\"name\":\"web\"}");
	cr_assert_str_empty(destroy("web", true)->reason);
}

Test(registry, data_that_cannot_be_deleted)
{
	struct answer *a;

	CREATED("{\"name\":\"web\"}");
	put_file("web"); /* no directory of ours */
	a = destroy("web", true);
	cr_assert_str_eq(a->reason, "data-not-deleted");
	cr_assert(strstr(a->sentence, "web"));
	cr_assert_eq(find("web").state, SESSION_ENDING);
	cr_assert_str_eq(find("web").ending_note, a->sentence);
	cr_assert_str_eq(destroy("web", true)->reason, "data-not-deleted");
	restart(); /* tried again, and failing again */
	cr_assert(exists("web"));
	rig_turn(&rig);
	while (!*find("web").ending_note)
		uv_run(&rig.loop, UV_RUN_ONCE);
	/* without the data it can go */
	cr_assert_str_empty(destroy("web", false)->reason);
	cr_assert(is_there("web"));
	cr_assert_not(exists("web"));
}

static bool web_is_gone(void)
{
	return !exists("web");
}

Test(registry, a_kill_in_between_is_made_good)
{
	CREATED("{\"name\":\"web\",\"match\":[{\"port\":7}],\"listen\":[\"trace-cmd:127.0.0.1:7\"]"
		"}");
	put_data();
	rig_source(&rig, find("web").slot);
	begin_destroy("web", true);
	rig_turn(&rig);
	cr_assert(exists("web"));
	rig.listening = 0;
	restart(); /* the sources are gone with the state memory */
	cr_assert_eq(rig.listening, 0, "an ending session's port is not opened again");
	while (!web_is_gone())
		uv_run(&rig.loop, UV_RUN_ONCE);
	cr_assert_not(is_there("web"));
	cr_assert_eq(rig_number(&rig, "SELECT count(*) FROM session"), 1);
}

Test(registry, shutdown_answers_who_waits)
{
	struct answer *a;

	CREATED("{\"name\":\"web\"}");
	rig_source(&rig, find("web").slot);
	a = begin_destroy("web", false);
	rig_turn(&rig);
	rig_reopen(&rig);
	cr_assert(a->told);
	cr_assert_str_eq(a->reason, "shutdown");
}

Test(registry, shutdown_with_a_job_under_way)
{
	struct answer *a = begin_destroy("nosuch", false), *b = new_answer();

	cr_assert_str_eq(a->reason, "not-found");
	registry_create_session(rig.registry, spec_of("{\"name\":\"web\"}"), on_answer, b);
	rig_reopen(&rig);
	cr_assert(b->told);
	rig_start_registry(&rig);
	cr_assert(exists("web"), "what was submitted was done");
}

/* ---- lists ---- */

Test(registry, in_the_order_of_creation)
{
	static const char *const want[] = {"default", "c", "a", "b"};
	struct session_info info;
	size_t position = 0, n = 0;

	CREATED("{\"name\":\"c\"}");
	CREATED("{\"name\":\"a\"}");
	CREATED("{\"name\":\"b\"}");
	while (registry_next(rig.registry, &position, &info))
		cr_assert_str_eq(info.spec->name, want[n++]);
	cr_assert_eq(n, 4);
}

Test(registry, counts_sources)
{
	struct source_count counts[STATE_SESSIONS];
	uint32_t slot = find("default").slot, gone;

	rig_source(&rig, slot);
	gone = rig_source(&rig, slot);
	rig.st.source[rig_source(&rig, slot)].protocol = PROTOCOL_LTTNG;
	atomic_store(&rig.st.source[gone].id, 0);
	registry_count_sources(rig.registry, counts);
	cr_assert_eq(counts[slot].all, 2);
	cr_assert_eq(counts[slot].lttng, 1);
	cr_assert_eq(counts[slot + 1].all, 0);
}

/* ---- numbers ---- */

Test(registry, numbers)
{
	uint64_t a, b;

	cr_assert_eq(registry_next_source_number(rig.registry, &a), 0);
	cr_assert_eq(registry_next_source_number(rig.registry, &b), 0);
	cr_assert_eq(b, a + 1);
	restart();
	cr_assert_eq(registry_next_source_number(rig.registry, &a), 0);
	cr_assert_gt(a, b);
}

/* ---- starts that are refused ---- */

Test(registry, a_damaged_session_is_no_start)
{
	struct registry_config config = {.loop = &rig.loop, .st = &rig.st};
	struct registry *r = NULL;
	struct refusal why;

	CREATED("{\"name\":\"web\",\"match\":[{\"port\":7}]}");
	rig_sql(&rig, "UPDATE rule SET json = '[]'");
	rig_reopen(&rig);
	config.loop = &rig.loop;
	config.database = rig.database;
	cr_assert_eq(registry_create(&config, &r, &why), -EBADMSG);
	cr_assert_null(r);
	cr_assert(strstr(why.sentence, "catalog.db"), "%s", why.sentence);
	cr_assert(strstr(why.sentence, "\"web\""), "%s", why.sentence);
}
