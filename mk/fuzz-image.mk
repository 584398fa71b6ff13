# The fuzzer of the image room: clang's libFuzzer with the address and undefined-behaviour sanitizers.

fuzz_image_dir := build/fuzz-image
fuzz_image_flags = $(filter-out -fPIE -MMD -MP -D_FORTIFY_SOURCE=2,$(CFLAGS_ALL)) -O1 -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -U_FORTIFY_SOURCE
fuzz_image_sources := tests/fuzz/fuzz_image.c core/base/arena.c core/base/cpu.c core/base/pool.c core/base/status.c \
	$(filter core/image/%,$(core_sources))

$(fuzz_image_dir)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)clang $(fuzz_image_flags) -MMD -MP $(call file_flags,$<) -c -o $@ $<
$(fuzz_image_dir)/fuzz: $(patsubst %.c,$(fuzz_image_dir)/obj/%.o,$(fuzz_image_sources))
	$(Q)clang -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(package_libs)
-include $(wildcard $(fuzz_image_dir)/obj/*/*/*.d $(fuzz_image_dir)/obj/*/*/*/*.d)

.PHONY: fuzz-image
fuzz-image: $(fuzz_image_dir)/fuzz ## fuzz the image decoders (needs clang); MINUTES=1
	@mkdir -p $(fuzz_image_dir)/corpus
	$(Q)$< -max_total_time=$$(( $(or $(MINUTES),1) * 60 )) -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
		-artifact_prefix=$(fuzz_image_dir)/ $(fuzz_image_dir)/corpus tests/data/images
