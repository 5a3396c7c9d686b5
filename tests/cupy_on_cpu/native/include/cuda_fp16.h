// The 16-bit types: what CuPy's headers and simple kernels use of NVIDIA's. Each operation is computed in float32 and rounded
#pragma once
#define EMU_SHORT(NAME, RAW, FROM, TO)                         \
    struct RAW { unsigned short x; };                          \
    struct NAME {                                              \
        unsigned short bits;                                   \
        NAME() = default;                                      \
        NAME(const RAW &r) : bits(r.x) {}                      \
        NAME(float f) : bits(FROM(f)) {}                       \
        NAME(double f) : bits(FROM(f)) {}                      \
        NAME(int f) : bits(FROM(f)) {}                         \
        NAME(unsigned f) : bits(FROM(f)) {}                    \
        NAME(long long f) : bits(FROM(f)) {}                   \
        NAME(unsigned long long f) : bits(FROM(f)) {}          \
        NAME(bool f) : bits(FROM(f)) {}                        \
        operator float() const { return TO(bits); }            \
        operator RAW() const { return {bits}; }                \
    };                                                         \
    inline bool __hisnan(NAME x) { return isnan(float(x)); }   \
    inline bool __hisinf(NAME x) { return isinf(float(x)); }
EMU_SHORT(__half, __half_raw, __float2half_rn, __half2float)
typedef __half half;
inline float __half2float(__half h) { return h; }
inline __half __float2half(float f) { return f; }
inline unsigned short __half_as_ushort(__half h) { return h.bits; }
inline __half __ushort_as_half(unsigned short b) { return __half_raw{b}; }
inline __half operator-(__half a) { return -float(a); }
struct __half2 { __half x, y; };
typedef __half2 half2;
inline __half2 __floats2half2_rn(float a, float b) { return {a, b}; }
inline float2 __half22float2(__half2 h) { return {h.x, h.y}; }
inline float __low2float(__half2 h) { return h.x; }
inline float __high2float(__half2 h) { return h.y; }
