/*
 * A debugger and what it follows, in one program of Linux system calls alone: 200 single steps, a
 * watchpoint and a breakpoint. Prints one line; ends with 0 if each step moved by one instruction.
 *
 * Numbers: include/uapi/asm-generic/unistd.h, include/uapi/linux/ptrace.h and elf.h,
 * arch/arm64/include/uapi/asm/ptrace.h.
 */

typedef unsigned int u32;
typedef unsigned long u64;

enum { PTRACE = 117, WRITE = 64, EXIT = 93, KILL = 129, GETPID = 172, CLONE = 220, WAIT4 = 260 };
enum { TRACEME = 0, CONT = 7, SINGLESTEP = 9, GETREGSET = 0x4204, SETREGSET = 0x4205 };
enum { PRSTATUS = 1, HW_BREAK = 0x402, HW_WATCH = 0x403 };
enum { SIGTRAP = 5, SIGKILL = 9, SIGCHLD = 17, SIGSTOP = 19 };
enum { STEPS = 200, APPROACH = 1000 };

struct registers { u64 x[31], sp, pc, pstate; };
struct points { u32 info, pad; struct { u64 address; u32 control, pad; } first; };
struct vector { void *base; u64 length; };

static volatile u64 watched;
static int child;

static long call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}

/* What the child does for ever: six instructions, the last of which goes back to the first. */
extern const u32 loop_start[], loop_end[];
__asm__(".global loop_start, loop_end\n"
	"loop_start:\n"
	"	add	x1, x1, #1\n"
	"	eor	x2, x1, x2\n"
	"	str	x1, [x0]\n"
	"	ldr	x3, [x0]\n"
	"	nop\n"
	"	cbnz	x1, loop_start\n"
	"loop_end:\n"
	"	b	.\n");

static void follow_me(void)
{
	register volatile u64 *x0 __asm__("x0") = &watched;
	register u64 x1 __asm__("x1") = 0;

	call(PTRACE, TRACEME, 0, 0, 0, 0);
	call(KILL, call(GETPID, 0, 0, 0, 0, 0), SIGSTOP, 0, 0, 0);
	x0 = &watched;
	x1 = 0;
	__asm__ volatile("b loop_start" : : "r"(x0), "r"(x1));
	__builtin_unreachable();
}

/* Waits until the child stops; the signal that stopped it, or -1 if it is gone. */
static int stopped_by(void)
{
	int status = 0;

	if (call(WAIT4, child, (long)&status, 0, 0, 0) != child || (status & 0xff) != 0x7f)
		return -1;
	return status >> 8 & 0xff;
}

static u64 pc(void)
{
	struct registers registers;
	struct vector vector = { &registers, sizeof registers };

	if (call(PTRACE, GETREGSET, child, PRSTATUS, (long)&vector, 0) != 0)
		return 0;
	return registers.pc;
}

static u64 step(void)
{
	if (call(PTRACE, SINGLESTEP, child, 0, 0, 0) != 0 || stopped_by() != SIGTRAP)
		return 0;
	return pc();
}

/* How many breakpoints or watchpoints there are. */
static u32 count(long set)
{
	struct points points = { 0 };
	struct vector vector = { &points, sizeof points };

	if (call(PTRACE, GETREGSET, child, set, (long)&vector, 0) != 0)
		return 0;
	return points.info & 0xff;
}

/* Sets the first one, or with control 0 takes it back. */
static int set_first(long set, u64 address, u32 control)
{
	struct points points = { 0 };
	struct vector vector = { &points, sizeof points };

	points.first.address = address;
	points.first.control = control;
	return call(PTRACE, SETREGSET, child, set, (long)&vector, 0) == 0;
}

/* Where the child is stopped that goes on with the first of `set` at `address`; 0: nowhere. */
static u64 hit(long set, u64 address, u32 control)
{
	u64 at = 0;

	if (set_first(set, address, control) && call(PTRACE, CONT, child, 0, 0, 0) == 0 &&
	    stopped_by() == SIGTRAP)
		at = pc();
	set_first(set, address, 0);
	return at;
}

static void print(const char *text)
{
	long length = 0;

	while (text[length])
		length++;
	call(WRITE, 1, (long)text, length, 0, 0);
}

static void print_number(u64 number)
{
	char text[21];
	int at = 20;

	text[at] = 0;
	do
		text[--at] = '0' + number % 10;
	while (number /= 10);
	print(text + at);
}

int debug(void)
{
	const u64 start = (u64)loop_start, end = (u64)loop_end;
	u64 from, to = 0;
	int steps = 0, tries;

	child = call(CLONE, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		follow_me();
	if (stopped_by() != SIGSTOP)
		return 2;
	for (tries = 0; tries < APPROACH && to != start; tries++)
		to = step();
	while (steps < STEPS) {
		from = to;
		to = step();
		if (to != (from + 4 == end ? start : from + 4))
			break;
		steps++;
	}
	print_number(steps);
	print(" of 200 steps, watchpoints: ");
	print_number(count(HW_WATCH));
	/* Eight bytes, stores, EL0, enabled; the third instruction makes one. */
	print(hit(HW_WATCH, (u64)&watched, 0xff << 5 | 2 << 3 | 2 << 1 | 1) == start + 8 ? " hit" : " none hit");
	print(", breakpoints: ");
	print_number(count(HW_BREAK));
	/* Four bytes, EL0, enabled. */
	print(hit(HW_BREAK, start + 16, 0xf << 5 | 2 << 1 | 1) == start + 16 ? " hit\n" : " none hit\n");
	call(KILL, child, SIGKILL, 0, 0, 0);
	return steps == STEPS ? 0 : 1;
}

__asm__(".global _start\n"
	"_start:\n"
	"	bl	debug\n"
	"	mov	x8, #93\n"
	"	svc	#0\n");
