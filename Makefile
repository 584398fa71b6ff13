# infomask: `make run` serves, `make test` tests, `make help` lists the rest.
#
# Sources are found by wildcard; each mode (release, debug, sanitizer, compiler) builds in a folder of its own under
# build/.  Flags for an instruction set are on its kernel files only.

PREFIX ?= /usr/local
PORT ?= 8080
CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PYTHON ?= python3
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
CORES := $(shell nproc 2>/dev/null || echo 2)

MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ARCH := $(firstword $(subst -, ,$(MACHINE)))
comma := ,

mode := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(DEBUG),debug,release))$(if $(filter gcc cc,$(CC)),,-$(subst /,-,$(CC)))
B := build/$(mode)
# the release binary is build/infomask; the others are build/MODE/infomask
BIN := $(if $(filter release,$(mode)),build/infomask,$(B)/infomask)

packages := libmicrohttpd libcjson openblas libjpeg libpng libwebp libwebpmux zlib libprotobuf-c nettle sqlite3 inih libseccomp
warnings := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wformat=2
hardening := -fstack-protector-strong -fPIE $(if $(DEBUG)$(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(if $(DEBUG),-O0,$(if $(SAN),-O1,-O2)) -g -fno-omit-frame-pointer -pthread \
	$(warnings) $(hardening) -ffile-prefix-map="$(CURDIR)"=. $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) \
	-I. -I$(B)/gen $(package_cflags) -MMD -MP $(CFLAGS)
LDFLAGS_ALL = -pthread -pie -Wl,-z,relro,-z,now -Wl,--build-id $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
# asked for once, and only when something is built: make help and make deps need no pkg-config
package_cflags = $(eval package_cflags := $$(shell pkg-config --cflags $(packages)))$(package_cflags)
package_libs = $(eval package_libs := $$(shell pkg-config --libs $(packages)) -lgnutls -lm -ldl)$(package_libs)

# numeric code: vectorised by the compiler where a loop allows it; no fast-math, no contraction that differs by ISA
# (nobody reads the floating-point flags or errno: without these two a clamp keeps a loop from being vectorised)
numeric := core/kernels/% core/image/% core/mask/% core/train/% core/engine/% core/quant/% core/pipeline/% core/graph/general/%
flags_numeric = $(if $(DEBUG)$(SAN),,-O3) -ffp-contract=off -fno-trapping-math -fno-math-errno
flags_avx2 := -mavx2 -mfma -mf16c
flags_vnni := -mavxvnni
flags_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mfma -mf16c

core_sources := $(wildcard core/base/*.c core/image/*.c core/image/*/*.c core/graph/*.c core/graph/general/*.c core/graph/onnx/*.c core/kernels/*.c \
	core/kernels/ref/*.c core/kernels/blas/*.c core/engine/*.c core/engine/*/*.c core/quant/*.c core/info/*.c core/info/limits/*.c core/mask/*.c core/train/*.c \
	core/train/*/*.c core/pipeline/*.c core/pipeline/*/*.c)
ifeq ($(ARCH),x86_64)
# an assembler older than binutils 2.36 does not know AMX's tiles: such a build has no kernels for them
has_amx := $(shell echo 'tilezero %tmm0' | $(CC) -x assembler -c -o /dev/null - 2>/dev/null && echo 1)
# and AVX-VNNI not either, nor a compiler older than gcc 11
has_avx_vnni := $(shell echo '{vex} vpdpbusd %ymm0, %ymm0, %ymm0' | $(CC) -mavxvnni -x assembler -c -o /dev/null - 2>/dev/null && echo 1)
core_sources += $(wildcard core/kernels/avx2/*.c core/kernels/avx512/*.c $(if $(has_amx),core/kernels/amx/*.c))
core_sources := $(filter-out $(if $(has_avx_vnni),,%/tiles_vnni.c),$(core_sources))
else
core_sources := $(filter-out %_avx2.c %_avx512.c,$(core_sources))
endif
ifeq ($(ARCH),aarch64)
core_sources += $(wildcard core/kernels/neon/*.c)
endif
app_sources := $(wildcard app/*/*.c app/*/*/*.c)
server_sources := $(wildcard server/*/*.c)
cli_sources := $(wildcard cli/*.c cli/*/*.c)
protos := $(wildcard core/graph/*.proto)
generated := $(patsubst core/graph/%.proto,$(B)/gen/core/graph/%.pb-c.c,$(protos))
.SECONDARY: $(generated)

object = $(patsubst %.c,$(B)/obj/%.o,$(1))
core_objects := $(call object,$(core_sources)) $(patsubst $(B)/gen/%.c,$(B)/obj/gen/%.o,$(generated))
app_objects := $(call object,$(app_sources))
server_objects := $(call object,$(server_sources))
cli_objects := $(call object,$(cli_sources))
LIB := $(B)/libinfomask.a
APP_LIB := $(B)/libapp.a
SERVER_LIB := $(B)/libserver.a

unit_sources := $(wildcard tests/unit/*/test_*.c)
unit_support := $(wildcard tests/unit/*.c)
unit_tests := $(patsubst tests/unit/%.c,$(B)/tests/%,$(unit_sources))

# what was cut in the middle is no result
.DELETE_ON_ERROR:

.PHONY: all
all: $(BIN) ## build the daemon and command line tool (the default); DEBUG=1, SAN=address,undefined, SAN=thread

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

$(BIN): $(cli_objects) $(SERVER_LIB) $(APP_LIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(cli_objects) $(SERVER_LIB) $(APP_LIB) $(LIB) $(package_libs)
	@echo "built $@"

$(LIB): $(core_objects)
$(APP_LIB): $(app_objects)
$(SERVER_LIB): $(server_objects)
$(LIB) $(APP_LIB) $(SERVER_LIB):
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# the flags that one source file gets beside the common ones
# gcc's choice of pointers for the many rows of a depthwise tile takes registers from its sums (clang has no such flag)
flags_depthwise := $(if $(findstring clang,$(CC)),,-fno-ivopts)
# on arm64 gcc moves loads to the front of a loop before it gives out registers, and then has too few
flags_neon := $(if $(findstring clang,$(CC)),,-fno-schedule-insns)
# ThreadSanitizer makes some vector kernels take minutes to compile, and they are not run over HTTP then.  They share
# nothing: who computes which piece is decided above them, and the same for ref/, where it looks.
file_flags = $(if $(filter $(numeric),$(1)),$(flags_numeric)) $(if $(filter %/depthwise.c,$(1)),$(flags_depthwise)) \
	$(if $(filter core/kernels/neon/%,$(1)),$(flags_neon)) \
	$(if $(filter core/kernels/avx2/% %_avx2.c,$(1)),$(flags_avx2)) \
	$(if $(filter %/tiles_vnni.c,$(1)),$(flags_vnni)) \
	$(if $(filter core/kernels/avx512/% core/kernels/amx/% %_avx512.c,$(1)),$(flags_avx512)) \
	$(if $(filter core/kernels/kernels.c,$(1)),$(if $(has_amx),-DKERNELS_AMX)) \
	$(if $(filter core/kernels/avx2/gemm.c,$(1)),$(if $(has_avx_vnni),-DKERNELS_AVX_VNNI)) \
	$(if $(filter thread,$(SAN)),$(if $(filter core/kernels/avx2/% core/kernels/avx512/% core/kernels/amx/%,$(1)),-fno-sanitize=thread)) \
	$(if $(filter cli/version.c,$(1)),-DINFOMASK_LIBRARIES='"$(library_versions)"')
# what `infomask version` says it was built with, whatever CFLAGS somebody gave
library_versions = $(shell for p in $(packages); do echo "$$p $$(pkg-config --modversion $$p)"; done | paste -sd, | sed 's/,/, /g')

$(B)/obj/%.o: %.c | $(generated)
	@mkdir -p $(@D)
	$(progress)
	$(Q)$(CC) $(CFLAGS_ALL) $(call file_flags,$<) -c -o $@ $<

# How far a build is: on a terminal one line that is written over, elsewhere a line now and then.
objects = $(filter-out $(B)/obj/gen/%,$(core_objects)) $(app_objects) $(server_objects) $(cli_objects)
progress = $(eval started += x)@if [ -t 2 ]; then printf '\r\033[Kcompiling %d of %d: %s' $(words $(started)) \
	$(words $(objects)) $< >&2; [ $(words $(started)) -lt $(words $(objects)) ] || printf '\r\033[K' >&2; \
	elif [ $$(($(words $(started)) % 50)) = 0 ]; then echo "compiled $(words $(started)) of $(words $(objects))"; fi

# what is missing is said once, with the remedy, instead of by each compiler that stumbles over it
$(B)/.tools:
	@missing=; for tool in $(firstword $(CC)) $(AR) pkg-config protoc-c; do \
		command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; done; \
	case $$missing in *pkg-config*) ;; *) for package in $(packages); do \
		pkg-config --exists $$package || missing="$$missing $$package"; done ;; esac; \
	[ -z "$$missing" ] || { echo "not installed:$$missing" >&2; \
		echo "make deps installs what a build needs (as root or through sudo)" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

# the web page is embedded: its texts packed, its photos as they are
web_texts := $(patsubst server/web/%,$(B)/gen/web/%.gz,$(filter-out %.c %.h,$(wildcard server/web/*.*)))
$(B)/gen/web/%.gz: server/web/%
	@mkdir -p $(@D)
	$(Q)gzip -9nc $< > $@
web_parts := $(web_texts) $(wildcard server/web/photos/*)
$(B)/obj/server/web/web.o: $(web_parts)

# the shapes of the replies are embedded as they are
$(B)/obj/server/openapi/openapi.o: server/openapi/schemas.json

# generated by protoc-c: not ours to keep free of warnings
$(B)/gen/core/graph/%.pb-c.c: core/graph/%.proto | $(B)/.tools
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(B)/gen $<
$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -w -c -o $@ $<

$(B)/tests/%: tests/unit/%.c $(unit_support) $(LIB) $(APP_LIB) $(SERVER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/unit $(LDFLAGS_ALL) -o $@ $< $(unit_support) $(SERVER_LIB) $(APP_LIB) $(LIB) -lcmocka $(package_libs)

.PHONY: clean
clean: ## remove the build folder
	rm -rf build

-include $(wildcard $(patsubst %.o,%.d,$(core_objects) $(app_objects) $(server_objects) $(cli_objects))) $(wildcard $(B)/tests/*/*.d $(B)/*/*.d)
# in this order: a prerequisite can only name what was defined before
include $(addprefix mk/,deps.mk data.mk run.mk fuzz.mk test.mk bench.mk package.mk)
