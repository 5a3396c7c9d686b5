// A CUDA device that is this CPU: what CuPy's Cython layer calls of the runtime (rt_*, in the C form of its cpdef functions) and,
// by their own names, of libcuda, libcublas and libcurand. Streams are queues; what is in one runs when somebody waits for it, or,
// by default, at once.
#include <Python.h>
#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

typedef intptr_t P;
typedef std::function<int()> Op;
enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_SUPPORTED = 801, ILLEGAL_ADDRESS = 700, LAUNCH_FAILURE = 719, NOT_READY = 600,
       INVALID_HANDLE = 400, CAPTURE_UNSUPPORTED = 900, CAPTURE_UNMATCHED = 903, CAPTURE_INVALIDATED = 901 };
struct EmuLaunch { unsigned grid[3], block[3]; void **args; char *shared; int order, fold; const int *sizes; int result; };
struct Event { bool timing; double at = 0; P stream = 0; long ticket = 0; };
struct Stream { std::deque<std::pair<long, Op>> queue; int capturing = 0, mode = 2, flags = 0, priority = 0; std::vector<Op> graph; };
struct Graph { std::vector<Op> ops; };

static PyObject *(*raise_status)(int, int);         // CuPy's runtime.check_status
static PyObject *note;                              // called with what happened, or None
static std::map<P, size_t> blocks, pinned;          // device memory, page-locked memory
static std::map<P, Stream> streams;
static size_t in_use, total = size_t(8) << 30, peak;
static int lazy, guard, order, folding = 1, poison = 1;
static long ticket, executed;                       // of the operations that were put into queues
static std::map<std::string, long> launched;           // how often, by name
static long counts[8];                              // kernels, products, copies in, copies out, copies within, waits, blocks, bytes out
static void (*sgemm)(int, int, int, P, P, P, float, const float *, P, const float *, P, float, float *, P);
static void (*dgemm)(int, int, int, P, P, P, double, const double *, P, const double *, P, double, double *, P);

extern "C" {
void emu_setup(PyObject *(*check)(int, int), PyObject *noted, size_t memory, int is_lazy, int guarded, int thread_order, int fold, int fill, void *s, void *d) {
    raise_status = check; note = noted; total = memory; lazy = is_lazy; guard = guarded; order = thread_order; folding = fold; poison = fill;
    sgemm = (decltype(sgemm))s; dgemm = (decltype(dgemm))d;
}
long *emu_counts() { return counts; }
size_t emu_peak() { return peak; }
size_t emu_launched(char *to, size_t size) {
    std::string all; for (auto &l : launched) all += std::to_string(l.second) + " " + l.first + "\n";
    if (to) snprintf(to, size, "%s", all.c_str());
    return all.size() + 1;
}
}

static PyObject *done(int status) { if (status) return raise_status(status, 0); Py_RETURN_NONE; }
static void tell(const char *what, size_t size) {           // with the GIL
    if (note == Py_None || PyErr_Occurred()) return;
    PyObject *r = PyObject_CallFunction(note, "sn", what, (Py_ssize_t)size);
    if (!r) PyErr_WriteUnraisable(note); else Py_DECREF(r);
}
static double now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec * 1e-6; }
static Stream &stream_of(P s) { return streams[s == 1 || s == 2 ? 0 : s]; }
static bool capturing(bool strictly = false) { for (auto &s : streams) if (s.second.capturing && !(strictly && s.second.mode == 2)) return true; return false; }
static int sticky;                                          // an error of an operation that ran later
static void run_front(Stream &s) {
    auto op = s.queue.front(); s.queue.pop_front();
    ++executed; int status = op.second(); if (status && !sticky) sticky = status;
}
static void drain(Stream &s, long until = -1) { while (!s.queue.empty() && (until < 0 || s.queue.front().first <= until)) run_front(s); }
static void drain_all() { for (auto &s : streams) drain(s.second); }
extern "C" void emu_drain() { drain_all(); }
static int take_sticky() { int s = sticky; sticky = 0; return s; }
static int put(P s, Op op) {
    Stream &stream = stream_of(s);
    if (stream.capturing) { stream.graph.push_back(op); return 0; }
    if (!lazy) return op();
    if (s == 0 || s == 1) for (auto &other : streams) if (other.first && !(other.second.flags & 1)) {        // the legacy stream waits for the blocking ones
        long upto = ticket; P of = other.first; stream.queue.push_back({++ticket, [of, upto] { drain(streams[of], upto); return 0; }});
    }
    stream.queue.push_back({++ticket, op}); return 0;
}
static bool on_device(P p, size_t n) {
    auto b = blocks.upper_bound(p);
    return b != blocks.begin() && (--b, p + n <= b->first + b->second);
}

