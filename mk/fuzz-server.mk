# The daemon under libFuzzer (clang): whole, over a local socket; forms; targets and their parameters.  And all corpora
# and past findings, of every target, run again without a fuzzer by `make test`.

fuzz_server := build/fuzz-server
# (the kernels, which read nothing that comes from outside, as they are: it takes many minutes to build them so)
fuzz_server_flags = $(filter-out -fPIE -MMD -MP -D_FORTIFY_SOURCE=2,$(CFLAGS_ALL)) $(call file_flags,$(1)) -O1 -U_FORTIFY_SOURCE \
	$(if $(filter core/kernels/%,$(1)),,-fno-sanitize-recover=all -fsanitize=fuzzer-no-link$(comma)address$(comma)undefined)
fuzz_server_objects = $(patsubst %.c,$(fuzz_server)/obj/%.o,$(server_sources) $(app_sources) $(core_sources)) \
	$(patsubst $(B)/gen/%.c,$(fuzz_server)/obj/gen/%.o,$(generated))
FUZZ_SERVER := handler multipart query
MINUTES ?= 5

$(fuzz_server)/obj/%.o: %.c | $(generated)
	@mkdir -p $(@D)
	$(Q)clang $(call fuzz_server_flags,$<) -MMD -MP -c -o $@ $<
$(fuzz_server)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)clang $(call fuzz_server_flags,$<) -w -c -o $@ $<
$(fuzz_server)/libserver.a: $(fuzz_server_objects)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(patsubst %,$(fuzz_server)/fuzz_%,$(FUZZ_SERVER)): $(fuzz_server)/fuzz_%: $(fuzz_server)/obj/tests/fuzz/fuzz_%.o $(fuzz_server)/libserver.a
	$(Q)clang -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(package_libs)
-include $(wildcard $(addprefix $(fuzz_server)/obj/,*/*.d */*/*.d */*/*/*.d))

.PHONY: $(addprefix fuzz-,$(FUZZ_SERVER))
fuzz-handler: ## fuzz the whole daemon over a local socket for MINUTES=5 (needs clang)
fuzz-multipart: ## fuzz the reader of forms for MINUTES=5 (needs clang)
fuzz-query: ## fuzz targets, headers and parameters for MINUTES=5 (needs clang)
$(addprefix fuzz-,$(FUZZ_SERVER)): fuzz-%: $(fuzz_server)/fuzz_%
	@mkdir -p $(fuzz_server)/$*
	$< -max_total_time=$$(( $(MINUTES) * 60 )) -max_len=8192 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
		-dict=tests/fuzz/http.dict -artifact_prefix=$(fuzz_server)/ $(fuzz_server)/$* tests/fuzz/corpus/$*

.PHONY: fuzz
fuzz: ## every fuzz target for MINUTES=10, one after the other
	@for target in image model json config labels handler multipart query; do \
		$(MAKE) --no-print-directory fuzz-$$target MINUTES=$(or $(MINUTES),10) || exit 1; done

# ---- Replay ---------------------------------------------------------------------------------------------------------

FUZZ_ALL := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_seeds_image := tests/data/images
fuzz_seeds_model := tests/data/onnx

$(B)/fuzz/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(LIB) $(SERVER_LIB) $(APP_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< tests/fuzz/replay.c $(SERVER_LIB) $(APP_LIB) $(LIB) $(package_libs)

.PRECIOUS: $(B)/fuzz/replay_% $(fuzz_server)/obj/%.o
test-all: fuzz-replay
.PHONY: fuzz-replay
fuzz-replay: $(addprefix fuzz-replay-,$(FUZZ_ALL)) ## run the corpora and past findings of all fuzz targets, without a fuzzer
.PHONY: $(addprefix fuzz-replay-,$(FUZZ_ALL))
$(addprefix fuzz-replay-,$(FUZZ_ALL)): fuzz-replay-%: $(B)/fuzz/replay_%
	$(Q)$< $(wildcard tests/fuzz/corpus/$*) $(fuzz_seeds_$*)
