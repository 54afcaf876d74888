"""One folder a framework, each with the same file names; nothing here imports two of them."""
