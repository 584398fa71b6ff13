# Training beside PyTorch, and its exports in onnxruntime.

TORCH_VENV := build/torch-venv
TRAIN_BENCH := $(B)/train_bench

$(TRAIN_BENCH): tests/bench/train_bench.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

$(TORCH_VENV)/.done: tests/bench/torch-requirements.txt
	@$(PYTHON) -m venv $(TORCH_VENV)
	@$(TORCH_VENV)/bin/pip install -q --no-cache-dir --disable-pip-version-check -r tests/bench/torch-requirements.txt
	@touch $@

.PHONY: bench-train
bench-train: $(TRAIN_BENCH) $(TORCH_VENV)/.done ## training's images a second beside PyTorch's, in turn; SECONDS=3 ROUNDS=5
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py speed $(TRAIN_BENCH) $(or $(SECONDS),3) $(or $(ROUNDS),5)

.PHONY: check-gradients
check-gradients: $(TRAIN_BENCH) $(TORCH_VENV)/.done ## every layer's gradient beside PyTorch's
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py gradients $(TRAIN_BENCH)

.PHONY: check-accuracy
check-accuracy: $(BIN) $(TORCH_VENV)/.done data ## the same recipe on MNIST by PyTorch: the same accuracy? LAYERS= EPOCHS=3 SEEDS=4
	$(Q)$(TORCH_VENV)/bin/python -P tests/bench/train_torch.py accuracy $(abspath $(BIN)) build/data/mnist \
		$(or $(LAYERS),linear:256$(comma)relu) $(or $(EPOCHS),3) $(or $(SEEDS),4)

.PHONY: check-exports
check-exports: $(BIN) $(BENCH_VENV)/.done ## what training writes, run by onnxruntime
	$(Q)$(BENCH_VENV)/bin/python -P tests/bench/train_exports.py $(abspath $(BIN))
