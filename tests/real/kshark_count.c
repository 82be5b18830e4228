/* SPDX-License-Identifier: MIT */
/*
 * kshark_count.c - FILE as KernelShark loads it: prints EVENTS MARKS, as count_report of lib.sh.
 *
 * Marks are the places where it shows that events are missing. Exit: 1 if it cannot load the file,
 * or finds entries that are not in the order of their time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <kernelshark/libkshark.h>

int main(int argc, char **argv)
{
	struct kshark_context *context = NULL;
	struct kshark_entry **rows = NULL;
	long events = 0, marks = 0;
	int64_t time = INT64_MIN;
	ssize_t n;
	int sd;

	if (argc != 2 || !kshark_instance(&context))
		return 1;
	sd = kshark_open(context, argv[1]);
	if (sd < 0) {
		fprintf(stderr, "%s: KernelShark does not open it: %d\n", argv[1], sd);
		return 1;
	}
	n = kshark_load_entries(context, sd, &rows);
	if (n < 0) {
		fprintf(stderr, "%s: KernelShark does not load it: %zd\n", argv[1], n);
		return 1;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (rows[i]->ts < time) {
			fprintf(stderr, "%s: entry %zd is out of order\n", argv[1], i);
			return 1;
		}
		time = rows[i]->ts;
		if (rows[i]->event_id == -EOVERFLOW)
			marks++;
		else
			events++;
	}
	printf("%ld %ld\n", events, marks);
	return 0;
}
