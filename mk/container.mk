# The container image, by docker, podman or buildah, whichever is there.  BASE= names another base image.

IMAGE ?= infomask
BASE ?= docker.io/library/debian:bookworm-slim

.PHONY: image
image: ## build the container image; IMAGE=infomask, BASE=debian:bookworm-slim
	@if command -v podman >/dev/null; then set -- podman build --format docker; \
	elif command -v buildah >/dev/null; then set -- buildah bud --format docker; \
	else set -- docker build; fi; \
	"$$@" --build-arg BASE=$(BASE) -f docker/Dockerfile -t $(IMAGE) .
