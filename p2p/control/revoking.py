"""RevocationFeed another end of a control channel what is revoked, from what it knows on."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2p.base.errors import P2PError
from p2p.control.channel import Channel
from p2p.control.commands import Revoke
from p2p.identity.revocations import RevocationList

__all__ = ["RevocationFeed"]

log = Logger()


class RevocationFeed:
    """Keeps one other end up to date.

    :param known: the largest number that it has.
    :ivar known: likewise, as far as it has answered.
    """

    def __init__(self, channel: Channel, revocations: RevocationList, known: int) -> None:
        self.known = known
        self._channel = channel
        self._revocations = revocations
        self._running = False

    def update(self) -> None:
        """Tell what it doesn't have yet, page after page; what comes meanwhile is told as well."""
        if not self._running and self.known < self._revocations.latest and self._channel.is_open:
            self._running = True
            Deferred.fromCoroutine(self._tell()).addErrback(
                lambda failure: log.failure("revocations can't be told", failure)
            )

    async def _tell(self) -> None:
        try:
            while self.known < self._revocations.latest:
                page = self._revocations.after(self.known)
                if not page:
                    self.known = self._revocations.latest  # the others have ended
                    break
                await self._channel.call(Revoke, statements=[one.statement for one in page])
                self.known = page[-1].number
        except P2PError as error:
            self._channel.tell("control: {who} couldn't be told what is revoked: {reason}", reason=str(error))
        finally:
            self._running = False
