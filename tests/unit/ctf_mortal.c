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

static pid_t spawn(struct ctf_rig *r, unsigned life)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	left_to_live = life;
	ctf_fault = life ? die : NULL;
	ctf_rig_start(r);
	for (;;)
		pause();
}

void ctf_mortal_start(struct ctf_mortal *m, struct ctf_rig *r, unsigned life)
{
	*m = (struct ctf_mortal){.rig = r, .life = life, .pid = spawn(r, life)};
}

void ctf_mortal_look(struct ctf_mortal *m)
{
	if (waitpid(m->pid, NULL, WNOHANG) != m->pid)
		return;
	m->pid = spawn(m->rig, 0);
	m->died = true;
}

void ctf_mortal_end(struct ctf_mortal *m)
{
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
}
