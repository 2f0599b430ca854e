"""Tells customers by e-mail what happens to their orders."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Send = Callable[[str, str, str], Awaitable[None]]


@dataclass(frozen=True)
class Message:
    address: str
    subject: str
    body: str


class Notifier:
    """Sends messages with a few attempts each, so that a short outage of the mail server is not noticed."""

    def __init__(self, send: Send, *, attempts: int = 3, wait_s: float = 2.0) -> None:
        self._send = send
        self._attempts = attempts
        self._wait_s = wait_s
        self.sent = 0

    async def deliver(self, message: Message) -> bool:
        """Whether the message went out."""
        for attempt in range(1, self._attempts):
            try:
                await self._send(message.address, message.subject, message.body)
                self.sent += 1
                return True
            except ConnectionError:
                await asyncio.sleep(self._wait_s * attempt)
        return False

    async def deliver_all(self, messages: list[Message]) -> list[Message]:
        """Send all at once; returns those that did not go out."""
        results = await asyncio.gather(*(self.deliver(message) for message in messages))
        return [message for message, went_out in zip(messages, results, strict=True) if went_out]

    def shipped(self, address: str, order: int, parcel: str) -> Message:
        body = f"Your order {order} is on its way.\nFollow it: https://shop.example/parcels?code={parcel}\n"
        return Message(address, f"Order {order} was shipped", body)
