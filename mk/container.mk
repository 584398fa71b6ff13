# The container image, by docker, podman or buildah, whichever is there.  BASE= names another base image.

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
test-image: ## build the image on a base made by debootstrap, run it read-only and without capabilities (root)
	@sh mk/deps.sh debootstrap buildah podman
	@sh tools/base_image.sh $(SUITE_IMAGE) localhost/debian-$(SUITE_IMAGE)
	@sh tools/test_image.sh localhost/debian-$(SUITE_IMAGE)

.PHONY: test-manifests
test-manifests: $(CHECK_VENV)/.done ## Kubernetes manifests and the chart against their schemas (kustomize, helm where go is)
	@GOBIN=$(CURDIR)/build/gobin sh tools/kubernetes_tools.sh
	@PATH=$(CURDIR)/build/gobin:$$PATH $(CHECK_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/container
