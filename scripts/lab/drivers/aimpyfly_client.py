"""A user of aimpyfly: commands come on the input, what the client tells goes to the output.

The first argument is the folder in which aimpyfly is installed. What it logs as a warning or an
error is all that it tells its user of a sign-on.
"""

import asyncio
import json
import logging
import sys

sys.path.append(sys.argv[1])

from aimpyfly.aim_client import AIMClient


def tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell("log", level=record.levelname.lower(), text=record.getMessage())


async def heard(sender: str, text: str) -> None:
    tell("message", sender=sender, text=text)


async def sign_on(host: str, port: int, name: str, password: str) -> AIMClient:
    logger = logging.getLogger("client")
    logger.addHandler(Told())
    client = AIMClient(host, port, name, password, logger=logger)
    client.set_message_callback(heard)
    await client.connect()  # whether it worked it does not say
    tell("signed_on" if client.auth_cookie else "refused")
    return client


async def main() -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        while line := await lines.readline():
            fields = json.loads(line)
            match fields.pop("do"):
                case "sign_on":
                    client = await sign_on(**fields)
                    if client.auth_cookie:
                        tasks.create_task(client.process_incoming_packets())
                case "send":
                    await client.send_message(fields["to"], fields["text"])


asyncio.run(main())
