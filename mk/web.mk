# The page in a real browser: Debian's chromium, driven by playwright from PyPI.  Not a part of `make test`: it needs a
# browser, which `make deps` does not install.

WEB_VENV := build/web-venv
WEB_TESTS ?= tests/web

$(WEB_VENV)/.done: tests/web/requirements.txt
	@$(PYTHON) -m venv $(WEB_VENV)
	@$(WEB_VENV)/bin/pip install -q --disable-pip-version-check -r tests/web/requirements.txt
	@touch $@

.PHONY: test-web
test-web: $(BIN) $(MODEL) $(WEB_VENV)/.done ## the web page in Debian's chromium: stories, axe-core, screenshots in build/web (needs apt-get install chromium)
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) SCREENSHOTS=$(or $(SCREENSHOTS),$(CURDIR)/build/web) \
		$(WEB_VENV)/bin/python -m pytest -q -p no:cacheprovider $(WEB_TESTS)

.PHONY: api-md
api-md: $(BIN) $(MODEL) ## write docs/api.md from the service's own description
	$(Q)sh tools/api_md.sh $(BIN) docs/api.md

# Clients that generators make of /openapi.json.  GENERATOR_JAR: where openapi-generator-cli.jar is; fetched by mvn else.
GENERATED_VENV := build/clients-gen-venv
CLIENTS_NODE := build/clients-node
GENERATOR_VERSION := 7.14.0
GENERATOR_JAR ?= $(HOME)/.m2/repository/org/openapitools/openapi-generator-cli/$(GENERATOR_VERSION)/openapi-generator-cli-$(GENERATOR_VERSION).jar

$(GENERATED_VENV)/.done: tests/http/generated.txt
	@$(PYTHON) -m venv $(GENERATED_VENV)
	@$(GENERATED_VENV)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@
$(CLIENTS_NODE)/.done: tests/http/generated.json
	@mkdir -p $(CLIENTS_NODE)
	@cp $< $(CLIENTS_NODE)/package.json
	@cd $(CLIENTS_NODE) && npm install --no-audit --no-fund --silent
	@touch $@
$(GENERATOR_JAR):
	@mvn -q dependency:get -Dartifact=org.openapitools:openapi-generator-cli:$(GENERATOR_VERSION) -Dtransitive=false

.PHONY: clients-generated
clients: clients-generated
clients-generated: $(BIN) $(MODEL) $(GENERATED_VENV)/.done $(CLIENTS_NODE)/.done $(GENERATOR_JAR) ## generate clients in four ways, and call each (needs node, npm, java, mvn)
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) GENERATOR_JAR=$(GENERATOR_JAR) NODE_FOLDER=$(CURDIR)/$(CLIENTS_NODE) \
		$(GENERATED_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/http/generated.py
