// The CUDA driver over this CPU: the functions that CuPy takes by name from libcuda.so.1. A cubin is a shared object.
#include "device.h"
#include "launch.h"
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

using namespace emulated;

static const int SHARED_MEMORY = 49152, MOST_SHARED_MEMORY = 232448;    // bytes per block, by default and on request
static const int ATTRIBUTE_THREADS = 0, ATTRIBUTE_SHARED_MEMORY = 8;

struct Function {
    void (*entry)(EmuLaunch *);
    std::string name;
    int shared_limit;    // bytes
};
struct Module {
    void *handle;
    std::map<std::string, Function> functions;
};

extern "C" {
int cuGetErrorName(int status, const char **s) {
    static char name[32];
    snprintf(name, sizeof name, "CUDA_ERROR_%d", status);
    *s = name;
    return 0;
}
int cuGetErrorString(int, const char **s) {
    *s = "an error of the emulated device";
    return 0;
}
int cuCtxGetCurrent(void **c) {
    *c = (void *)1;
    return 0;
}
int cuCtxSetCurrent(void *) { return 0; }
int cuCtxGetDevice(int *d) {
    *d = 0;
    return 0;
}
int cuStreamGetCtx(void *, void **c) {
    *c = (void *)1;
    return 0;
}
int cuModuleLoadData(Module **m, void *image) {    // 8 bytes of magic, the length, a shared object
    if (memcmp(image, "CPUCUBIN", 8)) return INVALID_IMAGE;
    size_t size;
    memcpy(&size, (char *)image + 8, 8);
    const char *folder = getenv("TMPDIR");    // each file has a unique name, because dlopen identifies libraries by name
    std::string path = std::string(folder ? folder : "/tmp") + "/cupy_on_cpu.XXXXXX";
    int fd = mkstemp(&path[0]);
    bool whole = fd >= 0 && write(fd, (char *)image + 16, size) == (ssize_t)size;
    close(fd);
    void *handle = whole ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : 0;
    unlink(path.c_str());
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        return INVALID_IMAGE;
    }
    *m = new Module{handle};
    return 0;
}
int cuModuleUnload(Module *) { return 0; }
int cuModuleGetFunction(Function **f, Module *m, const char *name) {
    auto found = m->functions.find(name);
    if (found == m->functions.end()) {
        void *entry = dlsym(m->handle, (std::string("emu_entry_") + name).c_str());
        if (!entry) return NOT_FOUND;
        found = m->functions.insert({name, {(void (*)(EmuLaunch *))entry, name, SHARED_MEMORY}}).first;
    }
    *f = &found->second;
    return 0;
}
int cuModuleGetGlobal(void **p, size_t *size, Module *m, const char *name) {
    *p = dlsym(m->handle, name);
    if (size) *size = 0;
    if (!*p) return NOT_FOUND;
    device_memory[(Address)*p] = 1 << 16;    // its size is unknown
    return 0;
}
int cuFuncGetAttribute(int *value, int attribute, Function *f) {
    *value = attribute == ATTRIBUTE_THREADS ? 1024 : attribute == ATTRIBUTE_SHARED_MEMORY ? f->shared_limit : 0;
    return 0;
}
int cuFuncSetAttribute(Function *f, int attribute, int value) {
    if (attribute != ATTRIBUTE_SHARED_MEMORY) return 0;
    if (value > MOST_SHARED_MEMORY) return INVALID_VALUE;
    f->shared_limit = value;
    return 0;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, Function *, int, size_t) {
    *n = 2;
    return 0;
}
int cuOccupancyMaxPotentialBlockSize(int *grid, int *block, Function *, void *, size_t, int) {
    *grid = 264;
    *block = 256;
    return 0;
}
int cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   Address stream, void **params, void **) {
    if (gx > 2147483647u || gy > 65535 || gz > 65535 || !gx || !gy || !gz) return INVALID_VALUE;
    if (bx > 1024 || by > 1024 || bz > 64 || bx * by * bz > 1024 || !bx || !by || !bz) return INVALID_VALUE;
    if ((int)shared > f->shared_limit) return INVALID_VALUE;
    ++counts[KERNELS];
    ++launches[f->name];
    EmuLaunch probe = {};
    f->entry(&probe);
    std::vector<size_t> offsets;    // of the arguments in a copy, because the caller may change them after the launch
    std::string held;
    for (int i = 0; probe.sizes[i] >= 0; ++i) {
        held.resize((held.size() + 15) / 16 * 16);
        offsets.push_back(held.size());
        held.append((char *)params[i], probe.sizes[i]);
    }
    return enqueue(stream, [=]() mutable {
        std::vector<void *> arguments;
        for (size_t offset : offsets) arguments.push_back((void *)(held.data() + offset));
        arguments.push_back(0);
        std::vector<char> memory(shared + 64, (char)0xff);    // NaN
        char *aligned = (char *)(((Address)memory.data() + 63) / 64 * 64);
        EmuLaunch launch = {{gx, gy, gz}, {bx, by, bz}, arguments.data(), aligned, settings.order, settings.fold, 0, 0};
        f->entry(&launch);
        if (!launch.deadlock) return 0;
        fprintf(stderr, "kernel %s: threads of a block wait for each other for ever\n", f->name.c_str());
        return (int)LAUNCH_FAILURE;
    });
}
int cuLaunchCooperativeKernel(Function *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Address,
                              void **) {
    return NOT_SUPPORTED;
}
}
