# Groups of classes for the default model, from WordNet 3.0 (Debian's wordnet-base, all of whose nouns the labels' ids name).

WORDNET ?= $(firstword $(wildcard /usr/share/wordnet) build/wordnet)

.PHONY: groups
groups: ## groups.tsv of the default model anew, from WordNet (fetched if it is not installed; WORDNET=DIR)
	$(Q)sh mk/wordnet.sh $(WORDNET)
	$(Q)$(PYTHON) config/make_groups.py config/models/efficientnet-lite0/labels.txt $(WORDNET) >build/groups.tsv
	$(Q)mv build/groups.tsv config/models/efficientnet-lite0/groups.tsv
