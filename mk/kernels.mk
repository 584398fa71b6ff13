KERNELS_BENCH := $(B)/kernels_bench

$(KERNELS_BENCH): tests/bench/kernels.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: bench-kernels
bench-kernels: $(KERNELS_BENCH) ## speed of the compute kernels and their share of the peak; ISA=avx2 for another set
	$(Q)$(KERNELS_BENCH) $(ISA)

# objects whose loops hold vector sums in registers; what an instruction set's folder builds, if it is built here
spill_objects := $(filter $(B)/obj/core/kernels/avx2/gemm.o $(B)/obj/core/kernels/avx512/tiles_%.o \
	$(B)/obj/core/kernels/%/depthwise.o,$(core_objects))

.PHONY: check-spills
check-spills: $(LIB) ## no inner loop of the compiled kernels may spill vector registers
	$(Q)$(if $(DEBUG)$(SAN),echo "spills: only in release builds",tests/bench/spills.sh $(spill_objects))
