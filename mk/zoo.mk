# Networks of torchvision and timm with random weights against onnxruntime.

NETRUN := $(B)/netrun
ZOO_VENV := build/zoo/venv

$(NETRUN): tests/zoo/netrun.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

$(ZOO_VENV)/.done: tests/zoo/requirements.txt
	@$(PYTHON) -m venv $(ZOO_VENV)
	@$(ZOO_VENV)/bin/pip install -q --disable-pip-version-check -r tests/zoo/requirements.txt
	@touch $@

.PHONY: zoo
zoo: $(NETRUN) $(ZOO_VENV)/.done ## classifiers of torchvision and timm, both PyTorch exporters, against onnxruntime (hours, 10 GB in build/zoo); ZOO="tv:resnet18 ..."
	$(Q)$(ZOO_VENV)/bin/python tests/zoo/export.py build/zoo/files $(ZOO)
	$(Q)$(ZOO_VENV)/bin/python tests/zoo/compare.py $(NETRUN) build/zoo/files $(subst :,-,$(ZOO))
