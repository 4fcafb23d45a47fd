"""Channel ranges as a config writes them: `"0:3"`, `2`, `[0, 3]`, or nothing for all."""

from __future__ import annotations

from connectomics.errors import ConfigError

ChannelRange = str | int | tuple[int, int] | None


def channel_range(spec: ChannelRange, channels: int, where: str = "channels") -> tuple[int, int]:
    """Turn a channel range into its first channel and the one past its last.

    Args:
        spec: `"0:3"`, `"2"`, a channel number, a pair, or None for all channels.
        channels: How many there are.
        where: The place in the config, for the message.

    Raises:
        ConfigError: It is not a range, is empty, or leaves the channels there are.

    >>> channel_range("0:3", 3), channel_range(2, 3), channel_range(None, 3)
    ((0, 3), (2, 3), (0, 3))
    """
    try:
        start, stop = _bounds(spec, channels)
    except ValueError:
        raise ConfigError(where, f"{spec!r} is no channel range.", 'Write "0:3" or 0.') from None
    if not 0 <= start < stop <= channels:
        raise ConfigError(where, f"{spec!r} leaves the channels 0 to {channels - 1}, or is empty.")
    return start, stop


def _bounds(spec: ChannelRange, channels: int) -> tuple[int, int]:
    if spec is None:
        return 0, channels
    if isinstance(spec, int):
        return spec, spec + 1
    if isinstance(spec, str):
        first, colon, last = spec.partition(":")
        start = int(first or 0)
        return start, (int(last or channels) if colon else start + 1)
    start, stop = spec
    return start, stop
