// The CUDA runtime over this CPU: the functions of `cupy_backends.cuda.api.runtime`, in the C form that Cython gives them
// (rt_*). A stream is a queue of operations. By default an operation runs as soon as it is enqueued; with settings.lazy it
// runs when somebody waits for it. Functions that return an object report an error as CuPy does, by an exception.
#include <unistd.h>
#include "device.h"
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <algorithm>

namespace emulated {

Settings settings;
long counts[COUNTERS];
std::map<std::string, long> launches;
std::map<Address, size_t> device_memory;

static std::map<Address, size_t> pinned_memory;    // page-locked memory of the host
static std::map<Address, Stream> streams;
static size_t bytes_in_use, peak_bytes;
static long ticket;           // the number of the last operation that was put into a queue
static int deferred_error;    // the first error of an operation that ran later than it was enqueued

static PyObject *(*raise_status)(int, int);    // CuPy's runtime.check_status
static PyObject *observer;                     // called with each wait, copy and allocation, and its size; or None

struct Event {
    bool timing;
    double at = 0;    // milliseconds
    Address stream = 0;
    long ticket = 0;    // the last operation before the event
};
struct Graph {
    std::vector<Operation> operations;
};

static PyObject *checked(int status) {
    if (status) return raise_status(status, 0);
    Py_RETURN_NONE;
}
static Address refused(int status) {
    raise_status(status, 0);
    return 0;
}
static void observe(const char *what, size_t size) {
    if (observer == Py_None || PyErr_Occurred()) return;
    PyObject *result = PyObject_CallFunction(observer, "sn", what, (Py_ssize_t)size);
    if (!result) PyErr_WriteUnraisable(observer);
    else Py_DECREF(result);
}
static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static const int NON_BLOCKING = 1, RELAXED = 2;
static bool is_legacy(Address stream) { return stream <= 2; }    // null, and the two handles that CUDA reserves
static Stream &stream_of(Address stream) { return streams[is_legacy(stream) ? 0 : stream]; }
static bool capturing(bool strictly = false) {    // strictly: captures in relaxed mode, CuPy's default, do not count
    for (auto &s : streams)
        if (s.second.capturing && !(strictly && s.second.mode == RELAXED)) return true;
    return false;
}
static void drain(Stream &stream, long until = -1) {
    while (!stream.queue.empty() && (until < 0 || stream.queue.front().first <= until)) {
        Operation operation = stream.queue.front().second;
        stream.queue.pop_front();
        int status = operation();
        if (status && !deferred_error) deferred_error = status;
    }
}
void drain_all() {
    for (auto &s : streams) drain(s.second);
}
static int take_deferred_error() {
    int status = deferred_error;
    deferred_error = 0;
    return status;
}
static void wait_for(Stream &stream, Address other) {
    long until = ticket;
    stream.queue.push_back({++ticket, [=] {
                                drain(streams[other], until);
                                return 0;
                            }});
}
int enqueue(Address handle, Operation operation) {
    Stream &stream = stream_of(handle);
    if (stream.capturing) {
        stream.graph.push_back(operation);
        return 0;
    }
    bool legacy = is_legacy(handle);
    if (legacy)
        for (auto &s : streams)
            if (s.second.capturing && !(s.second.flags & NON_BLOCKING)) return CAPTURE_IMPLICIT;
    if (!settings.lazy) return operation();
    // the legacy stream waits for the blocking streams, and they wait for it
    if (legacy) {
        for (auto &other : streams)
            if (other.first && !(other.second.flags & NON_BLOCKING) && !other.second.queue.empty())
                wait_for(stream, other.first);
    } else if (!(stream.flags & NON_BLOCKING) && !streams[0].queue.empty()) wait_for(stream, 0);
    stream.queue.push_back({++ticket, operation});
    return 0;
}
bool on_device(Address start, size_t size) {
    auto after = device_memory.upper_bound(start);
    return after != device_memory.begin() && (--after, start + size <= after->first + after->second);
}
static bool is_pinned(Address start) {
    auto after = pinned_memory.upper_bound(start);
    return after != pinned_memory.begin() && (--after, start < after->first + (Address)after->second);
}

}    // namespace emulated

using namespace emulated;

extern "C" {
void emu_setup(PyObject *(*check_status)(int, int), PyObject *noted, Settings *given) {
    raise_status = check_status;
    observer = noted;
    settings = *given;
}
long *emu_counts() { return counts; }
size_t emu_peak() { return peak_bytes; }
size_t emu_launched(char *to, size_t size) {    // fills a text and returns its size
    std::string text;
    for (auto &l : launches) text += std::to_string(l.second) + " " + l.first + "\n";
    if (to) snprintf(to, size, "%s", text.c_str());
    return text.size() + 1;
}
void emu_drain() { drain_all(); }
}

