# Fills against the truth.
FILLS := build/fills

$(FILLS)/.done: mk/fills.sh | $(CONFORMANCE_VENV)/.done
	$(Q)sh mk/fills.sh $(FILLS) $$($(CONFORMANCE_PYTHON) -c 'import skimage, os; print(os.path.dirname(os.path.dirname(skimage.__file__)))')

.PHONY: bench-fills
bench-fills: $(BIN) $(FILLS)/.done model ## fills against the truth on 150 holes in photos (fetched, 210 MB), beside OpenCV, scikit-image and (if installed) G'MIC; CASES=150 SLOW=12 SHEET=folder
	$(Q)$(CONFORMANCE_PYTHON) tests/bench/fills.py $(BIN) config/models/efficientnet-lite0/model.onnx \
		$(FILLS)/packages/tuxpaint-stamps-default $(FILLS)/photos --cases $(or $(CASES),150) --slow $(or $(SLOW),12) \
		$(if $(SHEET),--sheet $(SHEET))
