"""What is said over the data channel of a WebRTC connection, beside the sound."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.incoming import Incoming

ChannelMessage = str | bytes
"""A message over a data channel."""


class DataChannelProtocol:
    """The messages of one agent. Subclass it with what its protocol has; what is not overridden it has not.

    One object serves one adapter; ``opened`` begins each connection.

    Attributes:
        label: of the data channel.
        capabilities: what the protocol can do beside sound.
        ends_turns: whether it tells the end of each of the agent's turns.
        turn_settles: seconds after it has told the end of a turn until the turn is over at the earliest: once the line
            has fallen silent. Sound takes another way than messages, and waits on it.
    """

    label: str = "events"
    capabilities: AdapterCapabilities = AdapterCapabilities()
    ends_turns: bool = False
    turn_settles: float = 0.1

    def opened(self) -> Sequence[ChannelMessage]:
        """A connection begins: what is said first."""
        return ()

    def decode(self, message: ChannelMessage) -> Sequence[Incoming]:
        """What a message tells; nothing where it tells nothing.

        Raises:
            ValueError: it cannot be read. That ends the connection.
        """
        del message
        return ()

    def encode_interrupt(self) -> ChannelMessage | None:
        """What tells the agent to stop. Set ``interruption`` in ``capabilities`` as well."""
        return None

    def encode_dtmf(self, keys: str) -> ChannelMessage | None:
        """What presses keys. Set ``dtmf`` in ``capabilities`` as well."""
        del keys
        return None

    def encode_text(self, text: str) -> ChannelMessage | None:
        """What says something to the agent in writing."""
        del text
        return None

    def closing(self) -> Sequence[ChannelMessage]:
        """What is said before this side closes the connection."""
        return ()
