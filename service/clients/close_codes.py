"""Close codes that a client must react to. docs/websocket.md says what to do about each."""

DRAINING = 4001
TOO_SLOW = 4008
PING_TIMEOUT = 1001
NOT_AUTHENTICATED = 4401
REFUSED = 4403
TOO_MANY = 4429
