"""FIX 4.4: messages, codec, a session engine without I/O, and its asyncio transport.

`message` and `orders` are what an application speaks, `session` keeps the session protocol, `transport` puts it on
sockets. Nothing here knows of Azure, of storage or of strategies.
"""
