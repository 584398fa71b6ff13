# What the project needs from the distribution and from PyPI, on Debian 12, Debian 13 and Ubuntu 24.04.

DEBIAN_PACKAGES := gcc libc6-dev make pkg-config ca-certificates curl python3 python3-venv python3-pip \
	libmicrohttpd-dev libcjson-dev libopenblas-dev libjpeg-dev libpng-dev zlib1g-dev libwebp-dev libprotobuf-c-dev \
	protobuf-c-compiler libcmocka-dev nettle-dev libsqlite3-dev libinih-dev libseccomp-dev
CHECK_PACKAGES := faketime clang clang-tidy cppcheck shellcheck gcovr libc6-dev fish zsh

.PHONY: deps
deps: ## install the missing Debian packages (as root or through sudo)
	@sh mk/deps.sh $(DEBIAN_PACKAGES)

# for scripts that install the same in another system
.PHONY: debian-packages
debian-packages:
	@echo $(DEBIAN_PACKAGES)

.PHONY: deps-check
deps-check: ## install what make check needs beyond make deps
	@sh mk/deps.sh $(CHECK_PACKAGES)

.PHONY: deps-postgres
deps-postgres: ## install what make test-postgres and make drill start: PostgreSQL's server, HAProxy
	@sh mk/deps.sh libpq5 postgresql postgresql-client haproxy

# ---- Python for tests and benches, each need in a folder of its own below build/ -------------------------------------

# $(1): the folder; $(2): the file that names the packages
define python_folder
$(1)/.done: $(2)
	@$$(PYTHON) -m venv $(1)
	@$(1)/bin/pip install -q --no-cache-dir --disable-pip-version-check -r $(2)
	@touch $$@
endef

VENV := build/venv
VENV_PYTHON := $(VENV)/bin/python
BENCH_VENV := build/bench-venv
CHECK_VENV := build/check-venv
CLIENTS_VENV := build/clients-venv
CONFORMANCE_VENV := build/conformance/venv
CONFORMANCE_PYTHON := $(CONFORMANCE_VENV)/bin/python
GENERATED_VENV := build/generated-venv
MASK_PEERS_VENV := build/mask-peers-venv
ONNX_VENV := build/onnx/venv
PEERS_VENV := build/peers-venv
SCALE_VENV := build/scale-venv
TORCH_VENV := build/torch-venv
WEB_VENV := build/web-venv
ZOO_VENV := build/zoo-venv

$(eval $(call python_folder,$(VENV),tests/requirements.txt))
$(eval $(call python_folder,$(BENCH_VENV),tests/bench/requirements.txt))
$(eval $(call python_folder,$(CHECK_VENV),tests/container/requirements.txt))
$(eval $(call python_folder,$(CLIENTS_VENV),tests/http/clients.txt))
$(eval $(call python_folder,$(CONFORMANCE_VENV),tests/conformance/requirements.txt))
$(eval $(call python_folder,$(GENERATED_VENV),tests/http/generated.txt))
$(eval $(call python_folder,$(MASK_PEERS_VENV),tests/bench/requirements-masks.txt))
$(eval $(call python_folder,$(ONNX_VENV),tests/zoo/onnx-requirements.txt))
$(eval $(call python_folder,$(PEERS_VENV),tests/bench/peers.txt))
$(eval $(call python_folder,$(SCALE_VENV),tests/scale/requirements.txt))
$(eval $(call python_folder,$(TORCH_VENV),tests/bench/torch-requirements.txt))
$(eval $(call python_folder,$(WEB_VENV),tests/web/requirements.txt))
$(eval $(call python_folder,$(ZOO_VENV),tests/zoo/requirements.txt))
