/* SPDX-License-Identifier: MIT */
/*
 * terminal.c - ANSI sequences that every terminal of today knows, and termios; see terminal.h.
 *
 * Signals are blocked but for the time of ppoll(), so none is lost between looking and waiting.
 */
#include "relayctl/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ESC                '\033'
#define SEQUENCE_MAX       16
#define ENTER_OTHER_SCREEN "\033[?1049h\033[?25l" /* without a cursor */
#define LEAVE_OTHER_SCREEN "\033[?25h\033[?1049l"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
#define CAUGHT (sizeof(caught) / sizeof(caught[0]))

static volatile sig_atomic_t quit_signal, stop_asked, resized;

static struct {
	bool entered;
	FILE *out;
	struct termios before;
	struct sigaction old[CAUGHT];
	sigset_t mask; /* as it was */
	char keys[64];
	size_t n_keys;
	bool hung_up;
} terminal;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else if (number == SIGTSTP)
		stop_asked = 1;
	else
		quit_signal = number;
}

/* ---- enter, leave ---- */

static void write_now(const char *sequence)
{
	fputs(sequence, terminal.out);
	fflush(terminal.out);
}

static void take_screen(void)
{
	struct termios raw = terminal.before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C still is a signal */
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	write_now(ENTER_OTHER_SCREEN);
}

static void give_screen_back(void)
{
	write_now(LEAVE_OTHER_SCREEN);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before);
}

int terminal_enter(FILE *out)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	if (!isatty(fileno(out)) || tcgetattr(STDIN_FILENO, &terminal.before) < 0)
		return -ENOTTY;
	terminal.out = out;
	terminal.n_keys = 0;
	quit_signal = stop_asked = resized = 0;
	sigemptyset(&blocked);
	for (size_t i = 0; i < CAUGHT; i++)
		sigaddset(&blocked, caught[i]);
	sigprocmask(SIG_BLOCK, &blocked, &terminal.mask);
	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i], &action, &terminal.old[i]);
	terminal.entered = true;
	take_screen();
	return 0;
}

void terminal_leave(void)
{
	if (!terminal.entered)
		return;
	terminal.entered = false;
	give_screen_back();
	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i], &terminal.old[i], NULL);
	sigprocmask(SIG_SETMASK, &terminal.mask, NULL);
}

/* Ctrl-Z: the shell gets its terminal as it was, and we take it again afterwards. */
static void stop_ourselves(void)
{
	stop_asked = 0;
	give_screen_back();
	raise(SIGSTOP);
	take_screen();
}

void terminal_size(size_t *ret_columns, size_t *ret_rows)
{
	struct winsize size = {0};

	(void)ioctl(fileno(terminal.out), TIOCGWINSZ, &size);
	*ret_columns = size.ws_col ? size.ws_col : 80;
	*ret_rows = size.ws_row ? size.ws_row : 24;
}

/* ---- waiting ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void read_keys(void)
{
	ssize_t n;

	if (terminal.n_keys == sizeof(terminal.keys)) /* a sequence that never ends */
		terminal.n_keys = 0;
	n = read(STDIN_FILENO, terminal.keys + terminal.n_keys,
		 sizeof(terminal.keys) - terminal.n_keys);
	if (n > 0)
		terminal.n_keys += (size_t)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		terminal.hung_up = true;
}

/* What signals have told. True: *ret is set. */
static bool signalled(enum terminal_event *ret)
{
	if (quit_signal || terminal.hung_up) {
		*ret = TERMINAL_QUIT;
		return true;
	}
	if (!stop_asked && !resized)
		return false;
	if (stop_asked)
		stop_ourselves();
	resized = 0;
	*ret = TERMINAL_REDRAW;
	return true;
}

enum terminal_event terminal_wait(int fd, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
					{.fd = fd, .events = POLLIN}};
		int64_t left = deadline_ms - now_ms();
		struct timespec timeout = {0};
		enum terminal_event event;

		if (left > 0)
			timeout = (struct timespec){.tv_sec = left / 1000,
						    .tv_nsec = left % 1000 * 1000000};
		/* Blocked signals come in here, and only here. */
		(void)ppoll(fds, 2, &timeout, &terminal.mask);
		if (fds[0].revents)
			read_keys();
		if (signalled(&event))
			return event;
		if (fds[0].revents)
			return TERMINAL_KEYS;
		if (fds[1].revents)
			return TERMINAL_FD;
		if (left <= 0)
			return TERMINAL_TIME;
	}
}

int terminal_signal(void)
{
	return quit_signal;
}

/* ---- keys ---- */

static const struct {
	const char *behind_escape;
	int key;
} sequences[] = {
	{"[A", TERMINAL_UP},    {"OA", TERMINAL_UP},       {"[B", TERMINAL_DOWN},
	{"OB", TERMINAL_DOWN},  {"[5~", TERMINAL_PAGE_UP}, {"[6~", TERMINAL_PAGE_DOWN},
	{"[H", TERMINAL_HOME},  {"OH", TERMINAL_HOME},     {"[1~", TERMINAL_HOME},
	{"[7~", TERMINAL_HOME}, {"[F", TERMINAL_END},      {"OF", TERMINAL_END},
	{"[4~", TERMINAL_END},  {"[8~", TERMINAL_END},
};

/* Bytes of the sequence behind ESC, 0 if its end has not come. */
static size_t sequence_length(const char *bytes, size_t len)
{
	if (!len)
		return 0;
	if (bytes[0] == 'O')
		return len > 1 ? 2 : 0;
	if (bytes[0] != '[')
		return 1; /* Alt and a key */
	for (size_t i = 1; i < len; i++)
		if (bytes[i] >= '@' && bytes[i] <= '~')
			return i + 1;
	return len < SEQUENCE_MAX ? 0 : len;
}

int terminal_decode(const char *bytes, size_t len, size_t *ret_used)
{
	size_t n;

	*ret_used = 0;
	if (!len)
		return 0;
	if (bytes[0] != ESC) {
		*ret_used = 1;
		return (unsigned char)bytes[0] ? (unsigned char)bytes[0] : TERMINAL_OTHER;
	}
	n = sequence_length(bytes + 1, len - 1);
	if (!n)
		return 0;
	*ret_used = 1 + n;
	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		if (strlen(sequences[i].behind_escape) == n &&
		    memcmp(sequences[i].behind_escape, bytes + 1, n) == 0)
			return sequences[i].key;
	return TERMINAL_OTHER;
}

int terminal_key(void)
{
	size_t used;
	int key = terminal_decode(terminal.keys, terminal.n_keys, &used);

	terminal.n_keys -= used;
	memmove(terminal.keys, terminal.keys + used, terminal.n_keys);
	return key;
}
