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
bench-layers: model $(B)/engine_layers ## each layer's time, GFLOP/s and share of the peak on one thread; ONNX=FILE ISA=avx2 PRECISION=f32 SIZE=224 APART=1
	$(Q)$(B)/engine_layers $(or $(ONNX),$(MODEL)) $(or $(ISA),auto) $(or $(PRECISION),f32) $(or $(SIZE),224) $(or $(RUNS),300) $(APART)

ZOO_VENV := build/zoo-venv
$(ZOO_VENV)/.done: tests/bench/zoo-requirements.txt
	@$(PYTHON) -m venv $(ZOO_VENV)
	@$(ZOO_VENV)/bin/pip install -q --no-cache-dir --disable-pip-version-check -r tests/bench/zoo-requirements.txt
	@touch $@

.PHONY: bench-zoo
bench-zoo: $(ENGINE_BENCH) $(ZOO_VENV)/.done ## networks of torchvision (fetched, 6 GB) with random weights, beside onnxruntime; NAMES="resnet50 vgg11" THREADS=1,2 SECONDS=6 ISA=avx2 PRECISION=f32
	$(Q)$(ZOO_VENV)/bin/python tests/bench/zoo.py export build/zoo $(NAMES)
	$(Q)$(ZOO_VENV)/bin/python tests/bench/zoo.py run $(ENGINE_BENCH) build/zoo $(NAMES) --threads $(or $(THREADS),1$(comma)2) \
		--seconds $(or $(SECONDS),6) --isa $(or $(ISA),auto) --precision $(or $(PRECISION),f32) $(if $(JSON),--json $(JSON))

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
