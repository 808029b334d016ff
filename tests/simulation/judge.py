"""What must hold once a world has settled. Everything is counted by id, on both sides.

Complaints are sentences. What is excused is named here, with the reason, and nowhere else.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from legacy_emu.events import Show
from tests.simulation.legacy import Accepted
from tests.simulation.traffic import UserOfGateway
from tests.simulation.xml_stream import to_xml
from tests.simulation.xmpp_users import Received, Sent

if TYPE_CHECKING:
    from tests.simulation.world import World

# The one window in which a user's message may be lost: read, but neither handed over nor in the
# journal when the process is killed (docs/delivery.md). The journal writes what is 50 ms late, in
# rounds that begin 50 ms apart, and a call to the store takes some milliseconds.
WINDOW_SECONDS = 0.2

# What a store that fails adds to it, once it works again: the journal's pause before its next try,
# and a call that was slow.
STORE_RETRY_SECONDS = 8.0

# The first delay is up to a second, the next twice that, and so on; besides, users come and go.
DIAL_WINDOW_SECONDS = 5.0
DIALS_PER_USER = 5


def settled(world: "World") -> None:
    """Judge a world in which every fault has ended a while ago."""
    accepted = list(world.legacy.accepted())
    for user in world.users:
        _his_messages(world, user, accepted)
        _messages_to_him(world, user, accepted)
        _his_questions(world, user)
        _what_he_sees(world, user)
        _how_he_is_seen(world, user)
    _how_often_it_dialled(world)
    for offence in world.xmpp.offences:
        world.complain(f"the XMPP server closed the link: {offence}")


def stopped(world: "World") -> None:
    """Judge what the orderly end has left behind: nobody is online any more."""
    for user in world.users:
        if world.legacy.is_online(user.legacy_name):
            world.complain(f"{user.legacy_name} is still signed on after the end")
        for resource, client in user.xmpp.resources.items():
            for jid, seen in client.seen.items():
                if seen.available and jid.endswith(user.gateway):
                    world.complain(f"{user.xmpp.jid}/{resource} still sees {jid} after the end")


# --- from users to the service ----------------------------------------------------------------


def _his_messages(world: "World", user: UserOfGateway, accepted: list[Accepted]) -> None:
    """Each message arrived once, or its sender learned of its failure, or it is excused."""
    arrived = Counter(one.text for one in accepted if one.sender == user.legacy_name)
    order = [one.text for one in accepted if one.sender == user.legacy_name]
    for sent in _of_kind(user, "message"):
        if arrived[sent.body] > 1:
            world.complain(f"{sent.body!r} arrived {arrived[sent.body]} times")
        if not arrived[sent.body] and not sent.bounced and not _excused(world, sent):
            world.complain(f"{sent.body!r} is lost; {_story(world, sent)}")
    numbers = [int(text.partition(">")[2]) for text in order]
    if numbers != sorted(numbers):
        world.complain(f"messages of {user.legacy_name} arrived out of order: {numbers}")


def _excused(world: "World", sent: Sent) -> bool:
    read_at, link = sent.read_at(), sent.link
    if read_at == float("inf"):  # it was under way when its link was lost
        return link is not None and link.ended_at < float("inf")
    return any(
        read_at <= host.died_at < _committed_by(world, read_at) + WINDOW_SECONDS
        for host in world.hosts
    )


def _committed_by(world: "World", read_at: float) -> float:
    """Return by when the journal could be written, for a message read then."""
    for start, end in sorted(world.machine.store.spans):
        if start - WINDOW_SECONDS <= read_at <= end + STORE_RETRY_SECONDS:
            read_at = end + STORE_RETRY_SECONDS
    return read_at


def _story(world: "World", sent: Sent) -> str:
    deaths = [host.died_at for host in world.hosts if host.dead]
    return f"sent at {sent.at:.3f}, read at {sent.read_at():.3f}, crashes at {deaths}"


# --- from the service to users ----------------------------------------------------------------


def _messages_to_him(world: "World", user: UserOfGateway, accepted: list[Accepted]) -> None:
    """What the service took for him arrived, or waits there; a repeat is known as one."""
    received: dict[str, list[Received]] = {}
    for message in user.xmpp.received:
        received.setdefault(message.body, []).append(message)
    kept = world.legacy.kept(user.legacy_name)
    for one in accepted:
        if one.to != user.legacy_name:
            continue
        copies = received.pop(one.text, [])
        waits = one.id in kept and not user.online
        if not copies and not waits:
            world.complain(f"{one.text!r} to {user.legacy_name} is lost")
        if len({copy.id for copy in copies}) > 1:
            world.complain(f"{one.text!r} came under several ids: {[c.id for c in copies]}")
        for copy in copies[1:]:
            if copy.stamp is None:
                world.complain(f"{one.text!r} was repeated without a delay stamp")
        for copy in copies:
            if copy.sender != user.jid_of(one.sender):
                world.complain(f"{one.text!r} came from {copy.sender}, not from {one.sender}")
    for body, copies in received.items():
        if copies[0].sender != user.gateway:  # notices of the gateway itself
            world.complain(f"{body!r} came to {user.xmpp.jid}, and nobody sent it to him")


# --- storms -----------------------------------------------------------------------------------


def _how_often_it_dialled(world: "World") -> None:
    """A service that does not answer is tried again with growing delays (docs/architecture.md)."""
    limit = DIALS_PER_USER * len(world.users)
    recent: dict[str, deque[float]] = {}
    for at, who in world.network.dials:
        window = recent.setdefault(who, deque())
        window.append(at)
        while window[0] <= at - DIAL_WINDOW_SECONDS:
            window.popleft()
        if len(window) > limit:
            world.complain(f"{who}: {len(window)} attempts within {DIAL_WINDOW_SECONDS} s")
            return


# --- questions --------------------------------------------------------------------------------


def _his_questions(world: "World", user: UserOfGateway) -> None:
    """Each question has one answer; none may be missing while its link and its reader lived."""
    for asked in _of_kind(user, "iq"):
        if len(asked.answers) > 1:
            world.complain(f"question {asked.id} has {len(asked.answers)} answers")
        lived = asked.link is not None and asked.link.ended_at == float("inf")
        if not asked.answers and lived:
            world.complain(f"question {asked.id} has no answer; {_story(world, asked)}")
    for stray in user.xmpp.strays:
        world.complain(f"an answer to nothing: {to_xml(stray)}")


# --- presence ---------------------------------------------------------------------------------


def _what_he_sees(world: "World", user: UserOfGateway) -> None:
    """Each of his clients sees each contact as the service has it, and the gateway online."""
    for resource, client in user.xmpp.resources.items():
        where = f"{user.xmpp.jid}/{resource}"
        if client.sees(user.gateway) is None:
            world.complain(f"{where} does not see the gateway online")
        for contact, item in user.xmpp.roster.items():
            if not item.to or contact == user.gateway:
                continue
            name = contact.partition("@")[0]
            truth = world.legacy.look(name, seen_by=user.legacy_name)
            seen = client.sees(contact)
            if seen is None and truth.show is not Show.OFFLINE:
                world.complain(f"{where} sees {name} offline, who is {truth.show}")
            elif seen is not None and truth.show is Show.OFFLINE:
                world.complain(f"{where} sees a ghost of {name}, who is offline")
            elif seen is not None and (seen.show or "online") != truth.show.value:
                world.complain(f"{where} sees {name} {seen.show or 'online'}, not {truth.show}")


def _how_he_is_seen(world: "World", user: UserOfGateway) -> None:
    """The service has him online when he has a client there, and otherwise not."""
    name = user.legacy_name
    if world.legacy.is_online(name) and not user.online:
        world.complain(f"{name} is a ghost: signed on to the service, with no client")
    if user.online and not world.legacy.is_online(name):
        world.complain(f"{name} has a client, and is not signed on to the service")
    for contact in world.contacts:
        shown = contact.sees.get(name)
        visible = shown is not None and shown.show is not Show.OFFLINE
        if contact.online and not user.online and visible:
            world.complain(f"{contact.name} sees a ghost of {name}")


def _of_kind(user: UserOfGateway, name: str) -> Iterable[Sent]:
    return (sent for sent in user.xmpp.sent.values() if sent.name == name)
