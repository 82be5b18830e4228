/* SPDX-License-Identifier: MIT */
/* relayctl_terminal.c - keys, however their bytes arrive. */
#include "relayctl/terminal.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct key_case {
	char bytes[24];
	int key;
	size_t used;
};

ParameterizedTestParameters(relayctl_terminal, decode)
{
	static struct key_case cases[] = {
		{"q", 'q', 1},
		{"qr", 'q', 1},
		{"\033[A", TERMINAL_UP, 3},
		{"\033[Aq", TERMINAL_UP, 3},
		{"\033OB", TERMINAL_DOWN, 3},
		{"\033[5~", TERMINAL_PAGE_UP, 4},
		{"\033[6~x", TERMINAL_PAGE_DOWN, 4},
		{"\033[H", TERMINAL_HOME, 3},
		{"\033[4~", TERMINAL_END, 4},
		{"\033[1;5A", TERMINAL_OTHER, 6},
		{"\033x", TERMINAL_OTHER, 2},
		{"\033", 0, 0},
		{"\033[", 0, 0},
		{"\033O", 0, 0},
		{"\033[5", 0, 0},
		{"\033[55555555555555555555", TERMINAL_OTHER, 22},
		{"", 0, 0},
		{"\xc3\xbc", 0xc3, 1},
	};

	return cr_make_param_array(struct key_case, cases, sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct key_case *c, relayctl_terminal, decode)
{
	size_t used = 99;

	cr_assert_eq(terminal_decode(c->bytes, strlen(c->bytes), &used), c->key);
	cr_assert_eq(used, c->used);
}

Test(relayctl_terminal, a_zero_byte_is_a_key_too)
{
	size_t used;

	cr_assert_eq(terminal_decode("\0q", 2, &used), TERMINAL_OTHER);
	cr_assert_eq(used, 1);
}

Test(relayctl_terminal, leaving_without_entering)
{
	FILE *file = tmpfile();

	terminal_leave();
	cr_assert_lt(terminal_enter(file), 0, "no terminal");
	terminal_leave();
	fclose(file);
}
