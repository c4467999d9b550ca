"""The API as `/openapi.json` describes it, against requests that fit the description and do not."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import ClusterUnderTest

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SEED = 6


@pytest.mark.parametrize(
    ("phases", "examples"),
    [
        pytest.param("examples,fuzzing", 12, id="short"),
        pytest.param(
            "examples,coverage,fuzzing,stateful",
            1000,
            id="long",
            marks=[pytest.mark.long, pytest.mark.timeout(3600)],
        ),
    ],
)
@pytest.mark.parametrize("through", ["node", "gateway"])
async def test_every_answer_is_described(
    session_cluster: ClusterUnderTest, tmp_path: Path, through: str, phases: str, examples: int
) -> None:
    node = session_cluster.nodes[0]
    program = node if through == "node" else session_cluster.gateway
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run"),
            *(f"{program.url}/openapi.json", "--no-color", "--generation-database", "none"),
            *("--checks", ",".join(CHECKS), "--phases", phases),
            *("--max-examples", str(examples), "--seed", str(SEED), "--request-timeout", "20"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]


async def test_errors_of_what_is_not_described_are_problems_too(
    session_cluster: ClusterUnderTest,
) -> None:
    node = session_cluster.nodes[0]
    for status, body in (
        await node.get("/api/nothing"),
        await node.get("/api/push"),
        await node.post("/api/nodes", {}),
    ):
        assert status in {404, 405}
        assert body["status"] == status