// ---- runtime: memory -----------------------------------------------------------------------------------------------------------
static char *map_memory(size_t size) {      // ends at a page that nobody may touch
    size_t page = 4096, whole = (size + page - 1) / page * page;
    char *m = (char *)mmap(0, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return 0;
    mprotect(m + whole, page, PROT_NONE);
    return guard ? m + (whole - (size + 15) / 16 * 16) : m;
}
static void unmap_memory(P p, size_t size) { size_t page = 4096, whole = (size + page - 1) / page * page; munmap((void *)(p / page * page), whole + page); }

extern "C" {
P rt_malloc(size_t size, int) {
    if (capturing(true)) { raise_status(CAPTURE_UNSUPPORTED, 0); return 0; }    // allowed in relaxed mode, CuPy's default
    ++counts[6]; tell("malloc", size);
    if (in_use + size > total) { raise_status(OUT_OF_MEMORY, 0); return 0; }
    char *m = map_memory(size ? size : 1);
    if (!m) { raise_status(OUT_OF_MEMORY, 0); return 0; }
    if (poison) memset(m, 0xff, size);                      // NaN, so that nobody reads what was never written unnoticed
    blocks[(P)m] = size ? size : 1; in_use += size; peak = std::max(peak, in_use);
    return (P)m;
}
PyObject *rt_free(P p, int) {
    if (!p) Py_RETURN_NONE;
    auto b = blocks.find(p); if (b == blocks.end()) return done(INVALID_VALUE);
    drain_all(); in_use -= b->second; unmap_memory(p, b->second); blocks.erase(b); Py_RETURN_NONE;
}
P rt_mallocAsync(size_t size, P, int) { return rt_malloc(size, 0); }
PyObject *rt_freeAsync(P p, P, int) { return rt_free(p, 0); }
P rt_hostAlloc(size_t size, unsigned, int) { char *m = map_memory(size ? size : 1); if (m) pinned[(P)m] = size ? size : 1; return (P)m; }
PyObject *rt_freeHost(P p, int) { auto b = pinned.find(p); if (b == pinned.end()) return done(INVALID_VALUE); drain_all(); unmap_memory(p, b->second); pinned.erase(b); Py_RETURN_NONE; }
PyObject *rt_memGetInfo(int) { return Py_BuildValue("nn", (Py_ssize_t)(total - in_use), (Py_ssize_t)total); }

static int copy(P to, P from, size_t size, int kind) {      // 1 in, 2 out, 3 within, 4 as the addresses say
    bool t = on_device(to, size), f = on_device(from, size);
    if ((kind == 1 && !t) || (kind == 2 && !f) || (kind == 3 && !(t && f))) return INVALID_VALUE;
    ++counts[f ? t ? 4 : 3 : 2]; if (f && !t) counts[7] += size;
    return 0;
}
PyObject *rt_memcpy(P to, P from, size_t size, int kind, int) {
    if (capturing()) return done(CAPTURE_UNSUPPORTED);
    int status = copy(to, from, size, kind); if (status) return done(status);
    drain_all(); memmove((void *)to, (void *)from, size);
    if (!on_device(to, size)) { ++counts[5]; tell("copy out", size); }
    return done(take_sticky());
}
PyObject *rt_memcpyAsync(P to, P from, size_t size, int kind, P stream, int) {
    int status = copy(to, from, size, kind); if (status) return done(status);
    bool t = on_device(to, size), f = on_device(from, size); P host = t ? f ? 0 : from : to;
    auto b = host ? pinned.upper_bound(host) : pinned.end(); bool pageable = host && (b == pinned.begin() || (--b, host >= b->first + (P)b->second));
    if (stream_of(stream).capturing && pageable) return done(CAPTURE_UNSUPPORTED);
    if (pageable) {                                         // the driver copies such memory before it returns
        Stream &s = stream_of(stream);
        if (t) { std::string held((char *)from, size); status = put(stream, [=] { memcpy((void *)to, held.data(), held.size()); return 0; }); }
        else { drain(s); memmove((void *)to, (void *)from, size); ++counts[5]; tell("copy out", size); }
    } else { status = put(stream, [=] { memmove((void *)to, (void *)from, size); return 0; }); if (f && !t) tell("copy out to locked memory", size); }
    if (t && !f) tell(pageable ? "copy in" : "copy in from locked memory", size);
    return done(status ? status : take_sticky());
}
PyObject *rt_memset(P p, int value, size_t size, int) { drain_all(); if (!on_device(p, size)) return done(INVALID_VALUE); memset((void *)p, value, size); Py_RETURN_NONE; }
PyObject *rt_memsetAsync(P p, int value, size_t size, P stream, int) {
    if (!on_device(p, size)) return done(INVALID_VALUE);
    ++counts[4]; return done(put(stream, [=] { memset((void *)p, value, size); return 0; }));
}
PyObject *rt_memcpyPeerAsync(P to, int, P from, int, size_t size, P stream, int) { return rt_memcpyAsync(to, from, size, 3, stream, 0); }
PyObject *emu_attributes;                                   // CuPy's class PointerAttributes
PyObject *rt_pointerGetAttributes(P p, int) { bool d = on_device(p, 1); return PyObject_CallFunction(emu_attributes, "innI", d ? 0 : -2, (Py_ssize_t)(d ? p : 0), (Py_ssize_t)(d ? 0 : p), d ? 2 : 0); }
int rt_pointerGetMemoryType(P p, int) { return on_device(p, 1) ? 2 : 0; }

// ---- runtime: device, streams, events, graphs -------------------------------------------------------------------------------------
int rt_getDevice(int) { return 0; }
int rt_getDeviceCount(int) { return 1; }
PyObject *rt_setDevice(int d, int) { return done(d ? 101 : 0); }
int rt_driverGetVersion(int) { return 13020; }
int rt_runtimeGetVersion(int) { return 13020; }
int rt__getCUDAMajorVersion(int) { return 13; }
int rt_deviceCanAccessPeer(int, int, int) { return 0; }
PyObject *rt__ensure_context() { Py_RETURN_NONE; }
int rt_deviceGetAttribute(int a, int, int) {
    static const std::map<int, int> known = {{75, 9}, {76, 0}, {16, 132}, {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535},
        {8, 49152}, {10, 32}, {39, 2048}, {81, 233472}, {97, 232448}, {95, 1}, {115, 0}};
    auto k = known.find(a); return k == known.end() ? 0 : k->second;
}
PyObject *rt_getDeviceProperties(int, int) {
    return Py_BuildValue("{s:y,s:n,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "name", "CPU in place of an NVIDIA H100", "totalGlobalMem", (Py_ssize_t)total,
        "major", 9, "minor", 0, "multiProcessorCount", 132, "warpSize", 32, "maxThreadsPerBlock", 1024, "sharedMemPerBlock", 49152,
        "sharedMemPerBlockOptin", 232448, "maxThreadsPerMultiProcessor", 2048, "regsPerBlock", 65536, "l2CacheSize", 50 << 20);
}
PyObject *rt_deviceGetPCIBusId(int, int) { return PyUnicode_FromString("0000:00:00.0"); }
PyObject *rt_deviceSynchronize(int) { if (capturing()) return done(CAPTURE_UNSUPPORTED); ++counts[5]; tell("wait for the device", 0); drain_all(); return done(take_sticky()); }
PyObject *rt_streamSynchronize(P s, int) { if (stream_of(s).capturing) return done(CAPTURE_UNSUPPORTED); ++counts[5]; tell("wait for a stream", 0); if (s == 0 || s == 1) drain_all(); else drain(stream_of(s)); return done(take_sticky()); }
PyObject *rt_streamQuery(P s, int) { if (!lazy || stream_of(s).queue.empty()) Py_RETURN_NONE; run_front(stream_of(s)); return done(NOT_READY); }
static P next_handle = 1000;
P rt_streamCreate(int) { streams[++next_handle]; return next_handle; }
P rt_streamCreateWithFlags(unsigned f, int) { P s = rt_streamCreate(0); streams[s].flags = f; return s; }
P rt_streamCreateWithPriority(unsigned f, int p, int) { P s = rt_streamCreateWithFlags(f, 0); streams[s].priority = std::max(-5, std::min(p, 0)); return s; }
PyObject *rt_streamDestroy(P s, int) { drain(stream_of(s)); streams.erase(s); Py_RETURN_NONE; }
unsigned rt_streamGetFlags(P s, int) { return stream_of(s).flags; }
int rt_streamGetPriority(P s, int) { return stream_of(s).priority; }
int rt_streamIsCapturing(P s, int) { return stream_of(s).capturing; }
struct Mode { int given, mode; };
PyObject *rt_streamBeginCapture(P s, int, Mode *m) { if (s == 0) return done(CAPTURE_UNSUPPORTED); drain(stream_of(s)); stream_of(s).capturing = 1; stream_of(s).mode = m && m->given ? m->mode : 2; stream_of(s).graph.clear(); Py_RETURN_NONE; }
P rt_streamEndCapture(P s, int) { Stream &stream = stream_of(s); if (!stream.capturing) { raise_status(CAPTURE_UNMATCHED, 0); return 0; } stream.capturing = 0; return (P) new Graph{std::move(stream.graph)}; }
P rt_graphInstantiate(P g, int) { return (P) new Graph(*(Graph *)g); }
PyObject *rt_graphDestroy(P g, int) { delete (Graph *)g; Py_RETURN_NONE; }
PyObject *rt_graphExecDestroy(P g, int) { drain_all(); delete (Graph *)g; Py_RETURN_NONE; }
PyObject *rt_graphUpload(P, P, int) { Py_RETURN_NONE; }
PyObject *rt_graphLaunch(P g, P s, int) { return done(put(s, [g] { for (auto &op : ((Graph *)g)->ops) { int status = op(); if (status) return status; } return 0; })); }
P rt_eventCreateWithFlags(unsigned flags, int) { return (P) new Event{!(flags & 2)}; }
P rt_eventCreate(int) { return (P) new Event{true}; }
PyObject *rt_eventDestroy(P e, int) { drain_all(); delete (Event *)e; Py_RETURN_NONE; }
PyObject *rt_eventRecord(P e, P s, int) { Event *event = (Event *)e; event->stream = s; int status = put(s, [event] { event->at = now(); return 0; }); event->ticket = ticket; return done(status); }
PyObject *rt_eventSynchronize(P e, int) { if (capturing()) return done(CAPTURE_UNSUPPORTED); ++counts[5]; tell("wait for an event", 0); drain(stream_of(((Event *)e)->stream), ((Event *)e)->ticket); return done(take_sticky()); }
PyObject *rt_eventQuery(P e, int) { drain(stream_of(((Event *)e)->stream), ((Event *)e)->ticket); Py_RETURN_NONE; }
float rt_eventElapsedTime(P a, P b, int) { if (!((Event *)a)->timing || !((Event *)b)->timing) { raise_status(INVALID_HANDLE, 0); return -1; } return ((Event *)b)->at - ((Event *)a)->at; }
PyObject *rt_streamWaitEvent(P s, P e, int, void *) { P of = ((Event *)e)->stream; long upto = ((Event *)e)->ticket; return done(put(s, [of, upto] { drain(stream_of(of), upto); return 0; })); }
PyObject *rt_profilerStart(int) { Py_RETURN_NONE; }
PyObject *rt_profilerStop(int) { Py_RETURN_NONE; }

// ---- libcuda ---------------------------------------------------------------------------------------------------------------------
struct Function { void (*entry)(EmuLaunch *); std::string name; int shared_limit; };
struct Module { void *handle; std::map<std::string, Function> functions; };
int cuGetErrorName(int status, const char **s) { static char name[32]; snprintf(name, sizeof name, "CUDA_ERROR_%d", status); *s = name; return 0; }
int cuGetErrorString(int, const char **s) { *s = "of the CPU that stands in for a device"; return 0; }
int cuCtxGetCurrent(void **c) { *c = (void *)1; return 0; }
int cuCtxSetCurrent(void *) { return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return 0; }
int cuStreamGetCtx(void *, void **c) { *c = (void *)1; return 0; }
int cuModuleLoadData(Module **m, void *image) {             // 8 bytes of magic, the length, a shared object
    if (memcmp(image, "CPUCUBIN", 8)) return 200;
    size_t size; memcpy(&size, (char *)image + 8, 8);
    const char *folder = getenv("TMPDIR");                  // a name of its own for each, since dlopen knows libraries by their names
    std::string path = std::string(folder ? folder : "/tmp") + "/cupy_on_cpu.XXXXXX"; int fd = mkstemp(&path[0]);
    bool whole = fd >= 0 && write(fd, (char *)image + 16, size) == (ssize_t)size; close(fd);
    void *handle = whole ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : 0; unlink(path.c_str());
    if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 200; }
    *m = new Module{handle}; return 0;
}
int cuModuleUnload(Module *) { return 0; }
int cuModuleGetFunction(Function **f, Module *m, const char *name) {
    auto found = m->functions.find(name);
    if (found == m->functions.end()) {
        void *entry = dlsym(m->handle, (std::string("emu_entry_") + name).c_str()); if (!entry) return 500;
        found = m->functions.insert({name, {(void (*)(EmuLaunch *))entry, name, 49152}}).first;
    }
    *f = &found->second; return 0;
}
int cuModuleGetGlobal(void **p, size_t *size, Module *m, const char *name) { *p = dlsym(m->handle, name); if (size) *size = 0; if (*p) blocks[(P)*p] = 1 << 16; return *p ? 0 : 500; }
int cuFuncGetAttribute(int *v, int attribute, Function *f) { *v = attribute == 0 ? 1024 : attribute == 8 ? f->shared_limit : 0; return 0; }
int cuFuncSetAttribute(Function *f, int attribute, int v) { if (attribute == 8) { if (v > 232448) return 1; f->shared_limit = v; } return 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, Function *, int, size_t) { *n = 2; return 0; }
int cuOccupancyMaxPotentialBlockSize(int *grid, int *block, Function *, void *, size_t, int) { *grid = 264; *block = 256; return 0; }
int cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, P stream, void **params, void **) {
    if (gx > 2147483647u || gy > 65535 || gz > 65535 || !gx || !gy || !gz) return 1;
    if (bx > 1024 || by > 1024 || bz > 64 || bx * by * bz > 1024 || !bx || !by || !bz) return 1;
    if ((int)shared > f->shared_limit) return 1;
    ++counts[0]; ++launched[f->name];
    EmuLaunch probe = {}; f->entry(&probe);
    std::vector<size_t> at; std::string held;
    for (int i = 0; probe.sizes[i] >= 0; ++i) { held.resize((held.size() + 15) / 16 * 16); at.push_back(held.size()); held.append((char *)params[i], probe.sizes[i]); }
    return put(stream, [=]() mutable {
        std::vector<void *> args; for (size_t a : at) args.push_back((void *)(held.data() + a));
        std::vector<char> memory(shared + 64, (char)0xff); char *aligned = (char *)(((P)memory.data() + 63) / 64 * 64);
        EmuLaunch l = {{gx, gy, gz}, {bx, by, bz}, args.data(), aligned, order, folding, 0, 0};
        if (args.empty()) args.push_back(0), l.args = args.data();
        f->entry(&l); if (l.result) fprintf(stderr, "kernel %s: threads of a block wait for each other for ever\n", f->name.c_str());
        return l.result ? LAUNCH_FAILURE : 0;
    });
}
int cuLaunchCooperativeKernel(Function *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, P, void **) { return NOT_SUPPORTED; }

