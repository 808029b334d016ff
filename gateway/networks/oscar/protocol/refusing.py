"""Commands that are not carried out: what they need, and what is told of them."""

from gateway.networks import base
from gateway.networks.base import Reason, Stage


def lacks(able: base.Capabilities, command: base.LegacyCommand) -> str | None:
    """Name what a command needs and the service does not have."""
    match command:
        case base.SendMessage(replaces=str()):
            return "corrections of messages"
        case base.SetPresence(only_for=(_, *_)):
            return "presence for single contacts"
        case base.MarkRead():
            return "read marks"
        case base.SendNudge():
            return "nudges"
        case base.Deny() | base.Revoke() if not able.deny:
            return "authorisations"
        case base.Block() | base.Unblock() if not able.block:
            return "blocking"
        case base.Search() if not able.search:
            return "search"
    return None


def refuse(command: base.LegacyCommand, reason: Reason, text: str) -> base.LegacyEvent:
    """Return what is told of a command that is not carried out."""
    if isinstance(command, base.SendMessage):
        return base.MessageOutcome(command.ref, Stage.FAILED, reason=reason, text=text)
    return base.CommandFailed(command.ref, reason, text)
