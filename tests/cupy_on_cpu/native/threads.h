// The threads of a grid. Blocks run one after the other, and so do the threads of a block. If a kernel has barriers or warp
// intrinsics (EMU_FIBRES), each thread of a block is a fibre with its own stack, and other fibres run while it waits.
#pragma once
#include "launch.h"
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <utility>

enum { EMU_RUN, EMU_BLOCK, EMU_WARP, EMU_DONE };    // a fibre runs, waits for its block, waits for its warp, has ended
struct EmuFibre {
    void *sp;    // its stack pointer while it waits
    int state;
    unsigned mask;    // of the lanes that __syncwarp waits for
    uint3 index;      // threadIdx
};
static EmuFibre *emu_fibres, *emu_now;    // of the block that runs, and the one that runs
static void *emu_scheduler;               // its stack pointer while a fibre runs
static void (*emu_body)(void **);         // the kernel, and its arguments
static void **emu_arguments;
static unsigned long long emu_slots[1024];              // what the threads of a warp exchange
static int emu_votes[1024];                             // what the threads of a block exchange
extern "C" void emu_switch(void **save, void *load);    // saves the stack pointer and goes on from another
#if defined(EMU_FIBRES)
asm(".text\n"
    "emu_switch:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    " ret\n");
static void emu_enter() {
    emu_body(emu_arguments);
    emu_now->state = EMU_DONE;
    emu_switch(&emu_now->sp, emu_scheduler);
    __builtin_trap();
}
#endif
__noinline__ static void emu_wait(int state, unsigned mask = 0) {
    emu_now->state = state;
    emu_now->mask = mask;
    emu_switch(&emu_now->sp, emu_scheduler);
}
static int emu_id() { return emu_now - emu_fibres; }
inline void __syncthreads() { emu_wait(EMU_BLOCK); }
inline void __syncwarp(unsigned mask = 0xffffffff) { emu_wait(EMU_WARP, mask); }
inline int __syncthreads_count(int p) {
    emu_votes[emu_id()] = !!p;
    __syncthreads();
    int n = 0;
    for (unsigned i = 0; i < blockDim.x * blockDim.y * blockDim.z; ++i) n += emu_votes[i];
    __syncthreads();
    return n;
}
inline int __syncthreads_or(int p) { return __syncthreads_count(p) > 0; }
inline int __syncthreads_and(int p) { return __syncthreads_count(p) == int(blockDim.x * blockDim.y * blockDim.z); }
template <class T, class F>
inline T emu_exchange(unsigned mask, T v, F source) {    // source: lane -> lane, -1 for its own
    static_assert(sizeof(T) <= 8, "");
    int id = emu_id(), lane = id & 31, from;
    memcpy(&emu_slots[id], &v, sizeof v);
    __syncwarp(mask);
    from = source(lane);
    if (from >= 0) memcpy(&v, &emu_slots[id - lane + from], sizeof v);
    __syncwarp(mask);
    return v;
}
template <class T>
inline T __shfl_sync(unsigned m, T v, int s, int w = 32) {
    return emu_exchange(m, v, [=](int l) { return (l & -w) + (s & (w - 1)); });
}
template <class T>
inline T __shfl_xor_sync(unsigned m, T v, int x, int w = 32) {
    return emu_exchange(m, v, [=](int l) {
        int f = l ^ x;
        return (f & -w) <= (l & -w) ? f : -1;
    });
}
template <class T>
inline T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32) {
    return emu_exchange(m, v, [=](int l) { return (l & (w - 1)) + int(d) < w ? l + int(d) : -1; });
}
template <class T>
inline T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32) {
    return emu_exchange(m, v, [=](int l) { return (l & (w - 1)) >= int(d) ? l - int(d) : -1; });
}
inline unsigned __ballot_sync(unsigned m, int p) {
    int id = emu_id(), lane = id & 31;
    unsigned b = 0;
    emu_slots[id] = !!p;
    __syncwarp(m);
    for (int i = 0; i < 32; ++i)
        if (m >> i & 1) b |= unsigned(emu_slots[id - lane + i]) << i;
    __syncwarp(m);
    return b;
}
inline int __any_sync(unsigned m, int p) { return __ballot_sync(m, p) != 0; }
inline int __all_sync(unsigned m, int p) { return __ballot_sync(m, p) == m; }

// The order in which threads or blocks run: 0 ascending, 1 descending, 2 random
static unsigned long long emu_greatest_divisor(unsigned long long a, unsigned long long b) {
    return b ? emu_greatest_divisor(b, a % b) : a;
}
struct EmuOrder {
    unsigned long long n, step = 1, first = 0;
    EmuOrder(unsigned long long n, int order) : n(n) {
        if (order == 1) step = n - 1, first = n - 1;
        if (order == 2) {
            static unsigned random = 1;
            random = random * 1664525u + 1013904223u;
            for (step = (random >> 8) % n; emu_greatest_divisor(step, n) != 1;) ++step;
            first = (random >> 4) % n;
        }
    }
    unsigned long long operator[](unsigned long long i) const { return (first + i * step) % n; }
};
static uint3 emu_index(unsigned long long i, const dim3 &size) {
    return {unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y)};
}

