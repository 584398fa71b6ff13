# int8 weights for the default model, made and measured on photos that packages bring: see docs/quantization.md.

QUANTIZE_PHOTOS := build/photos
QUANTIZE := $(BIN) models quantize --images $(QUANTIZE_PHOTOS) $(MODEL_DIR)

$(QUANTIZE_PHOTOS)/.done:
	@sh mk/photos.sh $(PYTHON) $(QUANTIZE_PHOTOS)
	@touch $@

.PHONY: quantize
quantize: $(BIN) $(MODEL) $(QUANTIZE_PHOTOS)/.done ## make the default model's int8 weights (a minute), for --precision int8
	$(Q)$(QUANTIZE) $(QUANTIZE_FLAGS)

.PHONY: quantize-check
quantize-check: $(BIN) $(MODEL) $(QUANTIZE_PHOTOS)/.done ## measure what int8 changes on 500 random crops, without keeping anything
	$(Q)$(PYTHON) tests/bench/quantize.py $(QUANTIZE) $(QUANTIZE_FLAGS)

.PHONY: agreement
agreement: $(BIN) $(VENV)/.done $(QUANTIZE_PHOTOS)/.done ## which best class stays: bf16, int8 (made before), unseen changes
	$(Q)$(VENV_PYTHON) tests/bench/agreement.py $(BIN) $(QUANTIZE_PHOTOS)
