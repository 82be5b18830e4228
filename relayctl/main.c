/* SPDX-License-Identifier: MIT */
/* main.c - relayctl is not written yet. */
#include <stdio.h>

int main(void)
{
	fputs("relayctl: not written yet\n", stderr);
	return 2;
}
