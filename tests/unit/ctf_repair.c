/* SPDX-License-Identifier: MIT */
/* ctf_repair.c - both daemons died, the state memory is gone: what the files are made into. */
#include "consumer/ctf_repair.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire.h"
#include "tests/unit/ctf_rig.h"

#define DIR_ "ust/uid/0/64-bit/"
#define LEN  4000u
#define ALL  UINT32_MAX

static struct ctf_rig r;
static char session[120];

/* The worker is a process that dies; orders and data are the parent's. */
static pid_t spawn(void)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ctf_rig_start(&r);
	for (;;)
		pause();
}

static void die(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(session, sizeof(session), "%s/default/vm/s1", r.dir);
}

static json_t *record(const char *dir)
{
	char path[300];
	json_t *json;

	snprintf(path, sizeof(path), "%s/%s/chunk.json", session, dir);
	json = json_load_file(path, 0, NULL);
	cr_assert_not_null(json, "%s", path);
	return json;
}

static const char *member(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

/* A packet of metadata, of the other byte order: @bytes long, of which @there come. */
static void metadata_packet(uint32_t bytes, uint32_t there)
{
	char text[512] = {0};
	struct wire_writer w = wire_writer_init(text, sizeof(text));

	wire_put_u32(&w, __builtin_bswap32(0x75D11D57));
	w.len += 24; /* uuid, checksum, content_size */
	wire_put_u32(&w, __builtin_bswap32(bytes * 8));
	ctf_rig_order(&r, CTF_ORDER_METADATA, 1, 0, 0, there == bytes, text, there);
}

Test(ctf_repair, cut_back_and_recorded, .timeout = 30)
{
	struct stat sb;
	char path[200], cleared[300], gone[300];
	json_t *json, *streams;
	pid_t pid;

	ctf_rig_make(&r, 13, false);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 1, true, 0, 0);
	metadata_packet(300, 300);
	metadata_packet(400, 100);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	pid = spawn();
	ctf_rig_send(&r, 0, 0, 1, LEN, 32 + 1000);
	ctf_rig_wait(ctf_rig_half(&r, 0).ledger.received == LEN + 1000);
	ctf_rig_wait(ctf_rig_applied(&r));
	die(pid);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "ch_0"), LEN + CTF_RIG_PAD + 1000);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "metadata"), 400);
	snprintf(path, sizeof(path), "%s/.open-7", session);
	cr_assert_eq(stat(path, &sb), 0);
	/* For viewers, who are gone too. */
	snprintf(cleared, sizeof(cleared), "%s/.cleared-9", session);
	cr_assert_eq(mkdir(cleared, 0700), 0);
	snprintf(gone, sizeof(gone), "%s/" DIR_ ".ch_9_0.gone", session);
	cr_assert_eq(link(path, gone), 0);
	/* Begun by daemons that are alive: left alone. */
	cr_assert_eq(ctf_repair_run(r.output, (int64_t)sb.st_mtim.tv_sec * 1000000000), 0);
	cr_assert_eq(access(gone, F_OK), 0);
	cr_assert_eq(ctf_repair_run(r.output, INT64_MAX), 1);
	cr_assert_neq(access(cleared, F_OK), 0);
	cr_assert_neq(access(gone, F_OK), 0);
	cr_assert_neq(stat(path, &sb), 0);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 1, LEN);
	ctf_rig_expect_index(&r, DIR_ "index/ch_0.idx", 0, 1, LEN);
	cr_assert_eq(ctf_rig_size(&r, DIR_ "metadata"), 300);
	cr_assert_eq(ctf_repair_run(r.output, INT64_MAX), 0);

	json = record("");
	cr_assert_str_eq(member(json, "session"), "default");
	cr_assert_str_eq(member(json, "client_session"), "s1");
	cr_assert_str_eq(member(json, "protocol"), "LTTng 2.13");
	cr_assert_str_eq(member(json, "why"),
			 "both daemons were killed; what had arrived was kept");
	cr_assert(json_is_false(json_object_get(json, "complete")));
	cr_assert_null(json_object_get(json, "metadata"));
	cr_assert_eq(json_integer_value(json_object_get(json, "source")), 7);
	streams = json_object_get(json, "streams");
	cr_assert_eq(json_array_size(streams), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *s = json_array_get(streams, i);
		bool metadata = json_is_true(json_object_get(s, "metadata"));

		cr_assert_str_eq(member(s, "path"), "ust/uid/0/64-bit");
		cr_assert_str_eq(member(s, "name"), metadata ? "metadata" : "ch_0");
		cr_assert_eq(json_integer_value(json_object_get(s, "stored")),
			     metadata ? 300 : LEN + CTF_RIG_PAD);
		cr_assert(json_is_null(json_object_get(s, "received")));
		if (!metadata)
			cr_assert_eq(json_integer_value(json_object_get(s, "packets")), 1);
	}
	json_decref(json);
	ctf_rig_free(&r);
}

