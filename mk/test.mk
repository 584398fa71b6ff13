.PHONY: test
test: ## run the whole test suite, set-up included
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory test-all

.PHONY: test-all
test-all: includes unit
