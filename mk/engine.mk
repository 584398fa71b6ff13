.PHONY: test-network
test-network: model $(B)/tests/engine/test_network ## the default network against golden logits, for every ISA and thread count
	$(Q)INFOMASK_TEST_MODEL=required $(EMULATOR) $(B)/tests/engine/test_network
test-all: test-network

.PHONY: test-threads
test-threads: model $(B)/tests/engine/test_network ## 300 runs each on 1, 2, 3 and 8 threads, bit for bit
	$(Q)INFOMASK_TEST_MODEL=required INFOMASK_TEST_REPEATS=300 $(B)/tests/engine/test_network
