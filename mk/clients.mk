# Clients that others wrote, against the daemon: Triton's and KServe's for Python, schemathesis, promtool.

CLIENTS_VENV := build/clients-venv
PROMTOOL := build/prometheus/usr/bin/promtool

$(CLIENTS_VENV)/.done: tests/http/clients.txt
	@$(PYTHON) -m venv $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/pip install -q --disable-pip-version-check -r tests/http/clients.txt
	@touch $@

# not installed: unpacked from the distribution's package
$(PROMTOOL):
	@mkdir -p build/prometheus
	@cd build/prometheus && apt-get -q download prometheus >/dev/null && dpkg -x prometheus_*.deb . && rm prometheus_*.deb

.PHONY: clients
clients: $(BIN) $(MODEL) $(CLIENTS_VENV)/.done $(PROMTOOL) ## Triton's and KServe's clients, schemathesis, promtool; EXAMPLES=15
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) EXAMPLES=$(or $(EXAMPLES),15) \
		$(CLIENTS_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/http/clients.py
