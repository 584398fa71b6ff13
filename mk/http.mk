# Black-box tests of the daemon: over sockets, against the binary of this mode (SAN=thread, SAN=address,undefined too).

HTTP_TESTS ?= tests/http

test-all: test-http

# Kernels are slow under ThreadSanitizer, and their threads are looked at by the unit tests: here OpenBLAS computes.
.PHONY: test-http
test-http: $(BIN) $(MODEL) $(VENV)/.done ## black-box tests of the daemon, also with SAN=thread or SAN=address,undefined
	$(Q)INFOMASK_BIN=$(CURDIR)/$(BIN) $(if $(SAN),INFOMASK_SLOW=1) $(if $(filter thread,$(SAN)),INFOMASK_ISA=blas) TSAN_OPTIONS="suppressions=$(CURDIR)/tests/http/tsan.txt" \
		$(VENV_PYTHON) -m pytest -q -p no:cacheprovider $(HTTP_TESTS)

# the shapes of the replies are embedded as they are
$(B)/obj/server/openapi/openapi.o: server/openapi/schemas.json
