"""A Quart route that does nothing: it reads the body and answers 202 with a little JSON.

uvicorn as it comes, on uvloop and httptools, one worker, no access log.
"""

import uvicorn
from quart import Quart, Response, request

from bench.peers.orders import port
from devtools.ports import LOOPBACK

# As long as what a node answers to a push for one user.
_ANSWER = b'{"id":"00000000000000000000000000000000","mode":"routed","targets":1,"offline":[]}'

app = Quart(__name__)


@app.post("/api/push")
async def _push() -> Response:
    await request.get_data(cache=False)
    return Response(_ANSWER, 202, content_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app,
        host=LOOPBACK,
        port=port(),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
