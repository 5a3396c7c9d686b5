// cuBLAS over this CPU: the functions that CuPy takes by name from libcublas.so.13, by NumPy's OpenBLAS. With TF32 the inputs
// are rounded to 10 bits of mantissa; 16-bit types are computed in float32.
#include "device.h"
#include <string.h>
#include <algorithm>

using namespace emulated;

enum { ARGUMENT = 7, EXECUTION_FAILED = 14, UNSUPPORTED = 15 };                                        // cublasStatus_t
enum { R32 = 0, R64 = 1, R16 = 2, BF16 = 14 };                                                         // cudaDataType_t
enum { COMPUTE_16F = 64, COMPUTE_64F = 70, COMPUTE_64F_PEDANTIC = 71, COMPUTE_32F_FAST_TF32 = 77 };    // cublasComputeType_t
enum { TF32_TENSOR_OP_MATH = 3 };                                                                      // cublasMath_t
enum { COLUMN_MAJOR = 102, PLAIN = 111, TRANSPOSED = 112 };                                            // CBLAS

static void (*sgemm)(int, int, int, Address, Address, Address, float, const float *, Address, const float *, Address, float,
                     float *, Address);
static void (*dgemm)(int, int, int, Address, Address, Address, double, const double *, Address, const double *, Address,
                     double, double *, Address);
extern "C" void emu_setup_blas(void *s, void *d) {
    sgemm = (decltype(sgemm))s;
    dgemm = (decltype(dgemm))d;
}

struct Blas {
    Address stream = 0;
    int math = 0, pointers = 0;
};
static float from_half(unsigned short h) {
    _Float16 x;
    memcpy(&x, &h, 2);
    return x;
}
static unsigned short to_half(float f) {
    _Float16 x = f;
    unsigned short h;
    memcpy(&h, &x, 2);
    return h;
}
static float from_bits(unsigned x) {
    float f;
    memcpy(&f, &x, 4);
    return f;
}
static unsigned bits(float f) {
    unsigned x;
    memcpy(&x, &f, 4);
    return x;
}
static float tf32(float f) {    // rounded to the nearest, ties away from zero
    unsigned x = bits(f);
    if ((x & 0x7f800000) == 0x7f800000) return f;
    return from_bits((x + 0x1000) & 0xffffe000);
}
static float element(const void *p, size_t i, int type) {
    return type == R32   ? ((float *)p)[i]
           : type == R16 ? from_half(((unsigned short *)p)[i])
                         : from_bits(((unsigned short *)p)[i] << 16);
}
// A matrix without gaps between its columns
static std::vector<float> floats(const void *p, int type, int rows, int columns, int ld, bool rounded) {
    std::vector<float> out((size_t)rows * columns);
    for (int c = 0; c < columns; ++c)
        for (int r = 0; r < rows; ++r) {
            float x = element(p, (size_t)c * ld + r, type);
            out[(size_t)c * rows + r] = rounded ? tf32(x) : x;
        }
    return out;
}
static int product(int ta, int tb, int m, int n, int k, double alpha, const void *A, int at, int lda, const void *B, int bt,
                   int ldb, double beta, void *C, int ct, int ldc, bool rounded) {
    if (m < 0 || n < 0 || k < 0 || lda < std::max(1, ta ? k : m) || ldb < std::max(1, tb ? n : k) || ldc < std::max(1, m))
        return ARGUMENT;
    if (!m || !n) return 0;
    int TA = ta ? TRANSPOSED : PLAIN, TB = tb ? TRANSPOSED : PLAIN;
    if (at == R64) {
        if (bt != R64 || ct != R64) return UNSUPPORTED;
        dgemm(COLUMN_MAJOR, TA, TB, m, n, k, alpha, (double *)A, lda, (double *)B, ldb, beta, (double *)C, ldc);
        return 0;
    }
    if (at == R32 && bt == R32 && ct == R32 && !rounded) {
        sgemm(COLUMN_MAJOR, TA, TB, m, n, k, alpha, (float *)A, lda, (float *)B, ldb, beta, (float *)C, ldc);
        return 0;
    }
    for (int t : {at, bt, ct})
        if (t != R32 && t != R16 && t != BF16) return UNSUPPORTED;
    auto a = floats(A, at, ta ? k : m, ta ? m : k, lda, rounded && at == R32),
         b = floats(B, bt, tb ? n : k, tb ? k : n, ldb, rounded && bt == R32);
    auto c = beta ? floats(C, ct, m, n, ldc, false) : std::vector<float>((size_t)m * n);
    sgemm(COLUMN_MAJOR, TA, TB, m, n, k, alpha, a.data(), ta ? k : m, b.data(), tb ? n : k, beta, c.data(), m);
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            float x = c[(size_t)j * m + i];
            size_t to = (size_t)j * ldc + i;
            if (ct == R32) ((float *)C)[to] = x;
            else if (ct == R16) ((unsigned short *)C)[to] = to_half(x);
            else {
                unsigned y = bits(x);
                ((unsigned short *)C)[to] = (y + 0x7fff + (y >> 16 & 1)) >> 16;
            }
        }
    return 0;
}
static bool all_on_device(std::initializer_list<const void *> arrays) {
    for (auto a : arrays)
        if (!on_device((Address)a, 1)) {
            fprintf(stderr, "cuBLAS got an address that is not on the device\n");
            return false;
        }
    return true;
}
static bool is_double(int compute) { return compute == COMPUTE_64F || compute == COMPUTE_64F_PEDANTIC; }
static double scalar(const void *p, bool wide) { return wide ? *(double *)p : *(float *)p; }

