"""The node's metrics, in one place so that names and meanings are found at once."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("websocket_connections", "Open WebSocket connections of this node.")
CONNECTIONS_OPENED = Counter(
    "websocket_connections_opened", "WebSocket connections accepted since the start."
)
HANDSHAKES_REFUSED = Counter(
    "websocket_handshakes_refused", "Handshakes refused, by close code or HTTP status.", ["code"]
)
LIMITED = Counter(
    "websocket_limited", "How often each limit under websocket.limits was reached.", ["limit"]
)
MESSAGES_DROPPED = Counter(
    "websocket_messages_dropped", "Messages dropped for clients that read too slowly."
)
ADMISSIONS_REFUSED = Counter(
    "websocket_admissions_refused",
    "Handshakes refused for their origin or their token, by reason.",
    ["reason"],
)
TOKENS_EXPIRED = Counter(
    "websocket_tokens_expired", "Connections closed because their token has expired."
)
JWKS_FETCHES = Counter(
    "websocket_jwks_fetches", "Fetches of the key set for tokens, by outcome.", ["outcome"]
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
MESSAGES_LOST = Counter(
    "websocket_messages_lost",
    "AMQP messages of other nodes that were lost with a queue and could not be had again.",
)
MESSAGES_RESENT = Counter(
    "websocket_messages_resent",
    "AMQP messages that were lost with a queue and came when the sender was asked again.",
)
MESSAGES_REPEATED = Counter(
    "websocket_messages_repeated", "AMQP messages dropped because they had come before."
)
DELIVERIES = Counter("websocket_deliveries", "Messages handed to sockets.")
UNDELIVERED = Counter(
    "websocket_undelivered",
    "Accepted pushes that were not written for a target, or for one of its connections, by reason.",
    ["reason"],
)
# What each reason means is told in docs/push-api.md.
OFFLINE = UNDELIVERED.labels("offline")
RETURNED = UNDELIVERED.labels("returned")
GONE = UNDELIVERED.labels("gone")
CLOSED = UNDELIVERED.labels("closed")
SLOW = UNDELIVERED.labels("slow")
REPORTS_WAITING = Gauge(
    "websocket_reports_waiting", "Pushes of this node whose caller waits for a delivery report."
)
REPORTS_LOST = Counter(
    "websocket_reports_lost", "Delivery reports that could not be given to the node that asked."
)
REPORTS_LATE = Counter(
    "websocket_reports_late", "Delivery reports that came when nobody waited for them any more."
)
REPORTS_INCOMPLETE = Counter(
    "websocket_reports_incomplete",
    "Pushes with wait that were answered before every node had told.",
)
IDEMPOTENT_REQUESTS = Counter(
    "websocket_idempotent_requests",
    "Requests with an Idempotency-Key, by result: new, replayed, under_way, mismatch, unavailable.",
    ["result"],
)
PUSHES_ACCEPTED = Counter("websocket_pushes_accepted", "Pushes accepted, by mode.", ["mode"])
PUSHES_FAILED = Counter("websocket_pushes_failed", "Pushes refused because a server was away.")
PUSHES_RETRIED = Counter(
    "websocket_pushes_retried", "Routed messages that came back because their node was gone."
)
HISTORY_RESUMES = Counter(
    "websocket_history_resumes", "Answers to clients that resume: resumed or reset.", ["outcome"]
)
HISTORY_REPEATS = Counter(
    "websocket_history_repeats", "Messages dropped because their position had been delivered."
)
HISTORY_REPAIRED = Counter(
    "websocket_history_repaired", "Messages fetched from Redis because they had not come."
)
HISTORY_LOST = Counter(
    "websocket_history_lost", "Messages that had not come and that Redis has no more."
)
HISTORY_DATA_SETS = Counter(
    "websocket_history_data_sets", "How often Redis turned out to have other data than before."
)
BROKER_UP = Gauge("websocket_broker_up", "Whether the queue of this node is being consumed.")
DIRECTORY_UP = Gauge("websocket_directory_up", "Whether Redis answers this node.")
