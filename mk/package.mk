# Packages: the source archive, a Debian package, the container image, the bill of materials; each is the same, byte for
# byte, when it is made again.

VERSION ?= $(shell sed -n 's/.*INFOMASK_VERSION "\(.*\)"/\1/p' core/infomask.h)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
SUITE ?= bookworm

.PHONY: dist
dist: ## the source archive and the bill of materials, in build/dist/
	@mkdir -p build/dist
	@git archive --format=tar --prefix=infomask-$(VERSION)/ HEAD | gzip -9n >build/dist/infomask-$(VERSION).tar.gz
	+@$(MAKE) -s --no-print-directory sbom
	@cd build/dist && sha256sum infomask-$(VERSION).tar.gz infomask-$(VERSION).spdx.json | tee SHA256SUMS

.PHONY: sbom
sbom: $(BIN) $(MODEL) ## the software bill of materials of the binary, SPDX 2.3, in build/dist/
	@mkdir -p build/dist
	@$(PYTHON) tools/sbom.py --binary $(BIN) >build/dist/infomask-$(VERSION).spdx.json

.PHONY: deb
deb: ## the Debian package, in build/deb/
	@sh mk/deps.sh debhelper dpkg-dev
	@sh tools/deb.sh $(VERSION)

.PHONY: test-deb
test-deb: deb ## install, serve, upgrade and purge the package in a fresh SUITE=bookworm (root), and lintian
	@sh mk/deps.sh debootstrap lintian
	@sh tools/test_deb.sh build/deb $(SUITE)

# for systems of glibc 2.31 and later: Debian 11, Ubuntu 20.04, RHEL 9 and what came after; on arm64 the same target makes that one
.PHONY: tarball
tarball: $(MODEL) ## an archive that runs where it is unpacked, on glibc 2.31 and later, in build/dist/ (root: it builds in a debootstrap)
	@sh mk/deps.sh debootstrap binutils
	@sh tools/tarball.sh $(VERSION) bullseye

.PHONY: test-tarball
test-tarball: tarball ## the archive in fresh systems: the oldest that it is for, and SUITE=bookworm or another (root)
	@sh tools/test_tarball.sh build/dist/infomask-$(VERSION)-linux-$$(dpkg --print-architecture).tar.gz 2.31 bullseye $(SUITE)

.PHONY: test-newcomer
test-newcomer: ## the README's first command as a new user on a bare SUITE=bookworm: no root, a path with a space, a busy port, offline (root)
	@sh mk/deps.sh debootstrap
	@sh tools/newcomer.sh $(SUITE)

.PHONY: test-reproducible
test-reproducible: ## two builds in folders of different names give the same bytes
	@sh tools/reproducible.sh

# ---- The container image, by docker, podman or buildah, whichever is there; BASE= names another base image --------------------

IMAGE ?= infomask
BASE ?= docker.io/library/debian:trixie-slim
POSTGRES ?= 0
SUITE_IMAGE ?= trixie

.PHONY: image
image: ## build the container image; IMAGE=infomask, BASE=debian:trixie-slim, POSTGRES=1
	@if command -v podman >/dev/null; then set -- podman build --format docker; \
	elif command -v buildah >/dev/null; then set -- buildah bud --format docker; \
	else set -- docker build; fi; \
	"$$@" --build-arg BASE=$(BASE) --build-arg POSTGRES=$(POSTGRES) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) -f docker/Dockerfile -t $(IMAGE) .

# where no registry of images is reachable: the base is made from the machine's own Debian mirror
.PHONY: test-image
test-image: ## build the image on a base made by debootstrap, run it read-only and without capabilities (root); POSTGRES=1
	@sh mk/deps.sh debootstrap buildah podman
	@sh tools/base_image.sh $(SUITE_IMAGE) localhost/debian-$(SUITE_IMAGE)
	@POSTGRES=$(POSTGRES) sh tools/test_image.sh localhost/debian-$(SUITE_IMAGE)

.PHONY: bench-images
bench-images: ## size, cold start and memory of the image of make test-image beside FastAPI + onnxruntime (root); ROUNDS=5
	@sh mk/deps.sh debootstrap buildah
	@sh tools/base_image.sh $(SUITE_IMAGE) localhost/debian-$(SUITE_IMAGE)
	@$(PYTHON) tests/bench/images.py localhost/debian-$(SUITE_IMAGE) localhost/infomask-test:0 --rounds $(or $(ROUNDS),5)

.PHONY: test-manifests
test-manifests: $(CHECK_VENV)/.done ## Kubernetes manifests and the chart against their schemas (kustomize, helm where go is)
	@GOBIN="$(CURDIR)/build/gobin" sh tools/kubernetes_tools.sh
	@PATH="$(CURDIR)/build/gobin:$$PATH" $(CHECK_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/container

# ---- Many machines ---------------------------------------------------------------------------------------------------------------

.PHONY: test-scale
test-scale: $(BIN) $(SCALE_VENV)/.done ## infomask estimate over shards by Ray and Spark (from PyPI, real), Slurm, Argo and a Job: the same bits
	@sh mk/deps.sh default-jre-headless
	@INFOMASK_BIN="$(abspath $(BIN))" $(SCALE_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/scale

# ---- Documents made from the program ------------------------------------------------------------------------------------------------

.PHONY: api-md
api-md: $(BIN) $(MODEL) ## write docs/api.md from the service's own description
	$(Q)sh tools/api_md.sh $(BIN) docs/api.md
