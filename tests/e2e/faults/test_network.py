"""A cut cable lets nothing pass and tells nobody; others pass on."""

import asyncio
import os
import sys

from devtools.ports import LOOPBACK
from tests.e2e.faults.network import Network
from tests.waiting import eventually

CLIENT = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for line in sys.stdin.buffer:
    s.sendall(line)
    sys.stdout.buffer.write(s.makefile("rb").readline())
    sys.stdout.buffer.flush()
"""


async def test_one_program_is_cut_off_and_healed() -> None:
    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        ended.set()
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    pids: dict[str, int] = {}
    async with Network(lambda: pids) as network:
        port = await network.lead_to("echo", server.sockets[0].getsockname()[1])
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, str(port), stdin=-1, stdout=-1
        )
        assert other.stdin
        assert other.stdout
        pids |= {"us": os.getpid(), "other": other.pid}
        reader, writer = await asyncio.open_connection(LOOPBACK, port)

        async def asked(text: bytes) -> bytes:
            writer.write(text)
            return await reader.readline()

        assert await asked(b"1\n") == b"1\n"
        other.stdin.write(b"a\n")
        assert await other.stdout.readline() == b"a\n"

        network.cable("us", "echo").cut()
        asking = asyncio.create_task(asked(b"2\n"))
        # A connection that is made meanwhile waits, too.
        late_reader, late_writer = await asyncio.open_connection(LOOPBACK, port)
        late_writer.write(b"3\n")
        other.stdin.write(b"b\n")
        assert await other.stdout.readline() == b"b\n"
        assert not asking.done()

        network.cable("us", "echo").heal()
        assert await asking == b"2\n"
        assert await late_reader.readline() == b"3\n"

        # Nor is an end told while it is cut.
        ended.clear()
        network.cable("us", "echo").cut()
        late_writer.close()
        other.stdin.write(b"c\n")
        assert await other.stdout.readline() == b"c\n"
        assert not ended.is_set()
        network.cable("us", "echo").heal()
        await eventually(ended.is_set)
        writer.close()
        other.kill()
        await other.wait()
    server.close()
