// cuRAND over this CPU: the functions that CuPy takes by name from libcurand.so.10. Every generator is Philox 4x32-10
// (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), whichever was asked for.
#include "device.h"
#include <math.h>
#include <string.h>

using namespace emulated;

enum { LENGTH_NOT_MULTIPLE = 105, LAUNCH_FAILED = 201 };    // curandStatus_t

struct Rand {
    unsigned long long seed = 0, offset = 0;
    Address stream = 0;
};
static void philox(unsigned long long seed, unsigned long long block, unsigned out[4]) {
    unsigned c[4] = {(unsigned)block, (unsigned)(block >> 32), 0, 0}, k[2] = {(unsigned)seed, (unsigned)(seed >> 32)};
    for (int r = 0; r < 10; ++r) {
        unsigned long long a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        unsigned n[4] = {(unsigned)(b >> 32) ^ c[1] ^ k[0], (unsigned)b, (unsigned)(a >> 32) ^ c[3] ^ k[1], (unsigned)a};
        memcpy(c, n, sizeof c);
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    memcpy(out, c, sizeof c);
}
static unsigned draw(unsigned long long seed, unsigned long long i) {
    unsigned o[4];
    philox(seed, i / 4, o);
    return o[i % 4];
}
// Fill n numbers with f(seed, position of the first random word for this number, index of the number)
template <class F>
static int generate(Rand *g, const void *to, size_t n, int words, F f) {
    if (n && !on_device((Address)to, 1)) return LAUNCH_FAILED;
    unsigned long long seed = g->seed, first = g->offset;
    g->offset += n * words;
    ++counts[KERNELS];
    ++launches["cuRAND"];
    int status = enqueue(g->stream, [=] {
        for (size_t i = 0; i < n; ++i) f(seed, first + i * words, i);
        return 0;
    });
    return status ? LAUNCH_FAILED : 0;
}
static double unit(unsigned long long s, unsigned long long i) { return (draw(s, i) + 1.0) / 4294967296.0; }    // (0, 1]
static double gauss(unsigned long long s, unsigned long long i) {
    unsigned long long p = i & ~1ull;
    double r = sqrt(-2 * log(unit(s, p))), t = 2 * M_PI * unit(s, p + 1);
    return i & 1 ? r * sin(t) : r * cos(t);
}
extern "C" {
int curandCreateGenerator(Rand **g, int) {
    *g = new Rand;
    return 0;
}
int curandDestroyGenerator(Rand *g) {
    drain_all();
    delete g;
    return 0;
}
int curandGetVersion(int *v) {
    *v = 10400;
    return 0;
}
int curandSetStream(Rand *g, Address s) {
    g->stream = s;
    return 0;
}
int curandSetPseudoRandomGeneratorSeed(Rand *g, unsigned long long s) {
    g->seed = s;
    g->offset = 0;
    return 0;
}
int curandSetGeneratorOffset(Rand *g, unsigned long long o) {
    g->offset = o;
    return 0;
}
int curandSetGeneratorOrdering(Rand *, int) { return 0; }
int curandGenerate(Rand *g, unsigned *p, size_t n) {
    return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = draw(s, at); });
}
int curandGenerateLongLong(Rand *g, unsigned long long *p, size_t n) {
    return generate(g, p, n, 2,
                    [p](auto s, auto at, size_t i) { p[i] = (unsigned long long)draw(s, at) << 32 | draw(s, at + 1); });
}
int curandGenerateUniform(Rand *g, float *p, size_t n) {
    return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = unit(s, at); });
}
int curandGenerateUniformDouble(Rand *g, double *p, size_t n) {
    return generate(g, p, n, 1, [p](auto s, auto at, size_t i) { p[i] = unit(s, at); });
}
int curandGenerateNormal(Rand *g, float *p, size_t n, float m, float d) {
    if (n & 1) return LENGTH_NOT_MULTIPLE;
    return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = m + d * gauss(s, at); });
}
int curandGenerateNormalDouble(Rand *g, double *p, size_t n, double m, double d) {
    if (n & 1) return LENGTH_NOT_MULTIPLE;
    return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = m + d * gauss(s, at); });
}
int curandGenerateLogNormal(Rand *g, float *p, size_t n, float m, float d) {
    if (n & 1) return LENGTH_NOT_MULTIPLE;
    return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = exp(m + d * gauss(s, at)); });
}
int curandGenerateLogNormalDouble(Rand *g, double *p, size_t n, double m, double d) {
    if (n & 1) return LENGTH_NOT_MULTIPLE;
    return generate(g, p, n, 1, [=](auto s, auto at, size_t i) { p[i] = exp(m + d * gauss(s, at)); });
}
int curandGeneratePoisson(Rand *, unsigned *, size_t, double) { return LAUNCH_FAILED; }
}
