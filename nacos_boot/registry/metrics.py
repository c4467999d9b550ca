"""The metrics of what a program gets from Nacos, in one place so that they are found at once."""

from prometheus_client import Counter, Gauge

REGISTERED = Gauge("nacos_registered", "Whether Nacos has this program's instance.")
REGISTRATION_LOST = Counter(
    "nacos_registration_lost", "How often Nacos had lost this program's instance."
)
