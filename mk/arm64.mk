# The build for arm64, and its tests in an emulator (Debian 12; on arm64 itself `make test` does all of this and more).

ARM64_CC := aarch64-linux-gnu-gcc
ARM64_ROOT := build/arm64
ARM64_LIB := $(abspath $(ARM64_ROOT))/usr/lib/aarch64-linux-gnu
# unpacked, not installed: nothing has chosen an OpenBLAS
ARM64_BLAS := $(ARM64_LIB)/openblas-pthread
# the emulator is 20 to 50 times slower: tests that repeat themselves do it less often
ARM64_MAKE = PKG_CONFIG_SYSROOT_DIR=$(abspath $(ARM64_ROOT)) \
	PKG_CONFIG_LIBDIR=$(ARM64_LIB)/pkgconfig:$(ARM64_BLAS)/pkgconfig \
	CFLAGS=--sysroot=$(abspath $(ARM64_ROOT)) LDFLAGS="--sysroot=$(abspath $(ARM64_ROOT)) -Wl,-rpath-link,$(ARM64_BLAS)" \
	INFOMASK_TEST_REPEATS=4 $(MAKE) --no-print-directory CC=$(ARM64_CC) \
	EMULATOR="qemu-aarch64-static -L $(ARM64_ROOT) -E LD_LIBRARY_PATH=$(ARM64_BLAS)"

.PHONY: deps-arm64
deps-arm64: ## install the compiler and emulator for arm64, and unpack its libraries below build/
	@sh mk/deps.sh $(ARM64_CC:%-gcc=gcc-%) qemu-user-static
	@[ -f $(ARM64_ROOT)/.done ] || sh mk/arm64.sh $(ARM64_ROOT) $(filter %-dev,$(DEBIAN_PACKAGES))

.PHONY: test-arm64
test-arm64: deps-arm64 $(MODEL) ## cross-build for arm64; its unit tests and the network against golden logits, emulated
	+@$(ARM64_MAKE) all unit test-network
