# Fuzzing by clang's libFuzzer under AddressSanitizer and UBSan, one target a reader of what comes from outside; and all
# corpora and past findings run again, without a fuzzer, by `make test`.

MINUTES ?= 5
FUZZ_TARGETS := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_seeds_image := tests/data/images
fuzz_seeds_model := tests/data/onnx tests/data/nets
# how long one input may take, in seconds, and its longest
fuzz_options_handler := -timeout=60 -dict=tests/fuzz/http.dict
fuzz_options_image := -max_len=16384
fuzz_options_query := -dict=tests/fuzz/http.dict
fuzz_options_multipart := -dict=tests/fuzz/http.dict

# The whole project in a build of its own.  The kernels, which read nothing that comes from outside, as they are: it
# takes many minutes to build them so.
fuzz_build := build/fuzz
fuzz_flags = $(filter-out -fPIE -MMD -MP -D_FORTIFY_SOURCE=2,$(CFLAGS_ALL)) $(call file_flags,$(1)) -O1 -U_FORTIFY_SOURCE \
	$(if $(filter core/kernels/%,$(1)),,-fno-sanitize-recover=all -fsanitize=fuzzer-no-link$(comma)address$(comma)undefined)
fuzz_objects = $(patsubst %.c,$(fuzz_build)/obj/%.o,$(server_sources) $(app_sources) $(core_sources)) \
	$(patsubst $(B)/gen/%.c,$(fuzz_build)/obj/gen/%.o,$(generated))

$(fuzz_build)/obj/%.o: %.c | $(generated)
	@mkdir -p $(@D)
	$(Q)clang $(call fuzz_flags,$<) -MMD -MP -c -o $@ $<
$(fuzz_build)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)clang $(call fuzz_flags,$<) -w -c -o $@ $<
$(fuzz_build)/libinfomask.a: $(fuzz_objects)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(fuzz_build)/fuzz_%: $(fuzz_build)/obj/tests/fuzz/fuzz_%.o $(fuzz_build)/libinfomask.a
	$(Q)clang -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(package_libs)
$(fuzz_build)/obj/server/web/web.o: $(web_parts)
$(fuzz_build)/obj/server/openapi/openapi.o: server/openapi/schemas.json
-include $(wildcard $(addprefix $(fuzz_build)/obj/,*/*.d */*/*.d */*/*/*.d))

.PHONY: fuzz
fuzz: $(addprefix fuzz-,$(FUZZ_TARGETS)) ## every fuzz target for MINUTES=5, one after the other (needs clang)

.PHONY: $(addprefix fuzz-,$(FUZZ_TARGETS))
fuzz-config: ## fuzz the reader of settings
fuzz-handler: ## fuzz the whole daemon over a local socket
fuzz-image: ## fuzz the image decoders
fuzz-json: ## fuzz the JSON reader
fuzz-labels: ## fuzz the reader of labels
fuzz-model: ## fuzz the model reader
fuzz-multipart: ## fuzz the reader of forms
fuzz-query: ## fuzz targets, headers and parameters
$(addprefix fuzz-,$(FUZZ_TARGETS)): fuzz-%: $(fuzz_build)/fuzz_%
	@mkdir -p $(fuzz_build)/$*
	$(Q)$< -max_total_time=$$(( $(MINUTES) * 60 )) -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		$(fuzz_options_$*) -artifact_prefix=$(fuzz_build)/ $(fuzz_build)/$* $(wildcard tests/fuzz/corpus/$*) $(fuzz_seeds_$*)

# ---- Replay --------------------------------------------------------------------------------------------------------------

$(B)/fuzz/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(LIB) $(SERVER_LIB) $(APP_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< tests/fuzz/replay.c $(SERVER_LIB) $(APP_LIB) $(LIB) $(package_libs)

fuzz_replays := $(addprefix $(B)/fuzz/replay_,$(FUZZ_TARGETS))
.PHONY: fuzz-replay
fuzz-replay: $(addprefix fuzz-replay-,$(FUZZ_TARGETS)) ## run the corpora and past findings of all fuzz targets, without a fuzzer
.PHONY: $(addprefix fuzz-replay-,$(FUZZ_TARGETS))
$(addprefix fuzz-replay-,$(FUZZ_TARGETS)): fuzz-replay-%: $(B)/fuzz/replay_%
	$(Q)$< $(wildcard tests/fuzz/corpus/$*) $(fuzz_seeds_$*)
.PRECIOUS: $(fuzz_replays) $(fuzz_build)/obj/%.o
