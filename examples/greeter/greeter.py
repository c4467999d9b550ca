"""A service that takes its greeting from Nacos, and every edit of it at once."""

from quart import Quart

from nacos_boot.quart_service import NacosService, ServiceSettings
from nacos_boot.settings import Section, setting


class GreeterSection(Section):
    """`greeter`."""

    text: str = setting("hello", "What GET / answers.", min_length=1)


class GreeterSettings(ServiceSettings):
    """Everything that the greeter can be told."""

    greeter: GreeterSection = GreeterSection()


app = Quart(__name__)
nacos = NacosService(app, GreeterSettings)


@app.get("/")
async def greet() -> str:
    """Answer with the text in force now."""
    return nacos.settings.greeter.text


if __name__ == "__main__":
    nacos.run()
