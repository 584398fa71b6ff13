# How long masks take, beside pytorch-grad-cam.  Prints figures, passes and fails nothing.

MASK_PEERS_VENV := build/bench-masks-venv

$(MASK_PEERS_VENV)/.done: tests/bench/requirements-masks.txt
	@$(PYTHON) -m venv $(MASK_PEERS_VENV)
	@$(MASK_PEERS_VENV)/bin/pip install -q --disable-pip-version-check -r tests/bench/requirements-masks.txt
	@touch $@

.PHONY: bench-masks
bench-masks: model $(BIN) $(B)/bench/masks $(if $(PEERS),$(MASK_PEERS_VENV)/.done,$(CONFORMANCE_VENV)/.done) ## time of masks, fills and overlays; PEERS=1: beside pytorch-grad-cam (fetched, 6 GB); ROUNDS=30 PRECISION=f32
	$(Q)$(if $(PEERS),$(MASK_PEERS_VENV)/bin/python,$(CONFORMANCE_PYTHON)) tests/bench/masks.py $(B)/bench/masks $(BIN) \
		config/models/efficientnet-lite0/model.onnx tests/data/photos --rounds $(or $(ROUNDS),30) \
		--precision $(or $(PRECISION),f32)
