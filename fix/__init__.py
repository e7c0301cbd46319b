"""A FIX engine: FIX 4.2, 4.4, and FIXT 1.1 with FIX 5.0 SP2; initiator and acceptor. docs/fix.md tells it all.

`engine` is what an application uses: five callbacks. `message`, `orders` and `market_data` are what it speaks,
`session` keeps the session protocol without any I/O, `transport` puts it on sockets. Nothing here knows of Azure, of
storage or of strategies.
"""
