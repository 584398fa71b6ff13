# Benches of the image room.

$(B)/bench/%: tests/bench/%.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIB) $(package_libs)

.PHONY: bench-image
bench-image: $(B)/bench/image ## time decoding, resampling and PNG encoding against libjpeg-turbo alone; FILES= for other JPEGs
	$(Q)$< $(or $(SECONDS),2) $(FILES)
