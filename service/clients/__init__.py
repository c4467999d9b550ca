"""Clients: their handshakes, connections and frames, the Hub that holds them, and how they go."""
