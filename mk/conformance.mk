# The mask chain against OpenCV, NumPy and onnxruntime; masks scored on composites; the contact sheet.

CONFORMANCE := build/conformance
MNIST ?= $(wildcard build/data/mnist)
CONFORMANCE_VENV := $(CONFORMANCE)/venv
CONFORMANCE_PYTHON := $(CONFORMANCE_VENV)/bin/python

$(CONFORMANCE_VENV)/.done: tests/conformance/requirements.txt
	@$(PYTHON) -m venv $(CONFORMANCE_VENV)
	@$(CONFORMANCE_VENV)/bin/pip install -q --disable-pip-version-check -r tests/conformance/requirements.txt
	@touch $@

$(B)/steps: tests/conformance/steps.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: conformance
conformance: $(BIN) $(B)/steps $(CONFORMANCE_VENV)/.done model ## compare masks with OpenCV, NumPy and onnxruntime, step by step and whole, and score them; MNIST=DIR (after make data: build/data/mnist): digits too
	$(Q)INFOMASK_STEPS=$(abspath $(B)/steps) INFOMASK_BIN=$(abspath $(BIN)) MNIST=$(MNIST) \
		$(CONFORMANCE_PYTHON) -m pytest -q -rP -p no:cacheprovider tests/conformance
	@$(MAKE) --no-print-directory scores

.PHONY: canvases
canvases: $(BIN) $(CONFORMANCE_VENV)/.done data ## "filter out all digits 0" on 60 canvases of nine digits (and of sixteen, and large ones), scored
	$(Q)INFOMASK_BIN=$(abspath $(BIN)) MNIST=$(or $(MNIST),build/data/mnist) \
		$(CONFORMANCE_PYTHON) -m pytest -q -rP -p no:cacheprovider tests/conformance/test_digits.py

COMPOSITES := $(CONFORMANCE)/composites

$(COMPOSITES)/.done: tests/conformance/make_composites.py mk/composites.sh | $(BIN) $(CONFORMANCE_VENV)/.done model
	$(Q)sh mk/composites.sh $(BIN) $(CONFORMANCE_PYTHON) $(COMPOSITES)

.PHONY: scores
scores: $(BIN) $(COMPOSITES)/.done ## masks scored on composites of stamps (161 MB, fetched) and photos: the table of docs/masks.md; FAITHFUL=1
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/scores.py $(BIN) $(COMPOSITES) $(if $(FAITHFUL),--faithful)

.PHONY: gallery
gallery: $(BIN) $(CONFORMANCE_VENV)/.done model ## photo, map, mask, overlay and filtered photo of twelve photos in build/gallery.jpg; PHOTOS=
	$(Q)$(CONFORMANCE_PYTHON) tests/conformance/gallery.py $(BIN) build/gallery.jpg $(PHOTOS)
