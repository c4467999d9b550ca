"""Who may come in: origins, tokens and the keys that prove them."""
