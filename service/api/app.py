"""The node's Quart app: the API."""

from quart import Quart

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.access import Access
from nacos_boot.http.guarded import GuardedQuart
from nacos_boot.http.problem import use_problems
from service.api.api import node_api
from service.api.api_connection import ApiConnection
from service.api.body_limit import limit_bodies
from service.api.push_api import add_push_api
from service.api.users import Users
from service.push.push_request import PushRequests
from service.push.pusher import Pusher
from service.settings import NodeSettings


def build_app(
    live: LiveSettings[NodeSettings],
    pusher: Pusher,
    requests: PushRequests,
    users: Users,
    access: Access,
) -> Quart:
    """Build the app; `serve_actuator` adds the actuator, or serves it elsewhere."""
    app = GuardedQuart("service", static_folder=None)
    app.asgi_http_class = ApiConnection
    use_problems(app)
    access.guard(app)
    limit_bodies(app, live)
    add_push_api(app, live, pusher, requests)
    app.register_blueprint(node_api(users))
    return app