extern "C" {
int cublasCreate_v2(Blas **h) {
    *h = new Blas;
    return 0;
}
int cublasDestroy_v2(Blas *h) {
    delete h;
    return 0;
}
int cublasGetVersion_v2(Blas *, int *v) {
    *v = 130000;
    return 0;
}
int cublasSetStream_v2(Blas *h, Address s) {
    h->stream = s;
    return 0;
}
int cublasGetStream_v2(Blas *h, Address *s) {
    *s = h->stream;
    return 0;
}
int cublasSetWorkspace_v2(Blas *, void *, size_t) { return 0; }
int cublasSetMathMode(Blas *h, int m) {
    h->math = m;
    return 0;
}
int cublasGetMathMode(Blas *h, int *m) {
    *m = h->math;
    return 0;
}
int cublasSetPointerMode_v2(Blas *h, int m) {
    h->pointers = m;
    return 0;
}
int cublasGetPointerMode_v2(Blas *h, int *m) {
    *m = h->pointers;
    return 0;
}
static int gemm(Blas *h, int ta, int tb, int m, int n, int k, const void *alpha, const void *A, int at, int lda, long long sa,
                const void *B, int bt, int ldb, long long sb, const void *beta, void *C, int ct, int ldc, long long sc,
                int batch, bool wide, bool rounded) {
    if (h->pointers) return UNSUPPORTED;
    if (m && n && k && !all_on_device({A, B, C})) return EXECUTION_FAILED;
    double al = scalar(alpha, wide), be = scalar(beta, wide);
    ++counts[PRODUCTS];
    rounded = rounded || h->math == TF32_TENSOR_OP_MATH;
    ++launches[at == R64 ? "cuBLAS float64" : rounded ? "cuBLAS TF32" : at == R32 ? "cuBLAS float32" : "cuBLAS 16 bits"];
    auto size = [](int t) { return t == R64 ? 8 : t == R32 ? 4 : 2; };
    return enqueue(h->stream, [=] {
        for (int i = 0; i < batch; ++i) {
            int s = product(ta, tb, m, n, k, al, (char *)A + i * sa * size(at), at, lda, (char *)B + i * sb * size(bt), bt,
                            ldb, be, (char *)C + i * sc * size(ct), ct, ldc, rounded);
            if (s) return s;
        }
        return 0;
    });
}
int cublasSgemm_v2(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int lda, const void *B,
                   int ldb, const float *be, void *C, int ldc) {
    return gemm(h, ta, tb, m, n, k, al, A, R32, lda, 0, B, R32, ldb, 0, be, C, R32, ldc, 0, 1, false, false);
}
int cublasDgemm_v2(Blas *h, int ta, int tb, int m, int n, int k, const double *al, const void *A, int lda, const void *B,
                   int ldb, const double *be, void *C, int ldc) {
    return gemm(h, ta, tb, m, n, k, al, A, R64, lda, 0, B, R64, ldb, 0, be, C, R64, ldc, 0, 1, true, false);
}
int cublasSgemmEx(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int at, int lda, const void *B,
                  int bt, int ldb, const float *be, void *C, int ct, int ldc) {
    return gemm(h, ta, tb, m, n, k, al, A, at, lda, 0, B, bt, ldb, 0, be, C, ct, ldc, 0, 1, false, false);
}
int cublasGemmEx(Blas *h, int ta, int tb, int m, int n, int k, const void *al, const void *A, int at, int lda, const void *B,
                 int bt, int ldb, const void *be, void *C, int ct, int ldc, int compute, int) {
    if (compute == COMPUTE_16F) return UNSUPPORTED;
    return gemm(h, ta, tb, m, n, k, al, A, at, lda, 0, B, bt, ldb, 0, be, C, ct, ldc, 0, 1, is_double(compute),
                compute == COMPUTE_32F_FAST_TF32);
}
int cublasGemmStridedBatchedEx(Blas *h, int ta, int tb, int m, int n, int k, const void *al, const void *A, int at, int lda,
                               long long sa, const void *B, int bt, int ldb, long long sb, const void *be, void *C, int ct,
                               int ldc, long long sc, int batch, int compute, int) {
    if (compute == COMPUTE_16F) return UNSUPPORTED;
    return gemm(h, ta, tb, m, n, k, al, A, at, lda, sa, B, bt, ldb, sb, be, C, ct, ldc, sc, batch, is_double(compute),
                compute == COMPUTE_32F_FAST_TF32);
}
int cublasSgemmStridedBatched(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void *A, int lda,
                              long long sa, const void *B, int ldb, long long sb, const float *be, void *C, int ldc,
                              long long sc, int batch) {
    return gemm(h, ta, tb, m, n, k, al, A, R32, lda, sa, B, R32, ldb, sb, be, C, R32, ldc, sc, batch, false, false);
}
int cublasSgemmBatched(Blas *h, int ta, int tb, int m, int n, int k, const float *al, const void **A, int lda, const void **B,
                       int ldb, const float *be, void **C, int ldc, int batch) {
    float a = *al, b = *be;
    bool rounded = h->math == TF32_TENSOR_OP_MATH;
    ++counts[PRODUCTS];
    ++launches[rounded ? "cuBLAS TF32" : "cuBLAS float32"];
    return enqueue(h->stream, [=] {
        for (int i = 0; i < batch; ++i) {
            int s = product(ta, tb, m, n, k, a, A[i], R32, lda, B[i], R32, ldb, b, C[i], R32, ldc, rounded);
            if (s) return s;
        }
        return 0;
    });
}
}
