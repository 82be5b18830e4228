/* SPDX-License-Identifier: MIT */
/* ctf_mortal.c - see ctf_mortal.h. */
#include "tests/unit/ctf_mortal.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "consumer/ctf_internal.h"

static unsigned left_to_live;

static void die(void)
{
	if (--left_to_live == 0)
		kill(getpid(), SIGKILL);
}

static pid_t spawn(const struct ctf_mortal *m, unsigned life, bool successor)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	left_to_live = life;
	ctf_fault = life ? die : NULL;
	if (m->before)
		m->before(m->rig, successor);
	ctf_rig_start(m->rig);
	for (;;)
		pause();
}

void ctf_mortal_start(struct ctf_mortal *m, unsigned life)
{
	m->life = life;
	m->pid = spawn(m, life, false);
}

void ctf_mortal_look(struct ctf_mortal *m)
{
	if (waitpid(m->pid, NULL, WNOHANG) != m->pid)
		return;
	m->pid = spawn(m, 0, true);
	m->died = true;
}

void ctf_mortal_end(struct ctf_mortal *m)
{
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
}

unsigned ctf_mortal_lives(bool (*run)(unsigned life))
{
	unsigned life = 1;

	while (run(life))
		life += CTF_RIG_LIVES;
	return life;
}