// ---- cuBLAS ------------------------------------------------------------------------------------------------------------------------
struct Blas { P stream = 0; int math = 0, pointers = 0; };
enum { R32 = 0, R64 = 1, R16 = 2, BF16 = 14 };
static float from_half(unsigned short h) { _Float16 x; memcpy(&x, &h, 2); return x; }
static unsigned short to_half(float f) { _Float16 x = f; unsigned short h; memcpy(&h, &x, 2); return h; }
static float from_bits(unsigned x) { float f; memcpy(&f, &x, 4); return f; }
static unsigned bits(float f) { unsigned x; memcpy(&x, &f, 4); return x; }
static float tf32(float f) { unsigned x = bits(f); if ((x & 0x7f800000) == 0x7f800000) return f; return from_bits((x + 0x1000) & 0xffffe000); }
static float element(const void *p, size_t i, int type) { return type == R32 ? ((float *)p)[i] : type == R16 ? from_half(((unsigned short *)p)[i]) : from_bits(((unsigned short *)p)[i] << 16); }
static std::vector<float> floats(const void *p, int type, int rows, int columns, int ld, bool rounded) {
    std::vector<float> out((size_t)rows * columns);
    for (int c = 0; c < columns; ++c) for (int r = 0; r < rows; ++r) { float x = element(p, (size_t)c * ld + r, type); out[(size_t)c * rows + r] = rounded ? tf32(x) : x; }
    return out;
}
static int product(int ta, int tb, int m, int n, int k, double alpha, const void *A, int at, int lda, const void *B, int bt, int ldb, double beta, void *C, int ct, int ldc, bool rounded) {
    if (m < 0 || n < 0 || k < 0 || lda < std::max(1, ta ? k : m) || ldb < std::max(1, tb ? n : k) || ldc < std::max(1, m)) return 7;
    if (!m || !n) return 0;
    int TA = ta ? 112 : 111, TB = tb ? 112 : 111;
    if (at == R64) { if (bt != R64 || ct != R64) return 15; dgemm(102, TA, TB, m, n, k, alpha, (double *)A, lda, (double *)B, ldb, beta, (double *)C, ldc); return 0; }
    if (at == R32 && bt == R32 && ct == R32 && !rounded) { sgemm(102, TA, TB, m, n, k, alpha, (float *)A, lda, (float *)B, ldb, beta, (float *)C, ldc); return 0; }
    for (int t : {at, bt, ct}) if (t != R32 && t != R16 && t != BF16) return 15;
    auto a = floats(A, at, ta ? k : m, ta ? m : k, lda, rounded && at == R32), b = floats(B, bt, tb ? n : k, tb ? k : n, ldb, rounded && bt == R32);
    auto c = beta ? floats(C, ct, m, n, ldc, false) : std::vector<float>((size_t)m * n);
    sgemm(102, TA, TB, m, n, k, alpha, a.data(), ta ? k : m, b.data(), tb ? n : k, beta, c.data(), m);
    for (int j = 0; j < n; ++j) for (int i = 0; i < m; ++i) {
        float x = c[(size_t)j * m + i]; size_t to = (size_t)j * ldc + i;
        if (ct == R32) ((float *)C)[to] = x; else if (ct == R16) ((unsigned short *)C)[to] = to_half(x);
        else { unsigned y = bits(x); ((unsigned short *)C)[to] = (y + 0x7fff + (y >> 16 & 1)) >> 16; }
    }
    return 0;
}
static int device_only(Blas *h, std::initializer_list<const void *> arrays) { for (auto a : arrays) if (!on_device((P)a, 1)) { fprintf(stderr, "cuBLAS got an address that is not on the device\n"); return 1; } return 0; }
static double scalar(Blas *h, const void *p, bool wide) { return wide ? *(double *)p : *(float *)p; }
int cublasCreate_v2(Blas **h) { *h = new Blas; return 0; }
int cublasDestroy_v2(Blas *h) { delete h; return 0; }
int cublasGetVersion_v2(Blas *, int *v) { *v = 130000; return 0; }
int cublasSetStream_v2(Blas *h, P s) { h->stream = s; return 0; }
int cublasGetStream_v2(Blas *h, P *s) { *s = h->stream; return 0; }
int cublasSetWorkspace_v2(Blas *, void *, size_t) { return 0; }
int cublasSetMathMode(Blas *h, int m) { h->math = m; return 0; }
int cublasGetMathMode(Blas *h, int *m) { *m = h->math; return 0; }
int cublasSetPointerMode_v2(Blas *h, int m) { h->pointers = m; return 0; }
int cublasGetPointerMode_v2(Blas *h, int *m) { *m = h->pointers; return 0; }
static int gemm(Blas *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *A, int at, int lda, long long sa, const void *B, int bt, int ldb, long long sb,
                const void *beta, void *C, int ct, int ldc, long long sc, int batch, bool wide, bool rounded) {
    if (h->pointers) return 15;
    if (m && n && k && device_only(h, {A, B, C})) return 14;
    double al = scalar(h, alpha, wide), be = scalar(h, beta, wide); ++counts[1];
    rounded = rounded || h->math == 3; ++launched[at == R64 ? "cuBLAS float64" : rounded ? "cuBLAS TF32" : at == R32 ? "cuBLAS float32" : "cuBLAS 16 bits"];
    auto size = [](int t) { return t == R64 ? 8 : t == R32 ? 4 : 2; };
    return put(h->stream, [=] {
        for (int i = 0; i < batch; ++i) { int s = product(ta, tb, m, n, k, al, (char *)A + i * sa * size(at), at, lda, (char *)B + i * sb * size(bt), bt, ldb, be, (char *)C + i * sc * size(ct), ct, ldc, rounded); if (s) return s; }
        return 0;
    });
}
int cublasSgemm_v2(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int lda, const void *B, int ldb, const float *be, void *C, int ldc) { return gemm(h, ta, tb, m, n, k, al, A, R32, lda, 0, B, R32, ldb, 0, be, C, R32, ldc, 0, 1, false, false); }
int cublasDgemm_v2(Blas *h, int ta, int tb, int m, int n, int k, const double *al, const void *A, int lda, const void *B, int ldb, const double *be, void *C, int ldc) { return gemm(h, ta, tb, m, n, k, al, A, R64, lda, 0, B, R64, ldb, 0, be, C, R64, ldc, 0, 1, true, false); }
int cublasSgemmEx(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int at, int lda, const void *B, int bt, int ldb, const float *be, void *C, int ct, int ldc) { return gemm(h, ta, tb, m, n, k, al, A, at, lda, 0, B, bt, ldb, 0, be, C, ct, ldc, 0, 1, false, false); }
int cublasGemmEx(Blas *h, int ta, int tb, int m, int n, int k, const void *al, const void *A, int at, int lda, const void *B, int bt, int ldb, const void *be, void *C, int ct, int ldc, int compute, int) { if (compute == 64) return 15; return gemm(h, ta, tb, m, n, k, al, A, at, lda, 0, B, bt, ldb, 0, be, C, ct, ldc, 0, 1, compute == 70 || compute == 71, compute == 77); }
int cublasGemmStridedBatchedEx(Blas *h, int ta, int tb, int m, int n, int k, const void *al, const void *A, int at, int lda, long long sa, const void *B, int bt, int ldb, long long sb, const void *be, void *C, int ct, int ldc, long long sc, int batch, int compute, int) { if (compute == 64) return 15; return gemm(h, ta, tb, m, n, k, al, A, at, lda, sa, B, bt, ldb, sb, be, C, ct, ldc, sc, batch, compute == 70 || compute == 71, compute == 77); }
int cublasSgemmStridedBatched(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int lda, long long sa, const void *B, int ldb, long long sb, const float *be, void *C, int ldc, long long sc, int batch) { return gemm(h, ta, tb, m, n, k, al, A, R32, lda, sa, B, R32, ldb, sb, be, C, R32, ldc, sc, batch, false, false); }
int cublasSgemmBatched(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void **A, int lda, const void **B, int ldb, const float *be, void **C, int ldc, int batch) {
    float a = *al, b = *be; ++counts[1]; bool rounded = h->math == 3;
    return put(h->stream, [=] { for (int i = 0; i < batch; ++i) { int s = product(ta, tb, m, n, k, a, A[i], R32, lda, B[i], R32, ldb, b, C[i], R32, ldc, rounded); if (s) return s; } return 0; });
}

}

