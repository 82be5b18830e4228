/* SPDX-License-Identifier: MIT */
/*
 * replay.c - main() of a fuzz target built without a fuzzer.
 *
 * Runs every file of the target's corpus (or the files and folders named on the command line),
 * each whole, cut short at every length, and with seeded random bytes changed, so that make check
 * meets the decoders' error paths on any compiler. The same input always gives the same run.
 *
 * Each input is a heap block of its exact size: AddressSanitizer sees a read past its end. An input
 * that kills the target is left in ./crash-TARGET, to be added to the corpus.
 *
 * Exit: 0 all inputs survived, 1 no input found, 2 a file cannot be read.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUT_MAX 4096 /* a longer file is cut at this many lengths, evenly spread */
#define CHANGES 256  /* variants with changed bytes of each file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* What runs at the moment, for the death of the process. */
static const char *target, *running_file, *running_how;
static const uint8_t *running;
static size_t running_size;
static unsigned long inputs;

static void say(const char *text)
{
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored;
}

/* Async-signal-safe. */
static void save_input(void)
{
	char name[NAME_MAX] = "crash-";
	ssize_t ignored;
	int fd;

	if (!running_file)
		return;
	strncat(name, target, sizeof(name) - strlen(name) - 1);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ignored = fd < 0 ? -1 : write(fd, running, running_size);
	(void)ignored;
	say("\ndied with ");
	say(running_file);
	say(running_how);
	say("; the input is in ./");
	say(name);
	say("\n");
}

static void on_death(int sig)
{
	save_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void run_one(const char *file, const char *how, const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	assert(exact);
	memcpy(exact, bytes, size);
	running = exact;
	running_size = size;
	running_how = how;
	running_file = file;
	LLVMFuzzerTestOneInput(exact, size);
	running_file = NULL;
	free(exact);
	inputs++;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void run_variants(const char *file, uint8_t *bytes, size_t size)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
	size_t step = size > CUT_MAX ? size / CUT_MAX : 1;
	uint64_t state = 0x9e3779b97f4a7c15u ^ size;

	run_one(file, "", bytes, size);
	for (size_t cut = 0; cut < size; cut += step)
		run_one(file, ", cut short", bytes, cut);
	for (int i = 0; size && i < CHANGES; i++) {
		size_t at[3];
		uint8_t was[3];

		for (int k = 0; k < 3; k++) {
			uint64_t r = next_random(&state);

			at[k] = (r >> 16) % size;
			was[k] = bytes[at[k]];
			bytes[at[k]] = r & 1 ? (uint8_t)(r >> 8) : edges[(r >> 8) % sizeof(edges)];
		}
		run_one(file, ", bytes changed", bytes, size);
		for (int k = 2; k >= 0; k--)
			bytes[at[k]] = was[k];
	}
}

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = NULL;
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0 || !(bytes = malloc((size_t)st.st_size + 1)) ||
	    fread(bytes, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	fclose(f);
	run_variants(path, bytes, (size_t)st.st_size);
	free(bytes);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A file, or a folder of files in the order of their names. */
static void run_path(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int n;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	n = scandir(path, &entries, visible, alphasort);
	for (int i = 0; i < n; i++) {
		char file[PATH_MAX];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		run_file(file);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	const char *slash = strrchr(argv[0], '/');

	target = slash ? slash + 1 : argv[0];
	if (!strncmp(target, "fuzz_", 5))
		target += 5;
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(save_input);
	else
		for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
			signal(deaths[i], on_death);
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (argc < 2) {
		char corpus[PATH_MAX];

		snprintf(corpus, sizeof(corpus), "%s/%s", CORPUS_DIR, target);
		run_path(corpus);
	}
	printf("%s: %lu inputs\n", target, inputs);
	if (!inputs)
		fprintf(stderr, "%s: no corpus\n", target);
	return inputs ? 0 : 1;
}
