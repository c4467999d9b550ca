"""A program's settings with one of each kind of setting, for the tests of what describes them."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import SecretStr, model_validator

from nacos_boot.settings import Duration, DurationOrZero, OpenSection, Section, setting
from nacos_boot.settings.spring import LoggingSection, ServerSection


class SupplierSection(Section):
    """One entry of `shop.suppliers`."""

    name: str = setting(..., "Its name.")
    retries: int = setting(2, "Tries again.", ge=0)


class LimitsSection(Section):
    """`shop.limits`: how much."""

    max_items: int = setting(100, "Items of one cart.", unit="items", ge=1, le=1000)
    warn_at: int = setting(50, "Where a warning is shown.")

    @model_validator(mode="after")
    def _warned_before_the_end(self) -> Self:
        if self.warn_at >= self.max_items:
            raise ValueError(f"warn-at {self.warn_at} must be below max-items {self.max_items}")
        return self


class ShopSection(Section):
    """`shop`."""

    mode: Literal["open", "closed"] = setting("open", "Whether it sells | or not.")
    pause: DurationOrZero = setting(timedelta(0), "Between two sales.", when="next sale")
    timeout: Duration = setting(timedelta(milliseconds=1500), "Longest wait.")
    password: SecretStr = setting(SecretStr("guest"), "Of the till.", live=False)
    url: str = setting("", "Its address.", pattern="^(https?://.+)?$")
    discount: float | None = setting(None, "In percent; absent: none.", unit="%", ge=0, lt=100)
    tags: tuple[str, ...] = setting((), "Words.")
    labels: dict[str, str] = setting({}, "Names and values.")
    suppliers: list[SupplierSection] = setting([], "Who delivers.")
    limits: LimitsSection = LimitsSection(max_items=200)


class DataSection(OpenSection):
    """`spring.data`."""

    host: str = setting("127.0.0.1", "Host.")
    port: int = setting(6379, "Port.", ge=1, le=65535)


class SpringSection(OpenSection):
    """`spring`."""

    data: DataSection = DataSection()


class ShopSettings(OpenSection):
    """Everything that the shop can be told."""

    shop: ShopSection = ShopSection()
    spring: SpringSection = SpringSection()
    server: ServerSection = ServerSection()
    logging: LoggingSection = LoggingSection()


SETTINGS = ShopSettings
NOT_A_CLASS = "text"