#if defined(EMU_FIBRES)
// Run the threads of a block; return whether they end in a deadlock
static int emu_run_fibres(void (*body)(void **), void **arguments, int order) {
    const size_t STACK = 64 << 10;
    static char *stacks =
        (char *)mmap(0, 1024 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    static EmuFibre fibres[1024];
    int n = blockDim.x * blockDim.y * blockDim.z, left = n;
    EmuOrder ordered(n, order);
    emu_fibres = fibres;
    emu_body = body;
    emu_arguments = arguments;
    for (int i = 0; i < n; ++i) {
        void **top = (void **)(stacks + (i + 1) * STACK) - 1;    // 8 more than a multiple of 16, as after a call
        *--top = (void *)emu_enter;
        for (int r = 0; r < 6; ++r) *--top = 0;
        fibres[i] = {top, EMU_RUN, 0, emu_index(i, blockDim)};
    }
    while (left) {
        int ran = 0, blocked = 0;
        for (int k = 0; k < n; ++k) {
            EmuFibre &fibre = fibres[ordered[k]];
            if (fibre.state == EMU_RUN) {
                ran = 1;
                emu_now = &fibre;
                threadIdx = fibre.index;
                emu_switch(&emu_scheduler, fibre.sp);
                left -= fibre.state == EMU_DONE;
            }
            blocked += fibre.state == EMU_BLOCK;
        }
        if (left && blocked == left) {    // __syncthreads: every thread that has not ended is here
            for (int i = 0; i < n; ++i)
                if (fibres[i].state == EMU_BLOCK) fibres[i].state = EMU_RUN;
            continue;
        }
        for (int w = 0; w < n; w += 32) {    // __syncwarp: every lane that another lane waits for is here
            unsigned waiting = 0, mask = 0, alive = 0;
            for (int i = w; i < n && i < w + 32; ++i) {
                if (fibres[i].state != EMU_DONE) alive |= 1u << (i - w);
                if (fibres[i].state == EMU_WARP) {
                    waiting |= 1u << (i - w);
                    mask |= fibres[i].mask;
                }
            }
            if (waiting && !(mask & alive & ~waiting)) {
                ran = 1;
                for (int i = w; i < n && i < w + 32; ++i)
                    if (fibres[i].state == EMU_WARP) fibres[i].state = EMU_RUN;
            }
        }
        if (left && !ran) return 1;
    }
    return 0;
}
#endif

// ---- a launch
template <class F>
struct EmuKernel;
template <class... A>
struct EmuKernel<void(A...)> {
    template <void (*f)(A...), size_t... I>
    static void unpack(void **p, std::index_sequence<I...>) {
        f(*(typename std::remove_reference<A>::type *)p[I]...);
    }
    template <void (*f)(A...)>
    static void call(void **p) {
        unpack<f>(p, std::index_sequence_for<A...>());
    }
    static const int *sizes() {
        static const int s[] = {int(sizeof(A))..., -1};
        return s;
    }
};
template <class K>
static void emu_launch(EmuLaunch *launch, void (*body)(void **)) {
    launch->sizes = K::sizes();
    if (!launch->arguments) return;
    emu_shared = launch->shared;
    bool folds = launch->fold && EMU_FOLDS;
    gridDim = folds ? dim3() : dim3(launch->grid[0], launch->grid[1], launch->grid[2]);
    blockDim = folds ? dim3() : dim3(launch->block[0], launch->block[1], launch->block[2]);
    unsigned long long blocks = (unsigned long long)gridDim.x * gridDim.y * gridDim.z;
    EmuOrder ordered_blocks(blocks, launch->order);
    for (unsigned long long i = 0; i < blocks; ++i) {
        blockIdx = emu_index(ordered_blocks[i], gridDim);
#if defined(EMU_FIBRES)
        if ((launch->deadlock = emu_run_fibres(body, launch->arguments, launch->order))) return;
#else
        unsigned threads = blockDim.x * blockDim.y * blockDim.z;
        EmuOrder ordered_threads(threads, launch->order);
        for (unsigned j = 0; j < threads; ++j) {
            threadIdx = emu_index(ordered_threads[j], blockDim);
            body(launch->arguments);
        }
#endif
    }
}
#define EMU_ENTRY(symbol, ...)                                                           \
    extern "C" void symbol(EmuLaunch *launch) {                                          \
        typedef EmuKernel<typename std::remove_pointer<decltype(&__VA_ARGS__)>::type> K; \
        emu_launch<K>(launch, K::call<&__VA_ARGS__>);                                    \
    }
