# Running it, showing it, installing it.

PORT ?= 8080
HOST ?= 127.0.0.1
DESTDIR ?=
PHOTO := tests/data/photos/coffee.png
DIGIT := tests/data/digits/7.png

.PHONY: run
run: ## install what is missing, build, fetch the model, and serve (without a network: the digits model); PORT=8080
	@$(MAKE) --no-print-directory deps
	@$(MAKE) -s --no-print-directory all
	@if $(MAKE) -s --no-print-directory model; then exec sh mk/run.sh $(BIN) $(HOST) $(PORT) $(PHOTO); else \
		echo "the photo model cannot be fetched: serving the one for handwritten digits that comes with the project"; \
		exec sh mk/run.sh $(BIN) $(HOST) $(PORT) $(DIGIT) digits; fi

.PHONY: demo
demo: ## the same, but classify, mask and filter a photo, leave the pictures in build/demo/ and end
	@$(MAKE) --no-print-directory deps
	@$(MAKE) -s --no-print-directory all model
	@sh mk/demo.sh $(BIN) $(PHOTO) build/demo

.PHONY: install
install: ## install the binary, the default model, settings and a systemd unit; PREFIX=/usr/local, DESTDIR=
	@$(MAKE) -s --no-print-directory all model
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/etc/infomask $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/infomask
	@[ -e $(DESTDIR)$(PREFIX)/etc/infomask/infomask.ini ] || \
		install -m 644 config/infomask.ini $(DESTDIR)$(PREFIX)/etc/infomask/infomask.ini
	@sh mk/install_models.sh config/models $(DESTDIR)$(PREFIX)/share/infomask/models
	@sed 's|@PREFIX@|$(PREFIX)|g' config/infomask.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/infomask.service
	@echo "installed below $(DESTDIR)$(PREFIX); start it with: systemctl enable --now infomask"

.PHONY: uninstall
uninstall: ## remove what install put there, but not the settings
	rm -f $(DESTDIR)$(PREFIX)/bin/infomask $(DESTDIR)$(PREFIX)/lib/systemd/system/infomask.service
	rm -rf $(DESTDIR)$(PREFIX)/share/infomask
