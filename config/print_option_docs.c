/* SPDX-License-Identifier: MIT */
/* print_option_docs.c - prints what options_print_*() print: for `make update-option-docs`. */
#include <stdio.h>
#include <string.h>

#include "config/options.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(FILE *out);
	} documents[] = {{"help", options_print_help},
			 {"manual", options_print_manual},
			 {"example", options_print_example}};

	for (size_t i = 0; argc == 2 && i < sizeof(documents) / sizeof(documents[0]); i++) {
		if (strcmp(argv[1], documents[i].name) != 0)
			continue;
		documents[i].print(stdout);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	fputs("usage: print-option-docs help|manual|example\n", stderr);
	return 2;
}
