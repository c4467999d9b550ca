"""How large the body of a request may be."""

from quart import Quart, Response
from werkzeug.exceptions import RequestEntityTooLarge

from nacos_boot.config.live import LiveSettings
from service.api.http_answers import bad_request
from service.settings import NodeSettings


def limit_bodies(app: Quart, live: LiveSettings[NodeSettings]) -> None:
    """Have an app answer 413 to what is larger than `websocket.limits.max-body`."""

    def use(settings: NodeSettings) -> None:
        app.config["MAX_CONTENT_LENGTH"] = settings.websocket.limits.max_body

    async def too_large(_: RequestEntityTooLarge) -> Response:
        most = live.current.websocket.limits.max_body
        return bad_request("", f"the body has more than {most} bytes", "max-body")

    use(live.current)
    live.subscribe(lambda _, new: use(new))
    app.register_error_handler(RequestEntityTooLarge, too_large)
