# The information core's own checks.

RUNS ?= 1000

$(B)/coverage: tests/bench/coverage.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: coverage
coverage: $(B)/coverage ## how often the lower limits on the information hold, over all tasks (about 5 minutes); RUNS=
	$(Q)$(B)/coverage $(RUNS)
