/* The reference kernels, by name: slots of kernel_table (core/kernels/kernels.h). */
#ifndef INFOMASK_KERNELS_REF_H
#define INFOMASK_KERNELS_REF_H

#include "core/kernels/kernels.h"

enum infomask_status ref_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                              struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status ref_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
size_t ref_operand_bytes(int k, int n);
void ref_scale_inputs(const struct kernel_weights *weights, const float *factor, struct kernel_weights *scaled,
                      void *memory);
void ref_pack_operand(struct kernel_weights *weights, const struct kernel_operand *operand, void *memory);
void ref_gemm(const struct kernel_gemm *gemm);
size_t ref_gemm_scratch(const struct kernel_gemm *gemm);
void ref_winograd_input(const struct kernel_winograd *winograd);
void ref_winograd_output(const struct kernel_winograd *winograd);
void ref_sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
               const float *b, int ldb, float beta, float *c, int ldc);
uint32_t ref_patch_distance(const uint8_t *a, const uint8_t *b, ptrdiff_t row, const uint8_t *counts, uint32_t stop);
void ref_patch_votes(const uint8_t *pixels, const uint32_t *field, const float *weight, size_t at, size_t row,
                     int first, int last, float sum[5]);

#endif