// ---- cuRAND: Philox in place of the generator that was asked for -------------------------------------------------------------------
struct Rand { unsigned long long seed = 0, offset = 0; P stream = 0; };
static void philox(unsigned long long seed, unsigned long long block, unsigned out[4]) {
    unsigned c[4] = {(unsigned)block, (unsigned)(block >> 32), 0, 0}, k[2] = {(unsigned)seed, (unsigned)(seed >> 32)};
    for (int r = 0; r < 10; ++r) {
        unsigned long long a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        unsigned n[4] = {(unsigned)(b >> 32) ^ c[1] ^ k[0], (unsigned)b, (unsigned)(a >> 32) ^ c[3] ^ k[1], (unsigned)a};
        memcpy(c, n, sizeof c); k[0] += 0x9E3779B9; k[1] += 0xBB67AE85;
    }
    memcpy(out, c, sizeof c);
}
static unsigned draw(unsigned long long seed, unsigned long long i) { unsigned o[4]; philox(seed, i / 4, o); return o[i % 4]; }
template <class F> static int generate(Rand *g, const void *to, size_t n, int words, F f) {
    if (n && !on_device((P)to, 1)) return 201;
    unsigned long long seed = g->seed, from = g->offset; g->offset += n * words; ++counts[0];
    return put(g->stream, [=] { for (size_t i = 0; i < n; ++i) f(seed, from + i * words, i); return 0; }) ? 201 : 0;
}
static double unit(unsigned long long s, unsigned long long i) { return (draw(s, i) + 1.0) / 4294967296.0; }        // (0, 1]
static double gauss(unsigned long long s, unsigned long long i) { unsigned long long p = i & ~1ull; double r = sqrt(-2 * log(unit(s, p))), t = 2 * M_PI * unit(s, p + 1); return i & 1 ? r * sin(t) : r * cos(t); }
extern "C" {
int curandCreateGenerator(Rand **g, int) { *g = new Rand; return 0; }
int curandDestroyGenerator(Rand *g) { drain_all(); delete g; return 0; }
int curandGetVersion(int *v) { *v = 10400; return 0; }
int curandSetStream(Rand *g, P s) { g->stream = s; return 0; }
int curandSetPseudoRandomGeneratorSeed(Rand *g, unsigned long long s) { g->seed = s; g->offset = 0; return 0; }
int curandSetGeneratorOffset(Rand *g, unsigned long long o) { g->offset = o; return 0; }
int curandSetGeneratorOrdering(Rand *, int) { return 0; }
int curandGenerate(Rand *g, unsigned *p, size_t n) { return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = draw(s, at); }); }
int curandGenerateLongLong(Rand *g, unsigned long long *p, size_t n) { return generate(g, p, n, 2, [p](auto s, auto at, size_t i) { p[i] = (unsigned long long)draw(s, at) << 32 | draw(s, at + 1); }); }
int curandGenerateUniform(Rand *g, float *p, size_t n) { return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = unit(s, at); }); }
int curandGenerateUniformDouble(Rand *g, double *p, size_t n) { return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = unit(s, at); }); }
int curandGenerateNormal(Rand *g, float *p, size_t n, float m, float d) { if (n & 1) return 105; return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = m + d * gauss(s, at); }); }
int curandGenerateNormalDouble(Rand *g, double *p, size_t n, double m, double d) { if (n & 1) return 105; return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = m + d * gauss(s, at); }); }
int curandGenerateLogNormal(Rand *g, float *p, size_t n, float m, float d) { if (n & 1) return 105; return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = exp(m + d * gauss(s, at)); }); }
int curandGenerateLogNormalDouble(Rand *g, double *p, size_t n, double m, double d) { if (n & 1) return 105; return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = exp(m + d * gauss(s, at)); }); }
int curandGeneratePoisson(Rand *, unsigned *, size_t, double) { return 201; }
}
