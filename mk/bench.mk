ENGINE_BENCH := $(B)/engine_bench
BENCH_VENV := build/bench-venv

$(ENGINE_BENCH): tests/bench/engine_bench.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)
