// The functions of CUDA C++ for one thread: arithmetic, conversions, bits, memory, atomics. Fast intrinsics are exact here
#pragma once
#include <math.h>
#include <string.h>

#define EMU_MINMAX(T) inline T min(T a, T b) { return b < a ? b : a; } inline T max(T a, T b) { return a < b ? b : a; }
EMU_MINMAX(int) EMU_MINMAX(unsigned) EMU_MINMAX(long) EMU_MINMAX(unsigned long) EMU_MINMAX(long long)
EMU_MINMAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double max(double a, float b) { return fmax(a, b); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline float rcbrtf(float x) { return 1 / cbrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0), 1); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
// never part of a fused multiply-add, unlike + and *
template <class T> inline T emu_rounded(T x) {
    asm("" : "+x"(x));
    return x;
}
inline float __fadd_rn(float a, float b) { return emu_rounded(a) + emu_rounded(b); }
inline float __fsub_rn(float a, float b) { return emu_rounded(a) - emu_rounded(b); }
inline float __fmul_rn(float a, float b) { return emu_rounded(a * b); }
inline double __dadd_rn(double a, double b) { return emu_rounded(a) + emu_rounded(b); }
inline double __dsub_rn(double a, double b) { return emu_rounded(a) - emu_rounded(b); }
inline double __dmul_rn(double a, double b) { return emu_rounded(a * b); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frsqrt_rn(float x) { return 1 / sqrtf(x); }
inline double sinpi(double x) { return sin(M_PI * x); }
inline double cospi(double x) { return cos(M_PI * x); }
inline float sinpif(float x) { return sinpi(x); }
inline float cospif(float x) { return cospi(x); }
inline double normcdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
inline float normcdff(float x) { return normcdf(x); }
inline double erfinv(double y) {    // Newton's method from an approximation (Winitzki 2008)
    if (!(y > -1 && y < 1)) return y == 1 ? INFINITY : y == -1 ? -INFINITY : NAN;
    double w = -log((1 - y) * (1 + y)), a = 0.147, t = 2 / (M_PI * a) - w / 2, x = copysign(sqrt(sqrt(t * t + w / a) - t), y);
    for (int i = 0; i < 4; ++i) x -= (erf(x) - y) / (M_2_SQRTPI * exp(-x * x));
    return x;
}
inline float erfinvf(float x) { return erfinv(x); }
inline double erfcinv(double x) { return erfinv(1 - x); }
inline double normcdfinv(double x) { return M_SQRT2 * erfinv(2 * x - 1); }
template <class To, class From> inline To emu_bits(From x) {
    To y;
    static_assert(sizeof x == sizeof y, "");
    memcpy(&y, &x, sizeof y);
    return y;
}
inline int __float_as_int(float x) { return emu_bits<int>(x); }
inline float __int_as_float(int x) { return emu_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }
inline int __float2int_rn(float x) { return nearbyintf(x); }
inline int __float2int_rz(float x) { return x; }
inline int __float2int_rd(float x) { return floorf(x); }
inline int __float2int_ru(float x) { return ceilf(x); }
inline float __int2float_rn(int x) { return x; }
inline float __uint2float_rn(unsigned x) { return x; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline int __mul24(int a, int b) { return a * b; }
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) {
    return s & 31 ? hi << (s & 31) | lo >> (32 - (s & 31)) : hi;
}
template <class T> inline T __ldg(const T *p) { return *p; }
template <class T> inline T __ldcs(const T *p) { return *p; }
template <class T> inline T __ldcg(const T *p) { return *p; }
template <class T> inline void __stcs(T *p, T x) { *p = x; }
inline float __half2float(unsigned short h) {
    unsigned sign = (h & 0x8000u) << 16, e = h >> 10 & 31, m = h & 1023;
    if (e == 31) return emu_bits<float>(sign | 0x7f800000u | m << 13);
    if (e) return emu_bits<float>(sign | (e + 112) << 23 | m << 13);
    return emu_bits<float>(sign | emu_bits<unsigned>(ldexpf(m, -24)));
}
inline unsigned short __float2half_rn(float f) {
    unsigned x = emu_bits<unsigned>(f), sign = x >> 16 & 0x8000, a = x & 0x7fffffff;
    if (a > 0x7f800000) return sign | 0x7e00;
    if (a >= 0x47800000 || a >= 0x477ff000) return sign | 0x7c00;
    if (a < 0x38800000) return sign | (unsigned)nearbyintf(ldexpf(emu_bits<float>(a), 24));
    unsigned r = a + 0xfff + (a >> 13 & 1);
    return sign | ((r - 0x38000000) >> 13);
}
template <class T> inline T atomicAdd(T *p, T v) { T old = *p; *p = old + v; return old; }
template <class T> inline T atomicSub(T *p, T v) { T old = *p; *p = old - v; return old; }
template <class T> inline T atomicExch(T *p, T v) { T old = *p; *p = v; return old; }
template <class T> inline T atomicMin(T *p, T v) { T old = *p; if (v < old) *p = v; return old; }
template <class T> inline T atomicMax(T *p, T v) { T old = *p; if (old < v) *p = v; return old; }
template <class T> inline T atomicAnd(T *p, T v) { T old = *p; *p = old & v; return old; }
template <class T> inline T atomicOr(T *p, T v) { T old = *p; *p = old | v; return old; }
template <class T> inline T atomicXor(T *p, T v) { T old = *p; *p = old ^ v; return old; }
template <class T> inline T atomicCAS(T *p, T cmp, T v) { T old = *p; if (old == cmp) *p = v; return old; }
inline void __threadfence() {} inline void __threadfence_block() {} inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline long long clock64() { return 0; }
inline int clock() { return 0; }
