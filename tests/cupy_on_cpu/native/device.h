// Declarations for all parts of the emulated device: its memory, its streams and the counters of its work
#pragma once
#include <Python.h>
#include <stdint.h>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace emulated {

typedef intptr_t Address;                  // a pointer, a stream or another handle, as Cython passes them
typedef std::function<int()> Operation;    // returns a status

enum Status {
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILURE = 719,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_UNMATCHED = 903,
    CAPTURE_IMPLICIT = 906,
};

struct Settings {
    size_t memory;    // bytes on the device
    int lazy;         // run operations only when somebody waits for them
    int guard;        // put an inaccessible page after each allocation
    int order;        // of threads and blocks: 0 ascending, 1 descending, 2 random
    int fold;         // run kernels that only loop over a grid as one thread
    int poison;       // fill new memory with NaN
};
extern Settings settings;

enum Counter { KERNELS, PRODUCTS, COPIES_IN, COPIES_OUT, COPIES_WITHIN, WAITS, ALLOCATIONS, BYTES_OUT, GRAPHS, COUNTERS };
extern long counts[COUNTERS];
extern std::map<std::string, long> launches;    // how often each kernel was launched, by name

extern std::map<Address, size_t> device_memory;    // sizes of the allocations
bool on_device(Address start, size_t size);

struct Stream {
    std::deque<std::pair<long, Operation>> queue;    // with the number of each operation
    int capturing = 0, mode = 2, flags = 0, priority = 0;
    std::vector<Operation> graph;    // the operations of the capture in progress
};
int enqueue(Address stream, Operation operation);    // runs it immediately unless settings.lazy; returns a status
void drain_all();                                    // runs all remaining operations of every stream

}    // namespace emulated
