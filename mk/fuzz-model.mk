# The ONNX reader under libFuzzer (clang), with the small networks of tests/data/onnx as seeds.

FUZZ_MODEL := build/fuzz/fuzz_model
MINUTES ?= 5

$(FUZZ_MODEL): tests/fuzz/fuzz_model.c $(wildcard core/graph/*.[ch] core/graph/general/*.[ch] core/base/*.[ch]) $(generated)
	@mkdir -p $(@D)
	$(Q)clang -std=c11 -D_GNU_SOURCE -O1 -g -pthread -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-I. -I$(B)/gen $(package_cflags) $(LDFLAGS) -o $@ $< $(wildcard core/graph/*.c core/graph/general/*.c core/base/*.c) $(generated) \
		$(package_libs)

.PHONY: fuzz-model
fuzz-model: $(FUZZ_MODEL) ## fuzz the model reader for MINUTES=5 (needs clang)
	@mkdir -p build/fuzz/model
	$(FUZZ_MODEL) -max_total_time=$$(( $(MINUTES) * 60 )) -max_len=8192 -rss_limit_mb=1024 -timeout=10 \
		-artifact_prefix=build/fuzz/ -print_final_stats=1 build/fuzz/model tests/data/onnx tests/fuzz/corpus/model
