/* SPDX-License-Identifier: MIT */
/* main.c - sessiond-lite is not written yet. */
#include <stdio.h>

int main(void)
{
	fputs("sessiond-lite: not written yet\n", stderr);
	return 2;
}
