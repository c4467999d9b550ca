"""The node's Quart app: the API and the actuator."""

from quart import Quart

from nacos_boot.boot import Boot
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.one_task import OneTaskConnection
from nacos_boot.http.problem import use_problems
from service.api import node_api
from service.push_api import add_push_api
from service.pusher import Pusher
from service.settings import NodeSettings
from service.users import Users


def build_app(
    boot: Boot[NodeSettings], live: LiveSettings[NodeSettings], pusher: Pusher, users: Users
) -> Quart:
    """Build the app."""
    app = Quart("service", static_folder=None)
    app.asgi_http_class = OneTaskConnection
    use_problems(app)

    def limit_bodies(settings: NodeSettings) -> None:
        app.config["MAX_CONTENT_LENGTH"] = settings.websocket.limits.max_body

    limit_bodies(live.current)
    live.subscribe(lambda _, new: limit_bodies(new))
    add_push_api(app, live, pusher)
    app.register_blueprint(node_api(users))
    app.register_blueprint(boot.actuator())
    return app
