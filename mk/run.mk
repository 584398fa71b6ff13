# Running it, showing it, installing it.

PORT ?= 8080
HOST ?= 127.0.0.1
DESTDIR ?=
# where PREFIX is /usr the settings are in /etc, else in PREFIX/etc
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
PHOTO := tests/data/photos/coffee.png
DIGIT := tests/data/digits/7.png

.PHONY: run
run: ## install what is missing, build, fetch the model, and serve (without a network: the digits model); PORT=8080
	@$(MAKE) --no-print-directory deps
	@$(MAKE) -s --no-print-directory -j$(CORES) all
	@if $(MAKE) -s --no-print-directory model; then exec sh mk/run.sh $(BIN) $(HOST) $(PORT) $(PHOTO); else \
		echo "the photo model cannot be fetched: serving the one for handwritten digits that comes with the project"; \
		exec sh mk/run.sh $(BIN) $(HOST) $(PORT) $(DIGIT) digits; fi

.PHONY: demo
demo: ## the same, but classify, mask and filter a photo, leave the pictures in build/demo/ and end
	@$(MAKE) --no-print-directory deps
	@$(MAKE) -s --no-print-directory -j$(CORES) all
	@$(MAKE) -s --no-print-directory model || { \
		echo "the photo model cannot be fetched; without a network make run serves the one for handwritten digits" >&2; exit 1; }
	@sh mk/demo.sh $(BIN) $(PHOTO) build/demo

install_folders = PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' $(foreach v,SYSCONFDIR BINDIR LIBDIR DATADIR MANDIR DOCDIR \
	INT8 STRIP UNITS,$(if $($v),$v='$($v)')) PYTHON='$(PYTHON)'

.PHONY: install
install: ## install the binary, models, settings, unit files, manual, completions; PREFIX=/usr/local, DESTDIR=, INT8=1
	@$(MAKE) -s --no-print-directory all model
	@$(install_folders) sh tools/install.sh $(BIN)

.PHONY: uninstall
uninstall: ## remove what install put there, but not the settings and not models that were added later
	@$(install_folders) sh tools/uninstall.sh
