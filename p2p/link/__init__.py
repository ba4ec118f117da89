"""The direct link of two peers: tickets, Yamux streams, producers and consumers.

Once a link stands, a byte takes this way, here and back:

- In: the reactor calls ``WideSocket.doRead`` (wire/wide_socket.py); ``BulkTLS.read`` or ``Plain.read`` fills a buffer
  (wire/bulk.py) and calls ``DirectLink.dataReceived`` (protocol.py) with a view of it; ``Session.receive`` (mux.py)
  cuts the view into frames and returns events (events.py); ``_dispatch`` gives those of data to ``Stream.link_data``
  (flow.py), which keeps them (pieces.py) while it is paused, tells its receiver, and gives credit for what that has
  taken: ``DirectLink.stream_consumed``, ``Session.consumed``.
- Out: ``Stream.write`` (flow.py) queues by ``DirectLink.stream_write`` and ``Session.write``, and pauses its producer
  above a mark; in the reactor's next turn ``_pump`` asks ``Session.take`` (mux.py) for frames, in fair turns;
  ``BulkTLS.writeSequence`` (wire/bulk.py) passes them to ``WideSocket.writeSequence`` (wire/wide_socket.py), for which
  ``BulkTLS.send`` encrypts what the socket takes; as long as it has no room, ``pauseProducing`` stops the pump.

What waits on either way is counted in the scopes of the daemon (base/scopes.py, held.py).
"""
