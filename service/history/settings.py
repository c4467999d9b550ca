"""`websocket.history`: what is kept of pushes, for clients that come back."""

from datetime import timedelta

from nacos_boot.settings import Duration, Section, setting


class HistorySection(Section):
    """`websocket.history`."""

    enabled: bool = setting(
        False,
        "Keep accepted pushes in Redis: clients of cluster.v1 resume with their last token, and"
        " what was lost on the way is sent again. Pushes answer 503 while Redis is away.",
    )
    length: int = setting(1000, "Pushes kept for each user, a hundred more at times.", ge=1)
    all_length: int = setting(10_000, "Pushes to everyone that are kept, as above.", ge=1)
    age: Duration = setting(
        timedelta(hours=24), "How long pushes are kept; a sweep once a minute removes older ones."
    )
    resume_wait: Duration = setting(
        timedelta(seconds=1),
        "How long a new connection of cluster.v1 is held for its first message, a resume.",
    )
