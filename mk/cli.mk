# Tests of the command line, against the binary of the mode in force.

.PHONY: test-cli
test-cli: $(BIN) build/venv/.done model ## test the command line
	$(Q)INFOMASK_BIN=$(abspath $(BIN)) $(VENV_PYTHON) -m pytest -q tests/cli

.PHONY: test-readme
test-readme: $(BIN) build/venv/.done model ## run the examples of the README against a real daemon
	$(Q)INFOMASK_BIN=$(abspath $(BIN)) $(VENV_PYTHON) -m pytest -q tests/http/test_readme.py

test-all: test-cli