/* One stream of two is in the new chunk, with its second packet. */
static void die_in_a_rotation(void)
{
	pid_t pid;

	ctf_rig_make(&r, 13, false);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	ctf_rig_stream(&r, 2, false, 0, 0);
	ctf_rig_send(&r, 0, 0, 0, LEN, ALL);
	ctf_rig_index(&r, 0, 0, 0, 0);
	pid = spawn();
	ctf_rig_wait(ctf_rig_half(&r, 0).ledger.stored == LEN);
	ctf_rig_chunk(&r, 1, "");
	ctf_rig_order(&r, CTF_ORDER_ROTATE, 0, 1, 1, 1, NULL, 0); /* the other one stays behind */
	ctf_rig_send(&r, 0, 0, 1, LEN, ALL);
	ctf_rig_index(&r, 0, 1, 1, 0);
	ctf_rig_wait(ctf_rig_applied(&r) && ctf_rig_half(&r, 0).ledger.stored == 2 * LEN);
	die(pid);
}

/* In the middle of a rotation: the new chunk, hidden as long as the old one is there, comes out. */
Test(ctf_repair, hidden_chunk_comes_out, .timeout = 30)
{
	char dir[400], found[300];
	json_t *json;

	die_in_a_rotation();
	cr_assert_eq(ctf_rig_size(&r, ".chunk-2/" DIR_ "ch_0"), LEN + CTF_RIG_PAD);
	cr_assert_eq(ctf_repair_run(r.output, INT64_MAX), 1);
	cr_assert_eq(ctf_rig_size(&r, ".chunk-2"), -1);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 0, 1, LEN);
	ctf_rig_glob(&r, "2*-2", found, sizeof(found));
	snprintf(dir, sizeof(dir), "%s/" DIR_ "ch_0", found);
	ctf_rig_expect(&r, dir, 0, 1, 1, LEN);
	json = record(found);
	cr_assert_str_eq(member(json, "metadata"), "missing");
	json_decref(json);
	json_decref(record(""));
	ctf_rig_free(&r);
}

/* The old one had just gone: the new one takes its place. */
Test(ctf_repair, hidden_chunk_takes_the_session_directory, .timeout = 30)
{
	char command[200];

	die_in_a_rotation();
	snprintf(command, sizeof(command), "rm -r '%s/ust'", session);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(ctf_repair_run(r.output, INT64_MAX), 1);
	ctf_rig_expect(&r, DIR_ "ch_0", 0, 1, 1, LEN);
	cr_assert_eq(ctf_rig_size(&r, ".chunk-2"), -1);
	json_decref(record(""));
	ctf_rig_free(&r);
}

/* A mark of an older version, or one that was cut off, says nothing. */
Test(ctf_repair, empty_mark, .timeout = 30)
{
	char path[200];
	json_t *json;
	pid_t pid;

	ctf_rig_make(&r, 13, false);
	ctf_rig_chunk(&r, 0, "");
	ctf_rig_stream(&r, 0, false, 0, 0);
	pid = spawn();
	ctf_rig_wait(ctf_rig_applied(&r));
	die(pid);
	snprintf(path, sizeof(path), "%s/.open-7", session);
	cr_assert_eq(truncate(path, 5), 0);
	cr_assert_eq(ctf_repair_run(r.output, INT64_MAX), 1);
	json = record("");
	cr_assert_eq(json_integer_value(json_object_get(json, "source")), 7);
	json_decref(json);
	ctf_rig_free(&r);
}
