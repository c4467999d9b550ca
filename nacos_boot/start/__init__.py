"""What a program must know before it can ask Nacos, and starts that fail with one sentence."""
