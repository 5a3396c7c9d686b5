// CUDA C++ for g++. This file is included before each kernel's source, which then compiles as C++ and runs on one CPU thread
#pragma once
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <initializer_list>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ __attribute__((used))
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __CUDA_ARCH__ 900
#define __CUDACC_VER_MAJOR__ 13
#define CUPY_ON_CPU 1

#define EMU_VECTOR(T, N)                                                       \
    struct T##1 { N x; };                                                      \
    struct alignas(2 * sizeof(N)) T##2 { N x, y; };                            \
    struct T##3 { N x, y, z; };                                                \
    struct alignas(sizeof(N) > 4 ? 16 : 4 * sizeof(N)) T##4 { N x, y, z, w; }; \
    inline T##2 make_##T##2(N x, N y) { return {x, y}; }                       \
    inline T##3 make_##T##3(N x, N y, N z) { return {x, y, z}; }               \
    inline T##4 make_##T##4(N x, N y, N z, N w) { return {x, y, z, w}; }
typedef unsigned char emu_uchar; typedef unsigned short emu_ushort; typedef unsigned int emu_uint;
typedef long long emu_longlong; typedef unsigned long long emu_ulonglong;
EMU_VECTOR(char, signed char) EMU_VECTOR(uchar, emu_uchar) EMU_VECTOR(short, short) EMU_VECTOR(ushort, emu_ushort)
EMU_VECTOR(int, int) EMU_VECTOR(uint, emu_uint) EMU_VECTOR(longlong, emu_longlong) EMU_VECTOR(ulonglong, emu_ulonglong)
EMU_VECTOR(float, float) EMU_VECTOR(double, double)
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;
static char *emu_shared;    // dynamic shared memory of the running block

#include "arithmetic.h"
#include "threads.h"