// ---- memory
static const size_t PAGE = 4096;
static size_t whole_pages(size_t size) { return (size + PAGE - 1) / PAGE * PAGE; }
static char *map_memory(size_t size) {    // an inaccessible page follows the memory
    size_t whole = whole_pages(size);
    char *m = (char *)mmap(0, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return 0;
    mprotect(m + whole, PAGE, PROT_NONE);
    return settings.guard ? m + (whole - (size + 15) / 16 * 16) : m;
}
static void unmap_memory(Address p, size_t size) { munmap((void *)(p / PAGE * PAGE), whole_pages(size) + PAGE); }

extern "C" {
Address rt_malloc(size_t size, int) {
    if (capturing(true)) return refused(CAPTURE_UNSUPPORTED);    // allowed in relaxed mode, CuPy's default
    ++counts[ALLOCATIONS];
    observe("malloc", size);
    if (bytes_in_use + size > settings.memory) return refused(OUT_OF_MEMORY);
    char *m = map_memory(size ? size : 1);
    if (!m) return refused(OUT_OF_MEMORY);
    if (settings.poison) memset(m, 0xff, size);    // NaN reveals reads of memory that was never written
    device_memory[(Address)m] = size ? size : 1;
    bytes_in_use += size;
    peak_bytes = std::max(peak_bytes, bytes_in_use);
    return (Address)m;
}
PyObject *rt_free(Address p, int) {
    if (!p) Py_RETURN_NONE;
    auto b = device_memory.find(p);
    if (b == device_memory.end()) return checked(INVALID_VALUE);
    drain_all();
    bytes_in_use -= b->second;
    unmap_memory(p, b->second);
    device_memory.erase(b);
    Py_RETURN_NONE;
}
Address rt_mallocAsync(size_t size, Address, int) { return rt_malloc(size, 0); }
PyObject *rt_freeAsync(Address p, Address, int) { return rt_free(p, 0); }
Address rt_hostAlloc(size_t size, unsigned, int) {
    char *m = map_memory(size ? size : 1);
    if (m) pinned_memory[(Address)m] = size ? size : 1;
    return (Address)m;
}
PyObject *rt_freeHost(Address p, int) {
    auto b = pinned_memory.find(p);
    if (b == pinned_memory.end()) return checked(INVALID_VALUE);
    drain_all();
    unmap_memory(p, b->second);
    pinned_memory.erase(b);
    Py_RETURN_NONE;
}
PyObject *rt_memGetInfo(int) {
    return Py_BuildValue("nn", (Py_ssize_t)(settings.memory - bytes_in_use), (Py_ssize_t)settings.memory);
}

// Count a copy. Kinds: 1 host to device, 2 device to host, 3 device to device, 4 according to the addresses
static int count_copy(Address to, Address from, size_t size, int kind) {
    bool into = on_device(to, size), out_of = on_device(from, size);
    if ((kind == 1 && !into) || (kind == 2 && !out_of) || (kind == 3 && !(into && out_of))) return INVALID_VALUE;
    ++counts[!out_of ? COPIES_IN : into ? COPIES_WITHIN : COPIES_OUT];
    if (out_of && !into) counts[BYTES_OUT] += size;
    return 0;
}
PyObject *rt_memcpy(Address to, Address from, size_t size, int kind, int) {
    if (capturing()) return checked(CAPTURE_UNSUPPORTED);
    int status = count_copy(to, from, size, kind);
    if (status) return checked(status);
    drain_all();
    memmove((void *)to, (void *)from, size);
    if (!on_device(to, size)) {
        ++counts[WAITS];
        observe("copy out", size);
    }
    return checked(take_deferred_error());
}
PyObject *rt_memcpyAsync(Address to, Address from, size_t size, int kind, Address stream, int) {
    int status = count_copy(to, from, size, kind);
    if (status) return checked(status);
    bool into = on_device(to, size), out_of = on_device(from, size);
    Operation copy = [=] {
        memmove((void *)to, (void *)from, size);
        return 0;
    };
    if ((into && out_of) || is_pinned(into ? from : to)) {
        if (into != out_of) observe(into ? "copy in from locked memory" : "copy out to locked memory", size);
        status = enqueue(stream, copy);
    } else if (stream_of(stream).capturing) status = CAPTURE_UNSUPPORTED;
    else if (into) {    // the driver reads memory that is not page-locked before it returns
        observe("copy in", size);
        std::string held((char *)from, size);
        status = enqueue(stream, [=] {
            memcpy((void *)to, held.data(), held.size());
            return 0;
        });
    } else {    // and it returns only after it has written such memory
        ++counts[WAITS];
        observe("copy out", size);
        status = enqueue(stream, copy);
        drain(stream_of(stream));
    }
    return checked(status ? status : take_deferred_error());
}
PyObject *rt_memset(Address p, int value, size_t size, int) {
    drain_all();
    if (!on_device(p, size)) return checked(INVALID_VALUE);
    memset((void *)p, value, size);
    Py_RETURN_NONE;
}
PyObject *rt_memsetAsync(Address p, int value, size_t size, Address stream, int) {
    if (!on_device(p, size)) return checked(INVALID_VALUE);
    ++counts[COPIES_WITHIN];
    return checked(enqueue(stream, [=] {
        memset((void *)p, value, size);
        return 0;
    }));
}
PyObject *rt_memcpyPeerAsync(Address to, int, Address from, int, size_t size, Address stream, int) {
    return rt_memcpyAsync(to, from, size, 3, stream, 0);
}
PyObject *emu_attributes;    // CuPy's class PointerAttributes
PyObject *rt_pointerGetAttributes(Address p, int) {
    bool there = on_device(p, 1);
    return PyObject_CallFunction(emu_attributes, "innI", there ? 0 : -2, (Py_ssize_t)(there ? p : 0),
                                 (Py_ssize_t)(there ? 0 : p), there ? 2 : 0);
}
int rt_pointerGetMemoryType(Address p, int) { return on_device(p, 1) ? 2 : 0; }

// ---- the device
int rt_getDevice(int) { return 0; }
int rt_getDeviceCount(int) { return 1; }
PyObject *rt_setDevice(int d, int) { return checked(d ? INVALID_DEVICE : 0); }
int rt_driverGetVersion(int) { return 13020; }
int rt_runtimeGetVersion(int) { return 13020; }
int rt__getCUDAMajorVersion(int) { return 13; }
int rt_deviceCanAccessPeer(int, int, int) { return 0; }
PyObject *rt__ensure_context() { Py_RETURN_NONE; }
int rt_deviceGetAttribute(int attribute, int, int) {
    static const std::map<int, int> known = {
        {1, 1024},          // threads of a block
        {2, 1024},          // its width,
        {3, 1024},          // height
        {4, 64},            // and depth
        {5, 2147483647},    // width of the grid,
        {6, 65535},         // height
        {7, 65535},         // and depth
        {8, 49152},         // bytes of shared memory of a block
        {10, 32},           // threads of a warp
        {16, 132},          // multiprocessors
        {39, 2048},         // threads of a multiprocessor
        {75, 9},            // compute capability 9
        {76, 0},            // .0
        {81, 233472},       // bytes of shared memory of a multiprocessor
        {95, 1},            // cooperative launches
        {97, 232448},       // bytes of shared memory of a block, where it asks for more
        {115, 0},           // no memory pools of the driver
    };
    auto found = known.find(attribute);
    return found == known.end() ? 0 : found->second;
}
PyObject *rt_getDeviceProperties(int, int) {
    return Py_BuildValue("{s:y,s:n,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "name", "CPU in place of an NVIDIA H100",
                         "totalGlobalMem", (Py_ssize_t)settings.memory, "major", 9, "minor", 0, "multiProcessorCount", 132,
                         "warpSize", 32, "maxThreadsPerBlock", 1024, "sharedMemPerBlock", 49152, "sharedMemPerBlockOptin",
                         232448, "maxThreadsPerMultiProcessor", 2048, "regsPerBlock", 65536, "l2CacheSize", 50 << 20);
}
PyObject *rt_deviceGetPCIBusId(int, int) {      // each process has a device of its own
    return PyUnicode_FromFormat("%08x:00:00.0", (unsigned)getpid());
}

// ---- streams, events and graphs
PyObject *rt_deviceSynchronize(int) {
    if (capturing()) return checked(CAPTURE_UNSUPPORTED);
    ++counts[WAITS];
    observe("wait for the device", 0);
    drain_all();
    return checked(take_deferred_error());
}
PyObject *rt_streamSynchronize(Address s, int) {
    if (stream_of(s).capturing) return checked(CAPTURE_UNSUPPORTED);
    ++counts[WAITS];
    observe("wait for a stream", 0);
    if (is_legacy(s)) drain_all();
    else drain(stream_of(s));
    return checked(take_deferred_error());
}
PyObject *rt_streamQuery(Address s, int) {
    if (!settings.lazy || stream_of(s).queue.empty()) Py_RETURN_NONE;
    drain(stream_of(s), stream_of(s).queue.front().first);    // so that a loop of queries ends
    return checked(NOT_READY);
}
static Address last_handle = 1000;
Address rt_streamCreate(int) {
    streams[++last_handle];
    return last_handle;
}
Address rt_streamCreateWithFlags(unsigned f, int) {
    Address s = rt_streamCreate(0);
    streams[s].flags = f;
    return s;
}
Address rt_streamCreateWithPriority(unsigned f, int p, int) {
    Address s = rt_streamCreateWithFlags(f, 0);
    streams[s].priority = std::max(-5, std::min(p, 0));
    return s;
}
PyObject *rt_streamDestroy(Address s, int) {
    drain(stream_of(s));
    streams.erase(s);
    Py_RETURN_NONE;
}
unsigned rt_streamGetFlags(Address s, int) { return stream_of(s).flags; }
int rt_streamGetPriority(Address s, int) { return stream_of(s).priority; }
int rt_streamIsCapturing(Address s, int) { return stream_of(s).capturing; }
struct Mode {    // Cython's optional arguments
    int given, mode;
};
PyObject *rt_streamBeginCapture(Address s, int, Mode *m) {
    if (is_legacy(s)) return checked(CAPTURE_UNSUPPORTED);
    Stream &stream = stream_of(s);
    drain(stream);
    stream.capturing = 1;
    stream.mode = m && m->given ? m->mode : RELAXED;
    stream.graph.clear();
    Py_RETURN_NONE;
}
Address rt_streamEndCapture(Address s, int) {
    Stream &stream = stream_of(s);
    if (!stream.capturing) return refused(CAPTURE_UNMATCHED);
    stream.capturing = 0;
    return (Address) new Graph{std::move(stream.graph)};
}
Address rt_graphInstantiate(Address g, int) { return (Address) new Graph(*(Graph *)g); }
PyObject *rt_graphDestroy(Address g, int) {
    delete (Graph *)g;
    Py_RETURN_NONE;
}
PyObject *rt_graphExecDestroy(Address g, int) {
    drain_all();
    delete (Graph *)g;
    Py_RETURN_NONE;
}
PyObject *rt_graphUpload(Address, Address, int) { Py_RETURN_NONE; }
PyObject *rt_graphLaunch(Address g, Address s, int) {
    ++counts[GRAPHS];
    return checked(enqueue(s, [g] {
        for (auto &operation : ((Graph *)g)->operations) {
            int status = operation();
            if (status) return status;
        }
        return 0;
    }));
}
Address rt_eventCreateWithFlags(unsigned flags, int) { return (Address) new Event{!(flags & 2)}; }
Address rt_eventCreate(int) { return (Address) new Event{true}; }
PyObject *rt_eventDestroy(Address e, int) {
    drain_all();
    delete (Event *)e;
    Py_RETURN_NONE;
}
PyObject *rt_eventRecord(Address e, Address s, int) {
    Event *event = (Event *)e;
    event->stream = s;
    int status = enqueue(s, [event] {
        event->at = now();
        return 0;
    });
    event->ticket = ticket;
    return checked(status);
}
PyObject *rt_eventSynchronize(Address e, int) {
    if (capturing()) return checked(CAPTURE_UNSUPPORTED);
    ++counts[WAITS];
    observe("wait for an event", 0);
    drain(stream_of(((Event *)e)->stream), ((Event *)e)->ticket);
    return checked(take_deferred_error());
}
PyObject *rt_eventQuery(Address e, int) {
    drain(stream_of(((Event *)e)->stream), ((Event *)e)->ticket);
    Py_RETURN_NONE;
}
float rt_eventElapsedTime(Address a, Address b, int) {
    if (!((Event *)a)->timing || !((Event *)b)->timing) return refused(INVALID_HANDLE);
    return ((Event *)b)->at - ((Event *)a)->at;
}
PyObject *rt_streamWaitEvent(Address s, Address e, int, void *) {
    Address of = ((Event *)e)->stream;
    long upto = ((Event *)e)->ticket;
    return checked(enqueue(s, [of, upto] {
        drain(stream_of(of), upto);
        return 0;
    }));
}
PyObject *rt_profilerStart(int) { Py_RETURN_NONE; }
PyObject *rt_profilerStop(int) { Py_RETURN_NONE; }
}
