/* SPDX-License-Identifier: MIT */
/*
 * ctf_mortal.h - a worker in a process of its own that dies at one of its commits, and is followed
 * by one that does not.
 *
 * Orders and data are the parent's (ctf_rig.h); what events say stays in the child.
 */
#ifndef TESTS_UNIT_CTF_MORTAL_H
#define TESTS_UNIT_CTF_MORTAL_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "tests/unit/ctf_rig.h"

struct ctf_mortal {
	struct ctf_rig *rig;
	unsigned life; /* it dies at its commit number so many, counted from 1 */
	pid_t pid;
	bool died;
	/* In each process, before its worker begins; or NULL. */
	void (*before)(struct ctf_rig *r, bool successor);
};

/* rig and before are the caller's. @life  0: it does not die by itself */
void ctf_mortal_start(struct ctf_mortal *m, unsigned life);
/* If it is dead, its successor begins. */
void ctf_mortal_look(struct ctf_mortal *m);
/* SIGKILL, and nobody follows. */
void ctf_mortal_end(struct ctf_mortal *m);

/* run() a life of one commit, of two, ... until one does not die of it; it says whether it died.
 * How many commits that was. */
unsigned ctf_mortal_lives(bool (*run)(unsigned life));

#define ctf_mortal_wait(m, condition)                                                 \
	for (int i_ = 0; !(condition); i_++) {                                        \
		cr_assert_lt(i_, 8000, "life %u: waited for " #condition, (m)->life); \
		ctf_mortal_look(m);                                                   \
		ctf_rig_pause();                                                      \
	}

#endif
