/* SPDX-License-Identifier: MIT */
/* main.c - relayd is not written yet. */
#include <stdio.h>

int main(void)
{
	fputs("relayd: not written yet\n", stderr);
	return 2;
}
