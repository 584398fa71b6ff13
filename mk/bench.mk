ENGINE_BENCH := $(B)/engine_bench
BENCH_VENV := build/bench-venv

$(ENGINE_BENCH): tests/bench/engine_bench.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)
$(B)/engine_layers: tests/bench/engine_layers.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: bench-layers
bench-layers: model $(B)/engine_layers ## each layer's time and GFLOP/s on one thread; ISA=avx512 SIZE=224
	$(Q)$(B)/engine_layers $(MODEL) $(or $(ISA),avx512) $(or $(SIZE),224) 300
