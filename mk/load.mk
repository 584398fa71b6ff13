# What the daemon does under too much: load, slow clients, many connections, drains, kills.

GENERATE := $(B)/load/generate

$(GENERATE): tests/load/generate.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $<
load_python = INFOMASK_BIN=$(CURDIR)/$(BIN) INFOMASK_GENERATE=$(CURDIR)/$(GENERATE) $(VENV_PYTHON)
load_needs = $(BIN) $(MODEL) $(VENV)/.done $(GENERATE)

.PHONY: overload
overload: $(load_needs) ## 2, 5 and 10 times the load that it can do: goodput, refusals, recovery
	$(Q)$(load_python) tests/load/overload.py

.PHONY: slow-clients
slow-clients: $(load_needs) ## a thousand slow connections beside a good client
	$(Q)$(load_python) tests/load/slow_clients.py

.PHONY: connections
connections: $(load_needs) ## 64 to 4,000 connections in lock-step
	$(Q)$(load_python) tests/load/connections.py
