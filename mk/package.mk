# Packages: the source archive, a Debian package, the bill of materials; each is the same, byte for byte, when it is made again.

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
sbom: $(BIN) ## the software bill of materials of the binary, SPDX 2.3, in build/dist/
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

.PHONY: test-reproducible
test-reproducible: ## two builds in folders of different names give the same bytes
	@sh tools/reproducible.sh
