/* Makes a program believe that its processor has AVX2 and nothing behind it, so that a peer can be measured beside our
 * AVX2 set on a processor that has more:
 *
 *     LD_PRELOAD=hold_avx2.so PROGRAM...
 *
 * The processor is told to fault on CPUID (Linux, arch_prctl ARCH_SET_CPUID; threads inherit it), and the fault's
 * handler answers in its place, less what came after AVX2.  Where that is not to be had the program does not run, and
 * a sentence says why; where nothing came after AVX2 it runs as it is.  A program that wants the same signal (cmocka does) is told that it has it. */
#include <asm/prctl.h>
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct registers {
    uint32_t a, b, c, d;
};

/* What the answer to a leaf keeps, as bits that are taken away: AVX-512 in all its parts, AMX, VNNI, AVX10 and their
 * registers' part of what is saved. */
static void hide(uint32_t leaf, uint32_t sub, struct registers *r)
{
    if (leaf == 7 && sub == 0) {
        r->b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
        r->c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        r->d &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
    } else if (leaf == 7 && sub == 1) {
        r->a &= ~(1u << 4 | 1u << 5 | 1u << 21 | 1u << 23);
        r->d &= ~(1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19);
    } else if (leaf == 0xd && sub == 0) {
        r->a &= ~(7u << 5 | 3u << 17);
    } else if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) {
        *r = (struct registers){0};
    }
}

typedef int set_action(int number, const struct sigaction *action, struct sigaction *before);

static int set_own_action(int number, const struct sigaction *action, struct sigaction *before)
{
    void *next = dlsym(RTLD_NEXT, "sigaction");
    set_action *set;

    memcpy(&set, &next, sizeof set);
    return set(number, action, before);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    return set_own_action(number, number == SIGSEGV ? NULL : action, before);
}

sighandler_t signal(int number, sighandler_t handler)
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct sigaction before;

    return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

static void answer(int signal_number, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)(uintptr_t)g[REG_RIP];
    const uint32_t leaf = (uint32_t)g[REG_RAX], sub = (uint32_t)g[REG_RCX];
    struct registers r;

    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* a fault of the program's own: once more, without us */
        (void)set_own_action(signal_number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        return;
    }
    (void)syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __cpuid_count(leaf, sub, r.a, r.b, r.c, r.d);
    (void)syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    hide(leaf, sub, &r);
    g[REG_RAX] = r.a;
    g[REG_RBX] = r.b;
    g[REG_RCX] = r.c;
    g[REG_RDX] = r.d;
    g[REG_RIP] += 2;
}

/* Is there anything to hide in an answer? */
static int has_more(uint32_t leaf, uint32_t sub)
{
    struct registers r = {0}, held;

    (void)__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d);
    held = r;
    hide(leaf, sub, &held);
    return r.a != held.a || r.b != held.b || r.c != held.c || r.d != held.d;
}

static __attribute__((constructor)) void hold(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};

    if (!has_more(7, 0) && !has_more(7, 1))
        return;
    if (set_own_action(SIGSEGV, &action, NULL) != 0 || syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) {
        static const char text[] = "this processor or kernel cannot hold a program to AVX2 (no faulting on CPUID)\n";
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
        _exit(3);
    }
}
