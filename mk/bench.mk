# Benches of the engine.  They never pass or fail: they print figures beside a peer's in the same run.

ENGINE_BENCH := $(B)/engine_bench
BENCH_VENV := build/bench-venv

$(B)/engine_bench $(B)/engine_layers: $(B)/%: tests/bench/%.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

$(BENCH_VENV)/.done: tests/bench/requirements.txt
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install -q --disable-pip-version-check -r tests/bench/requirements.txt
	@touch $@

RESNET50 := build/resnet50.onnx
$(RESNET50): tests/bench/make_resnet50.py $(BENCH_VENV)/.done
	@$(BENCH_VENV)/bin/python $< $@

QDQ := build/qdq.onnx
$(QDQ): tests/bench/make_qdq.py $(BENCH_VENV)/.done $(MODEL)
	@$(BENCH_VENV)/bin/python $< $(MODEL) $@ 2>&1 | grep -v pre-processing || [ -f $@ ]

.PHONY: bench-engines
bench-engines: model $(ENGINE_BENCH) $(RESNET50) $(QDQ) ## our engine beside onnxruntime and OpenVINO, ends in the README's table; CASES=f32-1,bf16-2 SECONDS=12
	$(Q)$(BENCH_VENV)/bin/python tests/bench/engines.py $(ENGINE_BENCH) $(MODEL) --resnet50 $(RESNET50) --qdq $(QDQ) --markdown \
		$(if $(CASES),--cases $(CASES)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json $(JSON))

.PHONY: bench-layers
bench-layers: model $(B)/engine_layers ## each layer's time and GFLOP/s on one thread; ISA=avx512 PRECISION=f32 SIZE=224 APART=1
	$(Q)$(B)/engine_layers $(MODEL) $(or $(ISA),avx512) $(or $(PRECISION),f32) $(or $(SIZE),224) 300 $(APART)

PEERS_VENV := build/peers-venv
$(PEERS_VENV)/.done: tests/bench/peers.txt
	@$(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/pip install -q --disable-pip-version-check -r tests/bench/peers.txt
	@touch $@

.PHONY: bench-http
bench-http: $(BIN) $(MODEL) build/venv/.done $(PEERS_VENV)/.done ## requests/s over HTTP beside FastAPI + onnxruntime and OpenVINO (needs wrk); SECONDS=4
	$(Q)$(VENV_PYTHON) tests/load/photos.py build/load/photos
	$(Q)$(VENV_PYTHON) tests/bench/http_peers.py --infomask $(BIN) --peers $(PEERS_VENV) --model $(MODEL) --photos build/load/photos \
		--seconds $(or $(SECONDS),4)
