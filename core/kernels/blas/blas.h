/* The portable kernels, by name: OpenBLAS for the products, loops that compilers vectorise for the rest. */
#ifndef INFOMASK_KERNELS_BLAS_H
#define INFOMASK_KERNELS_BLAS_H

#include "core/kernels/kernels.h"

enum infomask_status blas_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                               struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status blas_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
size_t blas_operand_bytes(int k, int n);
void blas_pack_operand(struct kernel_weights *weights, const struct kernel_operand *operand, void *memory);
void blas_gemm(const struct kernel_gemm *gemm);
size_t blas_gemm_scratch(const struct kernel_gemm *gemm);
void blas_sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                const float *b, int ldb, float beta, float *c, int ldc);

void blas_depthwise(const struct kernel_depthwise *depthwise);
void blas_max_pool(const struct kernel_pool *pool);
void blas_average_pool(const struct kernel_pool *pool);
void blas_global_average(const float *x, size_t pixels, int c, float *y, int c0, int c1);

void blas_add(const float *a, const float *b, float *y, size_t n, const struct kernel_epilogue *epilogue);
void blas_mul(const float *a, const float *b, float *y, size_t n);
void blas_scale_shift(const float *x, const float *scale, const float *shift, float *y, size_t pixels, int c,
                      const struct kernel_epilogue *epilogue);
void blas_activate(const float *x, float *y, size_t n, const struct kernel_epilogue *epilogue);
void blas_transpose(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row, size_t rows, size_t columns);
void blas_softmax(const float *x, float *y, size_t rows, size_t n);

#endif
