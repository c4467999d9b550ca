"""Text to tree: the kinds of documents that Nacos holds, read within limits, with lines."""
