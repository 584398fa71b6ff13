# What is read from text, under libFuzzer (clang): JSON, settings, labels.

FUZZ_TEXT := json config labels
MINUTES ?= 5
fuzz_text_sources := $(wildcard app/json/*.c) app/settings/config.c app/settings/files.c app/model/labels.c core/base/status.c

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(fuzz_text_sources) $(wildcard app/*/*.h)
	@mkdir -p $(@D)
	$(Q)clang -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-I. $(package_cflags) $(LDFLAGS) -o $@ $< $(fuzz_text_sources) $(package_libs)

.PHONY: $(addprefix fuzz-,$(FUZZ_TEXT))
fuzz-json: build/fuzz/fuzz_json ## fuzz the JSON reader for MINUTES=5 (needs clang)
fuzz-config: build/fuzz/fuzz_config ## fuzz the reader of settings for MINUTES=5 (needs clang)
fuzz-labels: build/fuzz/fuzz_labels ## fuzz the reader of labels for MINUTES=5 (needs clang)
$(addprefix fuzz-,$(FUZZ_TEXT)): fuzz-%:
	@mkdir -p build/fuzz/$*
	build/fuzz/fuzz_$* -max_total_time=$$(( $(MINUTES) * 60 )) -max_len=4096 -timeout=10 -artifact_prefix=build/fuzz/ \
		-print_final_stats=1 build/fuzz/$* $(wildcard tests/fuzz/corpus/$*)
