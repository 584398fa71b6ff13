# What the project needs from the distribution, on Debian 12 and Ubuntu 24.04.

DEBIAN_PACKAGES := gcc libc6-dev make pkg-config ca-certificates curl python3 python3-venv python3-pip \
	libmicrohttpd-dev libcjson-dev libopenblas-dev libjpeg-dev libpng-dev zlib1g-dev libwebp-dev libprotobuf-c-dev \
	protobuf-c-compiler libcmocka-dev nettle-dev libsqlite3-dev libinih-dev libseccomp-dev
VENV := build/venv
VENV_PYTHON := $(VENV)/bin/python

.PHONY: deps
deps: ## install the missing Debian packages (as root or through sudo)
	@sh mk/deps.sh $(DEBIAN_PACKAGES)

# Python for the tests only, in a folder of its own
$(VENV)/.done: tests/requirements.txt
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@
