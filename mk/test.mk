# Tests: `make test` runs what CI runs; the longer ones have a target each.

# programs of tests and benches: build/MODE/bench/audit from tests/bench/audit.c, and so on
programs := $(patsubst tests/%.c,$(B)/%,$(filter-out tests/load/fail_alloc.c tests/load/tell_heap.c tests/bench/hold_avx2.c,$(wildcard $(addprefix tests/,bench/*.c \
	conformance/*.c load/*.c zoo/*.c))))
$(programs): $(B)/%: tests/%.c $(LIB) $(APP_LIB) $(SERVER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(SERVER_LIB) $(APP_LIB) $(LIB) $(package_libs)

.PHONY: test
test: ## run the whole test suite, set-up included
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(CORES) test-programs
	@$(MAKE) --no-print-directory test-all

# what test-all runs, built on all cores; test-all itself runs one part after the other, for its daemons' sake
.PHONY: test-programs
test-programs: $(BIN) $(unit_tests) $(fuzz_replays) $(MODEL) $(VENV)/.done

.PHONY: test-all
test-all: includes unit fuzz-replay test-network test-cli test-http

.PHONY: includes
includes: ## check who includes whom (the layers of the code), the style, and for functions without callers
	$(Q)$(PYTHON) tests/check_includes.py
	$(Q)$(PYTHON) tests/check_callers.py
	$(Q)$(PYTHON) tests/check_style.py

.PHONY: format
format: ## break the lines that are longer than the style allows (needs clang-format)
	$(Q)sh tools/format.sh

.PHONY: unit
unit: $(unit_tests) $(MODEL) unit-avx2 ## build and run the unit tests only, as many at a time as there are cores
	$(Q)printf '%s\n' $(unit_tests) | EMULATOR='$(EMULATOR)' xargs -P $(CORES) -n 1 sh mk/unit.sh

.PHONY: compare-answers
compare-answers: $(BIN) $(MODEL) ## ask another build, OLD=path, and this one the same 800 requests, and compare the answers byte for byte
	$(Q)$(PYTHON) tools/compare_answers.py $(or $(OLD),$(error OLD=path of the other binary)) $(BIN)

.PHONY: test-network
test-network: $(MODEL) $(B)/tests/engine/test_network ## the default network against golden logits, for every ISA and thread count
	$(Q)INFOMASK_TEST_MODEL=required $(EMULATOR) $(B)/tests/engine/test_network

.PHONY: test-threads
test-threads: $(MODEL) $(B)/tests/engine/test_network ## 300 runs each on 1, 2, 3 and 8 threads, bit for bit
	$(Q)INFOMASK_TEST_MODEL=required INFOMASK_TEST_REPEATS=300 $(B)/tests/engine/test_network

.PHONY: test-cli
test-cli: $(BIN) $(VENV)/.done $(MODEL) ## test the command line
	$(Q)INFOMASK_BIN="$(abspath $(BIN))" $(VENV_PYTHON) -m pytest -q -p no:cacheprovider $(or $(CLI_TESTS),tests/cli)

# ThreadSanitizer sees the locks of libraries through the C library's calls: nothing of it is suppressed.
.PHONY: test-http
test-http: $(BIN) $(MODEL) $(VENV)/.done ## black-box tests of the daemon, also with SAN=thread or SAN=address,undefined
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" $(if $(SAN),INFOMASK_SLOW=1) \
		$(VENV_PYTHON) -m pytest -q -p no:cacheprovider $(or $(HTTP_TESTS),tests/http)

# What outlives a request, the same tests, and those of replicas and outages.
postgres_tests := tests/http/test_postgres.py tests/http/test_postgres_doctor.py tests/http/test_estimates.py tests/http/test_async.py \
	tests/http/test_access.py tests/http/test_operations.py

.PHONY: test-postgres
test-postgres: $(BIN) $(MODEL) $(VENV)/.done ## the tests of state on a PostgreSQL server that they start (make deps-postgres)
	$(Q)INFOMASK_TEST_POSTGRES=1 INFOMASK_BIN="$(CURDIR)/$(BIN)" $(if $(SAN),INFOMASK_SLOW=1) \
		$(VENV_PYTHON) -m pytest -q -p no:cacheprovider $(or $(HTTP_TESTS),$(postgres_tests))

.PHONY: test-readme
test-readme: $(BIN) $(VENV)/.done $(MODEL) ## run the examples of the README, the documents and the tutorials
	$(Q)INFOMASK_BIN="$(abspath $(BIN))" $(VENV_PYTHON) -m pytest -q -p no:cacheprovider tests/http/test_readme.py tests/http/test_tutorials.py

# ---- Beside independent implementations ---------------------------------------------------------------------------------------

MNIST ?= $(wildcard build/data/mnist)

.PHONY: conformance
conformance: $(BIN) $(B)/conformance/steps $(CONFORMANCE_VENV)/.done $(MODEL) ## compare masks with OpenCV, NumPy and onnxruntime, step by step and whole, and score them; MNIST=DIR (after make data: build/data/mnist): digits too
	$(Q)INFOMASK_STEPS="$(abspath $(B)/conformance/steps)" INFOMASK_BIN="$(abspath $(BIN))" MNIST=$(MNIST) \
		$(CONFORMANCE_PYTHON) -m pytest -q -rP -p no:cacheprovider tests/conformance
	@$(MAKE) --no-print-directory scores

.PHONY: canvases
canvases: $(BIN) $(CONFORMANCE_VENV)/.done data ## "filter out all digits 0" on 60 canvases of nine digits (and of sixteen, and large ones), scored
	$(Q)INFOMASK_BIN="$(abspath $(BIN))" MNIST=$(or $(MNIST),build/data/mnist) \
		$(CONFORMANCE_PYTHON) -m pytest -q -rP -p no:cacheprovider tests/conformance/test_digits.py

.PHONY: scores
scores: $(BIN) $(COMPOSITES)/.done ## masks scored on composites of stamps (161 MB, fetched) and photos: the table of docs/masks.md; FAITHFUL=1
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/scores.py $(BIN) $(COMPOSITES) $(if $(FAITHFUL),--faithful)

.PHONY: scores-resnet
scores-resnet: $(BIN) $(COMPOSITES)/.done $(QUANTIZE_PHOTOS)/.done ## masks of a ResNet whose head is trained here, beside the default model's (24 MB more, fetched)
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/resnet.py $(BIN) $(COMPOSITES)/packages/tuxpaint-stamps-default \
		$(COMPOSITES)/packages/mate-backgrounds $(COMPOSITES) $(QUANTIZE_PHOTOS)

.PHONY: removals
removals: $(BIN) $(COMPOSITES)/.done ## how often match and inpaint remove what they should, and what a wrong mask covers (an hour): FIRST=0 LAST=130
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/removals.py $(BIN) $(COMPOSITES) --first $(or $(FIRST),0) --last $(or $(LAST),130)

.PHONY: cutouts
cutouts: $(BIN) $(COMPOSITES)/.done ## how much of a right mask's error the soft alpha of cut-outs leaves, on 40 stamps with soft edges; COUNT=40 SEED=1
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/cutouts.py $(BIN) $(COMPOSITES)/packages/tuxpaint-stamps-default \
		$(COMPOSITES)/packages/mate-backgrounds --count $(or $(COUNT),40) --seed $(or $(SEED),1)

.PHONY: gallery
gallery: $(BIN) $(CONFORMANCE_VENV)/.done $(MODEL) $(if $(PHOTOS),,$(GALLERY)/.done) ## photo, map, mask, overlay and filtered photo of twelve photos (20 MB, fetched) in build/gallery.jpg; PHOTOS="a.jpg b.jpg=CLASS" PAIRS=file
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/gallery.py $(BIN) build/gallery.jpg $(if $(PAIRS),--pairs $(PAIRS)) \
		$(or $(PHOTOS),tests/data/photos/*.??g $(GALLERY)/*.??g)

.PHONY: zoo
zoo: $(B)/zoo/netrun $(ZOO_VENV)/.done ## classifiers of torchvision and timm, both PyTorch exporters, on photos at two sizes, against onnxruntime (hours; 7 GB of packages): build/zoo/survey.tsv; ZOO="tv:resnet18 ..."
	@mkdir -p build/zoo
	$(Q)$(ZOO_VENV)/bin/python tests/zoo/survey.py $(B)/zoo/netrun tests/data/photos build/zoo/survey.tsv $(ZOO)

ONNX_NODES := build/onnx/usr/share/libonnx-testdata/data
NETS ?= 3000
# not installed: unpacked from the distribution's package
$(ONNX_NODES):
	@mkdir -p build/onnx
	@cd build/onnx && apt-get download -q libonnx-testdata && dpkg -x libonnx-testdata_*.deb .

.PHONY: onnx-nodes
onnx-nodes: $(B)/zoo/netrun $(ONNX_VENV)/.done $(ONNX_NODES) ## the ONNX project's own tests of operators: Debian's libonnx-testdata, and the onnx package's; ISA=avx2
	$(Q)$(ONNX_VENV)/bin/python -W ignore tests/zoo/nodes.py $< $(if $(ISA),--isa $(ISA)) --list build/onnx/nodes.txt $(ONNX_NODES)
	$(Q)$(ONNX_VENV)/bin/python -W ignore tests/zoo/nodes.py $< $(if $(ISA),--isa $(ISA)) --list build/onnx/nodes-package.txt package

.PHONY: mutants-models
mutants-models: $(B)/zoo/netrun $(ZOO_VENV)/.done ## N=10000 real exports (small networks of timm and torchvision, both exporters) changed at random, read and run; with SAN=address,undefined
	$(Q)$(ZOO_VENV)/bin/python -W ignore tests/zoo/mutants.py $< build/zoo/mutants --count $(or $(N),10000) --seed $(or $(SEED),1) \
		--seconds $(if $(SAN),10,1)

.PHONY: onnx-nets
onnx-nets: $(B)/zoo/netrun $(ONNX_VENV)/.done ## NETS=3000 random small networks, their weights in five precisions, beside onnxruntime, SEED=1 the first; ISA=avx512,avx2,blas,ref: several tables of kernels
	$(Q)$(ONNX_VENV)/bin/python -W ignore tests/zoo/random_nets.py $< --count $(NETS) --seed $(or $(SEED),1) \
		--isa "$(ISA)" --keep build/onnx/wrong

.PHONY: quantised-nets
quantised-nets: $(B)/zoo/netrun $(ONNX_VENV)/.done ## NETS=3000 random small networks that onnxruntime's own tools have quantised, static and dynamic, beside it, SEED=1 the first; ISA=avx512,avx2
	$(Q)$(ONNX_VENV)/bin/python -W ignore tests/zoo/quantised_nets.py $< --count $(NETS) --seed $(or $(SEED),1) \
		--isa "$(ISA)" --keep build/onnx/wrong 2>/dev/null

.PHONY: torch-nets
torch-nets: $(B)/zoo/netrun $(ZOO_VENV)/.done ## NETS=3000 random small PyTorch modules by both exporters (7 GB of packages), beside onnxruntime, SEED=1 the first; ISA=avx512,avx2,blas,ref; NEW=0.25 the share of the slower exporter
	$(Q)$(ZOO_VENV)/bin/python tests/zoo/torch_nets.py $< --count $(NETS) --seed $(or $(SEED),1) \
		--isa "$(ISA)" $(if $(NEW),--new $(NEW)) --keep build/zoo/wrong

.PHONY: check-gradients
check-gradients: $(B)/bench/train_bench $(TORCH_VENV)/.done ## every layer's gradient beside PyTorch's
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py gradients $<

.PHONY: check-accuracy
check-accuracy: $(BIN) $(TORCH_VENV)/.done data ## the same recipe on MNIST by PyTorch: the same accuracy? LAYERS= EPOCHS=3 SEEDS=4
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py accuracy "$(abspath $(BIN))" build/data/mnist \
		$(or $(LAYERS),linear:256$(comma)relu) $(or $(EPOCHS),3) $(or $(SEEDS),4)

.PHONY: check-exports
check-exports: $(BIN) $(BENCH_VENV)/.done ## what training writes, run by onnxruntime
	$(Q)$(BENCH_VENV)/bin/python -P tests/bench/train_exports.py "$(abspath $(BIN))"

# ---- Clients and browsers that others wrote ------------------------------------------------------------------------------------

PROMTOOL := build/prometheus/usr/bin/promtool
# not installed: unpacked from the distribution's package
$(PROMTOOL):
	@mkdir -p build/prometheus
	@cd build/prometheus && apt-get -q download prometheus >/dev/null && dpkg -x prometheus_*.deb . && rm prometheus_*.deb

# openapi-generator-cli.jar is fetched by mvn, unless GENERATOR_JAR says where it is
CLIENTS_NODE := build/clients-node
GENERATOR_VERSION := 7.14.0
GENERATOR_JAR ?= $(HOME)/.m2/repository/org/openapitools/openapi-generator-cli/$(GENERATOR_VERSION)/openapi-generator-cli-$(GENERATOR_VERSION).jar
$(CLIENTS_NODE)/.done: tests/http/generated.json
	@mkdir -p $(CLIENTS_NODE)
	@cp $< $(CLIENTS_NODE)/package.json
	@cd $(CLIENTS_NODE) && npm install --no-audit --no-fund --silent
	@touch $@
$(GENERATOR_JAR):
	@mvn -q dependency:get -Dartifact=org.openapitools:openapi-generator-cli:$(GENERATOR_VERSION) -Dtransitive=false

.PHONY: clients
clients: $(BIN) $(MODEL) $(CLIENTS_VENV)/.done $(PROMTOOL) clients-generated ## Triton's and KServe's clients, schemathesis, promtool, generated clients; EXAMPLES=15
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" EXAMPLES=$(or $(EXAMPLES),15) \
		$(CLIENTS_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/http/clients.py

.PHONY: clients-generated
clients-generated: $(BIN) $(MODEL) $(GENERATED_VENV)/.done $(CLIENTS_NODE)/.done $(GENERATOR_JAR) ## generate clients in four ways, and call each (needs node, npm, java, mvn)
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" GENERATOR_JAR=$(GENERATOR_JAR) NODE_FOLDER="$(CURDIR)/$(CLIENTS_NODE)" \
		$(GENERATED_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/http/generated.py

.PHONY: test-web
test-web: $(BIN) $(MODEL) $(WEB_VENV)/.done ## the web page in Debian's chromium: stories, axe-core, screenshots in build/web (needs apt-get install chromium)
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" SCREENSHOTS="$(or $(SCREENSHOTS),$(CURDIR)/build/web)" \
		$(WEB_VENV)/bin/python -m pytest -q -p no:cacheprovider $(or $(WEB_TESTS),tests/web)

.PHONY: monkey-web
monkey-web: $(BIN) $(MODEL) $(WEB_VENV)/.done ## hands that do anything at any time on a late, busy, locked and dead service: is all that is shown of one question? RUNS=10 STEPS=300 SEED=1
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" $(WEB_VENV)/bin/python tests/web/monkey.py

.PHONY: bench-web
bench-web: $(BIN) $(MODEL) $(WEB_VENV)/.done ## how long people wait on the page: drop to classes and map, another class, sliders; ROUNDS=8
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" $(WEB_VENV)/bin/python tests/web/latency.py

LIGHTHOUSE := build/lighthouse
$(LIGHTHOUSE)/.done:
	@mkdir -p $(LIGHTHOUSE)
	@cd $(LIGHTHOUSE) && npm install --no-audit --no-fund --silent lighthouse@12.8.2
	@touch $@

.PHONY: test-lighthouse
test-lighthouse: $(BIN) $(MODEL) $(LIGHTHOUSE)/.done ## Lighthouse: accessibility and best practices 100; its performance is printed, and asserted by PERFORMANCE=95 (needs npm, chromium)
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" LIGHTHOUSE=$(LIGHTHOUSE)/node_modules/.bin/lighthouse PERFORMANCE=$(PERFORMANCE) \
		$(PYTHON) tests/web/lighthouse.py

# ---- Faults, one after the other -------------------------------------------------------------------------------------------------

load_python = INFOMASK_BIN="$(CURDIR)/$(BIN)" INFOMASK_GENERATE="$(CURDIR)/$(B)/load/generate" $(VENV_PYTHON)
load_needs := $(BIN) $(MODEL) $(VENV)/.done $(B)/load/generate

# libraries that are laid before a program's own (LD_PRELOAD)
FAIL_ALLOC := $(B)/load/fail_alloc.so
TELL_HEAP := $(B)/load/tell_heap.so
HOLD_AVX2 := $(B)/bench/hold_avx2.so
$(FAIL_ALLOC) $(TELL_HEAP) $(HOLD_AVX2): $(B)/%.so: tests/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fPIE -fsanitize=%,$(CFLAGS_ALL)) -fPIC -shared -o $@ $<

# What AVX2 does where nothing came after it, on processors with more that can be held to it: tried with a program, as the
# shell's own `true` is none.  (Sanitizers want a say in who comes first.)
held_tests := $(B)/tests/kernels/test_gemm $(B)/tests/quant/test_quant
.PHONY: unit-avx2
unit-avx2: $(held_tests) $(if $(SAN),,$(if $(filter x86_64,$(ARCH)),$(HOLD_AVX2)))
	$(Q)hold="$(filter %.so,$^)"; [ -z "$$hold" ] || ! LD_PRELOAD="$(CURDIR)/$$hold" /bin/true || \
		for test in $(held_tests); do EMULATOR="env LD_PRELOAD=$(CURDIR)/$$hold" sh mk/unit.sh $$test || exit 1; done

.PHONY: allocations
allocations: $(load_needs) $(FAIL_ALLOC) ## every allocation of every kind of request fails once
	$(Q)INFOMASK_FAIL_LIBRARY="$(CURDIR)/$(FAIL_ALLOC)" $(load_python) tests/load/allocations.py

.PHONY: fuzz-connections
fuzz-connections: ## whole connections under AddressSanitizer and UBSan: writes, pauses, closes, resets; MINUTES=10
	+$(Q)$(MAKE) -s --no-print-directory SAN=address,undefined conversations

.PHONY: conversations
conversations: $(load_needs)
	$(Q)INFOMASK_SLOW=1 $(load_python) tests/load/conversations.py --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz-requests
fuzz-requests: ## random requests, most of them wrong in something, under AddressSanitizer and UBSan; CASES=5000 FIRST=1000
	+$(Q)INFOMASK_CASES=$(or $(CASES),5000) INFOMASK_FIRST=$(or $(FIRST),1000) $(MAKE) -s --no-print-directory SAN=address,undefined \
		HTTP_TESTS=tests/http/test_random_requests.py test-http

.PHONY: drill
drill: $(load_needs) ## replicas behind HAProxy and on PostgreSQL: one killed, drained, standing still, all replaced (make deps-postgres)
	$(Q)$(load_python) tests/load/drill.py

.PHONY: drains
drains: $(load_needs) ## 50 SIGTERM drains and 100 kill -9 under load
	$(Q)$(load_python) tests/load/drains.py

.PHONY: kill9
kill9: $(BIN) $(MODEL) $(VENV)/.done ## kill -9 the daemon N=1000 times while samples are posted: none may be lost or doubled
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" PYTHONPATH=tests/http $(VENV_PYTHON) tests/http/kill9.py --kills $(or $(N),1000)

.PHONY: mutants
mutants: $(load_needs) ## 20,000 broken JPEG, PNG and WebP over HTTP; CASES=20000
	$(Q)$(load_python) tests/load/mutants.py --cases $(or $(CASES),20000)

.PHONY: soak
soak: $(load_needs) $(TELL_HEAP) ## good, bad, slow and half-closed traffic for 20 minutes or HOURS=: memory at idle points, descriptors, threads, answers; RATE=2 a second
	$(Q)INFOMASK_HEAP_LIBRARY="$(CURDIR)/$(TELL_HEAP)" $(load_python) tests/load/soak.py --minutes $(if $(HOURS),$$(awk 'BEGIN { print $(HOURS) * 60 }'),$(or $(SOAK_MINUTES),20)) \
		--rate $(or $(RATE),0)

# ---- arm64: cross-built, and tested in an emulator (Debian 12; on arm64 itself make test does all of this and more) -----------

ARM64_CC := aarch64-linux-gnu-gcc
ARM64_ROOT := build/arm64
ARM64_LIB := $(abspath $(ARM64_ROOT))/usr/lib/aarch64-linux-gnu
# unpacked, not installed: nothing has chosen an OpenBLAS
ARM64_BLAS := $(ARM64_LIB)/openblas-pthread
# the emulator is 20 to 50 times slower: tests that repeat themselves do it less often
ARM64_MAKE = PKG_CONFIG_SYSROOT_DIR=$(abspath $(ARM64_ROOT)) \
	PKG_CONFIG_LIBDIR=$(ARM64_LIB)/pkgconfig:$(ARM64_BLAS)/pkgconfig \
	CFLAGS=--sysroot=$(abspath $(ARM64_ROOT)) LDFLAGS="--sysroot=$(abspath $(ARM64_ROOT)) -Wl,-rpath-link,$(ARM64_BLAS)" \
	INFOMASK_TEST_REPEATS=4 $(MAKE) --no-print-directory CC=$(ARM64_CC) \
	EMULATOR="qemu-aarch64-static -L $(ARM64_ROOT) -E LD_LIBRARY_PATH=$(ARM64_BLAS)"

.PHONY: deps-arm64
deps-arm64: ## install the compiler and emulator for arm64, and unpack its libraries below build/
	@sh mk/deps.sh $(ARM64_CC:%-gcc=gcc-%) qemu-user-static
	@[ -f $(ARM64_ROOT)/.done ] || sh tools/arm64.sh $(ARM64_ROOT) $(filter %-dev,$(DEBIAN_PACKAGES))

.PHONY: test-arm64
test-arm64: deps-arm64 $(MODEL) ## cross-build for arm64; its unit tests and the network against golden logits, emulated
	+@$(ARM64_MAKE) all unit test-network

# ---- What a machine can say about the code: `make check` runs it all ----------------------------------------------------------------

.PHONY: check
check: check-compilers check-shell check-container check-cppcheck check-tidy check-analyzer test-all check-sanitizers \
	coverage-code ## all checks: two compilers, linters, analysers, tests, tests under sanitizers, coverage (an hour)

.PHONY: check-compilers
check-compilers: deps-check ## gcc and clang, warnings as errors
	+@$(MAKE) -s --no-print-directory CFLAGS=-Werror all
	+@$(MAKE) -s --no-print-directory CC=clang CFLAGS=-Werror all

.PHONY: check-shell
check-shell: deps-check ## shellcheck over every script
	@git ls-files '*.sh' .ci/run | xargs shellcheck -x -S warning && echo "shellcheck: no findings"

.PHONY: check-container
check-container: $(CHECK_VENV)/.done ## hadolint over the Dockerfile
	@$(CHECK_VENV)/bin/hadolint --ignore DL3008 --ignore DL3059 docker/Dockerfile && echo "hadolint: no findings"

.PHONY: check-cppcheck
check-cppcheck: deps-check ## cppcheck over core, app, server and cli
	@nice cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 -I. --include=tests/cppcheck.h \
		--suppressions-list=tests/cppcheck.txt -j $(CORES) core app server cli && echo "cppcheck: no findings"

.PHONY: check-tidy
check-tidy: deps-check $(generated) ## clang-tidy (bugprone, cert, clang-analyzer) over the sources
	@printf '%s\n' $(core_sources) $(app_sources) $(server_sources) $(cli_sources) | \
		grep -v 'kernels/\(amx\|avx512\)\|base/status.c' | xargs -P $(CORES) -n 8 sh -c 'nice clang-tidy --quiet \
		--warnings-as-errors="*" "$$@" 2>/dev/null -- -std=c11 -D_GNU_SOURCE -I. -include tests/tidy.h \
		-I$(B)/gen $(package_cflags) -mavx2 -mfma -mf16c' sh && echo "clang-tidy: no findings"

# Left to AddressSanitizer and its search for leaks, over all tests: what this analyser (of gcc 12) says of ownership that goes
# through a struct, of arrays that a loop fills, and of pointers that a loop's own condition looks at.
ANALYZER := -fanalyzer -Werror -Wno-analyzer-malloc-leak -Wno-analyzer-file-leak -Wno-analyzer-use-of-uninitialized-value \
	-Wno-analyzer-possible-null-dereference -Wno-analyzer-possible-null-argument -include tests/tidy.h

.PHONY: check-analyzer
check-analyzer: ## gcc's -fanalyzer over app, server and cli
	+@nice $(MAKE) -s --no-print-directory B=build/analyzer CFLAGS='$(ANALYZER)' \
		$(addprefix build/analyzer/obj/,$(patsubst %.c,%.o,$(app_sources) $(server_sources) $(cli_sources)))
	@echo "gcc -fanalyzer: no findings"

# What is used before it was set: AddressSanitizer does not see that, and the analysers take too much for it.  valgrind shows
# the programs a processor with AVX2, whatever is below.
VALGRIND_TESTS ?= $(filter-out %/test_network %/test_digits %/test_random %/test_confine %/test_gradients %/test_match,$(unit_tests))

.PHONY: check-valgrind
check-valgrind: $(unit_tests) $(MODEL) ## unit tests under valgrind (an hour; VALGRIND_TESTS= names some of their programs)
	@sh mk/deps.sh valgrind
	@printf '%s\n' $(VALGRIND_TESTS) | xargs -P $(CORES) -n 1 sh -c 'INFOMASK_TEST_REPEATS=2 nice valgrind -q --error-exitcode=9 \
		"$$0" >$(B)/valgrind-$$(basename "$$0") 2>&1 || { cat $(B)/valgrind-$$(basename "$$0"); exit 255; }'
	@echo "valgrind: no findings in $(words $(VALGRIND_TESTS)) programs"

.PHONY: check-sanitizers
check-sanitizers: ## unit tests and HTTP tests under AddressSanitizer and UBSan
	+@$(MAKE) -s --no-print-directory SAN=address,undefined unit test-http

# Line coverage by unit tests, the fuzzers' corpora and the black-box tests together, of a build that is slow.  The service,
# which may write nowhere else, is let into the folder where it tells at its end which lines ran.  Threads count without
# waiting for each other: atomic counters made estimates of tables four times as slow, and what is asked of a line is
# whether it ran.  The compiler must then not keep a counter in a register through a loop, nor make it the loop's own
# variable: another thread's count would change how often the loop runs, and so the network's answers.
coverage_build = -s --no-print-directory B=build/cov BIN=build/cov/infomask LDFLAGS=--coverage \
	CFLAGS='--coverage -fprofile-update=single -fno-tree-loop-im -fno-ivopts -O1 -DINFOMASK_COVERAGE=$(CURDIR)/build/cov'

.PHONY: coverage-code
coverage-code: deps-check ## line coverage of core, app and server, in build/coverage/ (half an hour on two idle cores)
	+@$(MAKE) -j$(CORES) $(coverage_build) test-programs
	+@INFOMASK_SLOW=1 INFOMASK_TEST_REPEATS=2 $(MAKE) $(coverage_build) unit fuzz-replay test-cli test-http
	@mkdir -p build/coverage
	@gcovr -r . --object-directory build/cov -f core -f app -f server --gcov-ignore-parse-errors -j $(CORES) \
		--html-details build/coverage/index.html --print-summary --txt build/coverage/summary.txt | tail -4

# objects whose loops hold vector sums in registers; what an instruction set's folder builds, if it is built here
spill_objects := $(filter $(B)/obj/core/kernels/avx2/gemm.o $(B)/obj/core/kernels/avx2/tiles_%.o \
	$(B)/obj/core/kernels/avx512/tiles_%.o \
	$(B)/obj/core/kernels/%/depthwise.o,$(core_objects))

.PHONY: check-spills
check-spills: $(LIB) ## no inner loop of the compiled kernels may spill vector registers
	$(Q)$(if $(DEBUG)$(SAN),echo "spills: only in release builds",tests/bench/spills.sh $(spill_objects))
