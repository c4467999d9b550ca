"""The node's metrics, in one place so that names and meanings are found at once."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("websocket_connections", "Open WebSocket connections of this node.")
CONNECTIONS_OPENED = Counter(
    "websocket_connections_opened", "WebSocket connections accepted since the start."
)
HANDSHAKES_REFUSED = Counter(
    "websocket_handshakes_refused", "Handshakes refused, by close code or HTTP status.", ["code"]
)
SLOW_CLIENTS = Counter(
    "websocket_slow_clients", "Connections closed because the client read too slowly."
)
UNANSWERED_PINGS = Counter(
    "websocket_unanswered_pings", "Connections closed because a ping was not answered in time."
)
CLIENT_MESSAGES_IGNORED = Counter(
    "websocket_client_messages_ignored", "Messages from clients that mean nothing here."
)
MESSAGES_CONSUMED = Counter(
    "websocket_messages_consumed", "AMQP messages consumed, by exchange.", ["exchange"]
)
MESSAGES_POISONED = Counter(
    "websocket_messages_poisoned", "AMQP messages set aside, by exchange.", ["exchange"]
)
DELIVERIES = Counter("websocket_deliveries", "Messages handed to sockets.")
UNDELIVERED = Counter(
    "websocket_undelivered",
    "Targets of routed messages who had left this node when the message came.",
)
PUSHES_ACCEPTED = Counter("websocket_pushes_accepted", "Pushes accepted, by mode.", ["mode"])
PUSHES_FAILED = Counter("websocket_pushes_failed", "Pushes refused because a server was away.")
PUSHES_RETRIED = Counter(
    "websocket_pushes_retried", "Routed messages that came back because their node was gone."
)
BROKER_UP = Gauge("websocket_broker_up", "Whether the queue of this node is being consumed.")
DIRECTORY_UP = Gauge("websocket_directory_up", "Whether Redis answers this node.")
