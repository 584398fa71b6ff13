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

FAIL_ALLOC := $(B)/load/fail_alloc.so
$(FAIL_ALLOC): tests/load/fail_alloc.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fPIE -fsanitize=%,$(CFLAGS_ALL)) -fPIC -shared -o $@ $<

.PHONY: allocations
allocations: $(load_needs) $(FAIL_ALLOC) ## every allocation of every kind of request fails once
	$(Q)INFOMASK_FAIL_LIBRARY=$(CURDIR)/$(FAIL_ALLOC) $(load_python) tests/load/allocations.py

.PHONY: drains
drains: $(load_needs) ## 50 SIGTERM drains and 100 kill -9 under load
	$(Q)$(load_python) tests/load/drains.py

.PHONY: mutants
mutants: $(load_needs) ## 20,000 broken JPEG, PNG and WebP over HTTP; CASES=20000
	$(Q)$(load_python) tests/load/mutants.py --cases $(or $(CASES),20000)

.PHONY: soak
soak: $(load_needs) ## good and bad traffic for 20 minutes or HOURS=: memory, descriptors, threads
	$(Q)$(load_python) tests/load/soak.py --minutes $(if $(HOURS),$$(awk 'BEGIN { print $(HOURS) * 60 }'),$(or $(SOAK_MINUTES),20))
