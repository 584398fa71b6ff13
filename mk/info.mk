# The information core's own checks.

RUNS ?= 1000

$(B)/coverage: tests/bench/coverage.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: coverage
coverage: $(B)/coverage ## how often the lower limits on the information hold, over all tasks (about 5 minutes); RUNS=
	$(Q)$(B)/coverage $(RUNS)

N ?= 1000

.PHONY: kill9
kill9: $(BIN) $(MODEL) $(VENV)/.done ## kill -9 the daemon N times while samples are posted: none may be lost or doubled
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) PYTHONPATH=tests/http $(VENV_PYTHON) tests/http/kill9.py --kills $(N)

$(B)/million: tests/bench/million.c $(SERVER_LIB) $(APP_LIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(SERVER_LIB) $(APP_LIB) $(LIB) $(package_libs)

SAMPLES ?= 1000000

.PHONY: million
million: $(B)/million $(BIN) $(MODEL) $(VENV)/.done ## time GET of an estimate with a million samples; SAMPLES=
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) $(VENV_PYTHON) tests/bench/million.py $< --samples $(SAMPLES)

$(B)/tasks: tests/bench/tasks.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

SEEDS ?= 3
SEED ?= 1

.PHONY: tasks
tasks: $(B)/tasks ## the information of labelled tables against known values: RMSE, bias, limits (about 15 minutes); SEEDS=, SEED=
	$(Q)$(B)/tasks --seeds $(SEEDS) --first $(SEED)

$(B)/audit: tests/bench/audit.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

DRAWS ?= 20

.PHONY: audit
audit: $(B)/audit $(VENV)/.done data ## how well the label audit finds wrong labels; PEERS=1: beside cleanlab; DRAWS=
	$(Q)$(VENV_PYTHON) -m pip install -q --disable-pip-version-check scikit-learn $(if $(PEERS),cleanlab)
	$(Q)$(VENV_PYTHON) tests/bench/audit.py $< build/data $(if $(PEERS),--peers) --draws $(DRAWS)
