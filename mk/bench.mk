# Benches: they print figures, beside a peer's in the same run where there is one, and neither pass nor fail.

# ---- The engine -----------------------------------------------------------------------------------------------------------

# ISA=avx2: peers are held to AVX2, too, where the processor lets them be; else a sentence says that they are not
held = $(if $(filter avx2,$(ISA)),$$(env LD_PRELOAD=$(CURDIR)/$(HOLD_AVX2) true && echo env LD_PRELOAD=$(CURDIR)/$(HOLD_AVX2)))
hold_needs = $(if $(filter avx2,$(ISA)),$(HOLD_AVX2))

RESNET50 := build/resnet50.onnx
$(RESNET50): tests/bench/make_resnet50.py $(BENCH_VENV)/.done
	@$(BENCH_VENV)/bin/python $< $@

QDQ := build/qdq.onnx
$(QDQ): tests/bench/make_qdq.py $(BENCH_VENV)/.done $(MODEL)
	@$(BENCH_VENV)/bin/python $< $(MODEL) $@ 2>&1 | grep -v pre-processing || [ -f $@ ]

.PHONY: bench-engines
bench-engines: $(MODEL) $(B)/bench/engine_bench $(RESNET50) $(QDQ) $(hold_needs) ## our engine beside onnxruntime and OpenVINO, ends in the README's table; CASES=f32-1,bf16-2 SECONDS=12 ISA=avx2 CLOCK=cpu
	$(Q)$(if $(filter cpu,$(CLOCK)),BENCH_CLOCK=cpu) $(held) $(BENCH_VENV)/bin/python tests/bench/engines.py $(B)/bench/engine_bench $(MODEL) --resnet50 $(RESNET50) --qdq $(QDQ) --markdown \
		--isa $(or $(ISA),auto) $(if $(CASES),--cases $(CASES)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json $(JSON))

.PHONY: bench-layers
bench-layers: $(MODEL) $(B)/bench/engine_layers ## each layer's time, GFLOP/s and share of the peak on one thread; ONNX=FILE ISA=avx2 PRECISION=f32 SIZE=224 APART=1 CLOCK=cpu
	$(Q)$(if $(filter cpu,$(CLOCK)),BENCH_CLOCK=cpu) $(B)/bench/engine_layers $(or $(ONNX),$(MODEL)) $(or $(ISA),auto) $(or $(PRECISION),f32) $(or $(SIZE),224) $(or $(RUNS),300) $(APART)

.PHONY: bench-zoo
bench-zoo: $(B)/bench/engine_bench $(ZOO_VENV)/.done $(hold_needs) ## networks of torchvision (fetched, 6 GB) with random weights, beside onnxruntime; NAMES="resnet50 vgg11" THREADS=1,2 SECONDS=6 ISA=avx2 PRECISION=f32 CLOCK=cpu
	$(Q)$(ZOO_VENV)/bin/python tests/bench/zoo.py export build/zoo $(NAMES)
	$(Q)$(held) $(ZOO_VENV)/bin/python tests/bench/zoo.py run $(B)/bench/engine_bench build/zoo $(NAMES) --threads $(or $(THREADS),1$(comma)2) \
		--seconds $(or $(SECONDS),6) --isa $(or $(ISA),auto) --precision $(or $(PRECISION),f32) --clock $(or $(CLOCK),wall) $(if $(JSON),--json $(JSON))

.PHONY: bench-kernels
bench-kernels: $(B)/bench/kernels ## speed of the compute kernels and their share of the peak; ISA=avx2 for another set
	$(Q)$< $(ISA)

# ---- Photos, masks, fills ---------------------------------------------------------------------------------------------------

.PHONY: bench-image
bench-image: $(B)/bench/image ## time decoding, resampling and PNG encoding against libjpeg-turbo alone; FILES= for other JPEGs
	$(Q)$< $(or $(SECONDS),2) $(FILES)

.PHONY: bench-masks
bench-masks: $(MODEL) $(BIN) $(B)/bench/masks $(if $(PEERS),$(MASK_PEERS_VENV)/.done,$(CONFORMANCE_VENV)/.done) ## time of masks, fills and overlays; PEERS=1: beside pytorch-grad-cam (fetched, 6 GB); ROUNDS=30 PRECISION=f32
	$(Q)$(if $(PEERS),$(MASK_PEERS_VENV)/bin/python,$(CONFORMANCE_PYTHON)) tests/bench/masks.py $(B)/bench/masks $(BIN) \
		$(MODEL) tests/data/photos --rounds $(or $(ROUNDS),30) --precision $(or $(PRECISION),f32)

.PHONY: bench-fills
bench-fills: $(BIN) $(FILLS)/.done $(MODEL) ## fills against the truth on 150 holes in photos (fetched, 210 MB), beside OpenCV, scikit-image and (if installed) G'MIC; CASES=150 SHARES=.15,.35 SLOW=12 SHEET=folder
	$(Q)$(CONFORMANCE_PYTHON) tests/bench/fills.py $(BIN) $(MODEL) \
		$(FILLS)/packages/tuxpaint-stamps-default $(FILLS)/photos --cases $(or $(CASES),150) $(if $(SHARES),--shares $(SHARES)) --slow $(or $(SLOW),12) \
		$(if $(SHEET),--sheet $(SHEET))

