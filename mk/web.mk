# The page in a real browser: Debian's chromium, driven by playwright from PyPI.  Not a part of `make test`: it needs a
# browser, which `make deps` does not install.

WEB_VENV := build/web-venv
WEB_TESTS ?= tests/web

$(WEB_VENV)/.done: tests/web/requirements.txt
	@$(PYTHON) -m venv $(WEB_VENV)
	@$(WEB_VENV)/bin/pip install -q --disable-pip-version-check -r tests/web/requirements.txt
	@touch $@

.PHONY: test-web
test-web: $(BIN) $(MODEL) $(WEB_VENV)/.done ## the web page in Debian's chromium: stories, axe-core, screenshots in build/web (needs apt-get install chromium)
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) SCREENSHOTS=$(or $(SCREENSHOTS),$(CURDIR)/build/web) \
		$(WEB_VENV)/bin/python -m pytest -q -p no:cacheprovider $(WEB_TESTS)
