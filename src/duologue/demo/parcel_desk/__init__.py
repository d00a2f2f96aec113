"""A small desk for parcels that callers speak with: the agent of the voice demo. It has one real fault.

It is an ordinary program with a WebSocket server: Whisper hears, a few rules decide, hibari speaks. It runs by itself::

    python -m duologue.demo.parcel_desk --port 8765
"""