# ---- Information --------------------------------------------------------------------------------------------------------------

.PHONY: coverage
coverage: $(B)/bench/coverage ## how often the lower limits on the information hold, over all tasks (about 5 minutes); RUNS=1000
	$(Q)$< $(or $(RUNS),1000)

.PHONY: tasks
tasks: $(B)/bench/tasks $(if $(PEERS),$(VENV)/.done) ## the information of labelled tables against known values: RMSE, bias, limits (about 15 minutes); PEERS=1: beside scikit-learn; SEEDS=3, SEED=1 TASKS="xor chess"
	$(Q)rm -rf build/tasks && mkdir -p build/tasks
	$(Q)$< --seeds $(or $(SEEDS),3) --first $(or $(SEED),1) $(if $(PEERS),--write build/tasks) $(TASKS)
ifdef PEERS
	$(Q)$(VENV_PYTHON) -m pip install -q --disable-pip-version-check scikit-learn
	$(Q)OMP_NUM_THREADS=1 $(VENV_PYTHON) tests/bench/tasks_peers.py build/tasks
endif

.PHONY: tasks-pool
tasks-pool: $(BIN) $(VENV)/.done ## the same for 45 tables of other kinds: tangled columns, codes, missing values, rare classes, few rows (an hour); PEERS=1, SEEDS=1, SEED=1, TASKS="xor straw"
	$(Q)$(VENV_PYTHON) -m pip install -q --disable-pip-version-check numpy $(if $(PEERS),scikit-learn pandas)
	$(Q)OMP_NUM_THREADS=1 $(VENV_PYTHON) tests/bench/pool.py $< --seeds $(or $(SEEDS),1) --seed $(or $(SEED),1) $(if $(PEERS),--peers) $(TASKS)

.PHONY: audit
audit: $(B)/bench/audit $(VENV)/.done data ## how well the label audit finds wrong labels; PEERS=1: beside cleanlab; DRAWS=20
	$(Q)$(VENV_PYTHON) -m pip install -q --disable-pip-version-check scikit-learn $(if $(PEERS),cleanlab)
	$(Q)$(VENV_PYTHON) tests/bench/audit.py $< build/data $(if $(PEERS),--peers) --draws $(or $(DRAWS),20)

.PHONY: million
million: $(B)/bench/million $(BIN) $(MODEL) $(VENV)/.done ## time GET of an estimate with a million samples; SAMPLES=1000000
	$(Q)INFOMASK_BIN="$(CURDIR)/$(BIN)" $(VENV_PYTHON) tests/bench/million.py $< --samples $(or $(SAMPLES),1000000)

# ---- Training ------------------------------------------------------------------------------------------------------------------

.PHONY: bench-train
bench-train: $(B)/bench/train_bench $(TORCH_VENV)/.done ## training's images a second beside PyTorch's, in turn; SECONDS=3 ROUNDS=5
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py speed $< $(or $(SECONDS),3) $(or $(ROUNDS),5)

# ---- The daemon -----------------------------------------------------------------------------------------------------------------

.PHONY: bench-http
bench-http: $(BIN) $(MODEL) $(VENV)/.done $(PEERS_VENV)/.done ## requests/s over HTTP beside FastAPI + onnxruntime and OpenVINO (needs wrk); SECONDS=4
	$(Q)$(VENV_PYTHON) tests/load/photos.py build/load/photos
	$(Q)$(VENV_PYTHON) tests/bench/http_peers.py --infomask $(BIN) --peers $(PEERS_VENV) --model $(MODEL) --photos build/load/photos \
		--seconds $(or $(SECONDS),4)

.PHONY: overload
overload: $(load_needs) ## 2, 5 and 10 times the load that it can do: goodput, refusals, recovery
	$(Q)$(load_python) tests/load/overload.py

.PHONY: bench-overload
bench-overload: $(load_needs) ## ten times the load from 500 addresses of a network namespace, and a polite client beside a greedy one (needs root); SECONDS=8 ROUNDS=2
	$(Q)$(load_python) tests/load/crowd.py --seconds $(or $(SECONDS),8) --rounds $(or $(ROUNDS),2)

.PHONY: slow-clients
slow-clients: $(load_needs) ## a thousand slow connections beside a good client
	$(Q)$(load_python) tests/load/slow_clients.py

.PHONY: connections
connections: $(load_needs) ## 64 to 4,000 connections in lock-step
	$(Q)$(load_python) tests/load/connections.py

.PHONY: bench-scaling
bench-scaling: $(BIN) $(MODEL) ## 1, 2 and 4 daemons behind HAProxy, a tenth of a core each, beside a queueing model (root; 15 minutes): docs/scaling.md
	@sh mk/deps.sh haproxy
	$(Q)$(PYTHON) tools/scaling.py measure $(BIN) tests/data/photos/rocket.jpg

.PHONY: simulate-scaling
simulate-scaling: ## 10 to 10,000 nodes under four ways of choosing one (minutes): docs/scaling.md; SERVICE=0.008 seconds a photo
	$(Q)$(PYTHON) tools/scaling.py simulate $(or $(SERVICE),0.008)
