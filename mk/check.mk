# Everything that a machine can say about the code: `make check` runs it all, each part is a target of its own.

CHECK_PACKAGES := clang clang-tidy cppcheck shellcheck gcovr libc6-dev
CHECK_VENV := build/venv-check

.PHONY: check
check: check-compilers check-shell check-container check-cppcheck check-tidy check-analyzer test-all check-sanitizers \
	coverage-code ## all checks: two compilers, linters, analysers, tests, tests under sanitizers, coverage (an hour)

.PHONY: deps-check
deps-check: ## install what make check needs beyond make deps
	@sh mk/deps.sh $(CHECK_PACKAGES)

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

$(CHECK_VENV)/.done: tests/container/requirements.txt
	@$(PYTHON) -m venv $(CHECK_VENV)
	@$(CHECK_VENV)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

.PHONY: check-cppcheck
check-cppcheck: deps-check ## cppcheck over core, app, server and cli
	@cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 -I. \
		--suppressions-list=tests/cppcheck.txt -j $$(nproc) core app server cli && echo "cppcheck: no findings"

.PHONY: check-tidy
check-tidy: deps-check $(generated) ## clang-tidy (bugprone, cert, clang-analyzer) over the sources
	@printf '%s\n' $(core_sources) $(server_sources) $(cli_sources) | grep -v 'kernels/\(amx\|avx512\)' | \
		xargs -P $$(nproc) -n 8 clang-tidy --quiet --warnings-as-errors='*' 2>/dev/null -- -std=c11 -D_GNU_SOURCE -I. \
		-I$(B)/gen $(package_cflags) -mavx2 -mfma -mf16c && echo "clang-tidy: no findings"

.PHONY: check-analyzer
check-analyzer: ## gcc's -fanalyzer over app, server and cli
	+@$(MAKE) -s --no-print-directory B=build/analyzer CFLAGS='-fanalyzer -Werror' $(addprefix build/analyzer/obj/,$(patsubst %.c,%.o,$(server_sources) $(cli_sources)))
	@echo "gcc -fanalyzer: no findings"

.PHONY: check-sanitizers
check-sanitizers: ## unit tests and HTTP tests under AddressSanitizer and UBSan
	+@$(MAKE) -s --no-print-directory SAN=address,undefined unit test-http

# Line coverage by unit tests and by the black-box tests together.
.PHONY: coverage-code
coverage-code: deps-check ## line coverage of core, app and server, in build/coverage/
	+@$(MAKE) -s --no-print-directory B=build/cov BIN=build/cov/infomask CFLAGS='--coverage -O1' LDFLAGS=--coverage \
		unit test-http test-cli
	@mkdir -p build/coverage
	@gcovr -r . --object-directory build/cov -f core -f app -f server --html-details build/coverage/index.html \
		--print-summary --txt build/coverage/summary.txt | tail -4
