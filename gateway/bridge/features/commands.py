"""Ad-hoc commands (XEP-0050; CMD-01, CMD-02): what a user does with the gateway, by another door.

A dialogue belongs to the resource that began it, has one step or two, and is forgotten after a
while. What the commands do is the session's business; here is how they are asked for and answered.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from gateway.bridge import texts
from gateway.bridge.accounts import Submission
from gateway.bridge.features import forms, registration
from gateway.bridge.user import User
from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, Iq, StanzaError, error_reply, result_of
from gateway.xmpp.xml import Element

MAX_DIALOGUES = 10
DIALOGUE_SECONDS = 600.0

_ACTIONS = frozenset(("execute", "cancel", "prev", "next", "complete"))


class Actions(Protocol):
    """What commands ask of the session they belong to. Texts are for the user."""

    def submit(self, submission: Submission) -> None:
        """Have a registration worked off. Raises `StanzaError`."""

    def log_in(self) -> str:
        """Sign on, whatever kept the session from it; return what is happening."""

    def log_out(self) -> str:
        """Sign off, though the user is here; return what is happening."""

    def describe(self) -> str:
        """Say where the session stands."""

    def offer_again(self) -> str:
        """Bring the whole contact list into the roster again; return what is happening."""


@attrs.define(eq=False)
class Dialogue:
    """One execution of a command, from its beginning to its last word."""

    id: str
    command: "Command"
    owner: Jid
    form: Element | None = None  # what the user is filling in
    request: Iq | None = None  # what waits for an answer


Begin = Callable[["Commands", Dialogue], None]
Submit = Callable[["Commands", Dialogue, Mapping[str, str]], None]


@attrs.frozen
class Command:
    node: str
    title: str
    begin: Begin
    submit: Submit | None = None  # what to do with the form that `begin` gave
    changed_title: str = ""  # for who is registered, where it differs
    for_registered: bool = True

    def title_for(self, user: User) -> str:
        title = self.changed_title if user.account is not None and self.changed_title else ""
        return user.text(title or self.title)

    def is_for(self, user: User) -> bool:
        """Say whether this command does anything for this user as things are."""
        if not user.domain.allows(user.jid) or registration.is_closed(user):
            return False
        return user.account is not None or not self.for_registered


class Commands:
    """The commands of one user. Nothing here waits."""

    def __init__(self, user: User, actions: Actions) -> None:
        self._user = user
        self.actions = actions
        self._dialogues: OrderedDict[str, Dialogue] = OrderedDict()

    def __len__(self) -> int:
        return len(self._dialogues)

    def take(self, iq: Iq) -> None:
        """Carry out one step, and answer it now or later. Raises `StanzaError`."""
        asked = iq.payload
        assert asked is not None
        if iq.to.local:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        action = asked.attributes.get("action", "execute")
        if action not in _ACTIONS:
            raise _bad_request("malformed-action")
        if id_ := asked.attributes.get("sessionid", ""):
            self._go_on(self._dialogue(id_, iq), iq, action)
        elif action == "execute":
            self._begin(iq)
        else:
            raise _bad_request("bad-action")

    def _begin(self, iq: Iq) -> None:
        assert iq.payload is not None
        command = COMMANDS.get(iq.payload.attributes.get("node", ""))
        if command is None:
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        registration.check_allowed(self._user)
        if not command.is_for(self._user):
            closed = registration.is_closed(self._user)
            text = texts.REGISTRATION_CLOSED if closed else texts.NOT_REGISTERED
            raise StanzaError(Condition.FORBIDDEN, self._user.text(text))
        while len(self._dialogues) >= MAX_DIALOGUES:
            self._end(next(iter(self._dialogues.values())))
        dialogue = Dialogue(self._user.domain.new_id(), command, iq.from_, request=iq)
        self._dialogues[dialogue.id] = dialogue
        self._user.later.set(dialogue, DIALOGUE_SECONDS, lambda: self._end(dialogue))
        command.begin(self, dialogue)

    def _go_on(self, dialogue: Dialogue, iq: Iq, action: str) -> None:
        assert iq.payload is not None
        if action == "cancel":
            self._end(dialogue)
            self._answer(dialogue, iq, "canceled")
            return
        if dialogue.request is not None or action in ("prev", "next"):
            raise _bad_request("bad-action")
        filled_in = iq.payload.child("x", ns.DATA_FORMS)
        if filled_in is None:
            raise _bad_request("bad-payload")
        try:
            values = forms.submitted(filled_in)
        except StanzaError as exc:
            raise _bad_request("bad-payload") from exc
        if values is None:
            self._end(dialogue)
            self._answer(dialogue, iq, "canceled")
            return
        dialogue.request = iq
        submit = dialogue.command.submit
        assert submit is not None  # it gave a form
        try:
            submit(self, dialogue, values)
        except StanzaError:
            dialogue.request = None
            raise

    def _dialogue(self, id_: str, iq: Iq) -> Dialogue:
        assert iq.payload is not None
        found = self._dialogues.get(id_)
        node = iq.payload.attributes.get("node", "")
        if found is not None and found.owner == iq.from_ and found.command.node == node:
            return found
        if found is None and id_ in self._user.domain.ended_dialogues:
            expired = Element("session-expired", ns.COMMANDS)
            raise StanzaError(Condition.NOT_ALLOWED, application=(expired,))
        raise _bad_request("bad-sessionid")

    def _end(self, dialogue: Dialogue) -> None:
        if self._dialogues.pop(dialogue.id, None) is not None:
            self._user.domain.ended_dialogues.append(dialogue.id)
            self._user.later.cancel(dialogue)

    # --- what commands say ---

    def give_form(self, dialogue: Dialogue, form: Element, error: str = "") -> None:
        """Ask the user to fill in `form`; `error` says what was wrong with it the last time."""
        actions = Element(
            "actions", ns.COMMANDS, {"execute": "complete"}, (Element("complete", ns.COMMANDS),)
        )
        dialogue.form = form
        shown = forms.with_error(form, error) if error else form  # not every client shows notes
        self._reply(dialogue, "executing", actions, shown, *_note("error", error))

    def finish(self, dialogue: Dialogue, text: str) -> None:
        """Say the last word."""
        self._end(dialogue)
        self._reply(dialogue, "completed", *_note("info", text))

    def submit(self, dialogue: Dialogue, values: Mapping[str, str] | None, done: str) -> None:
        """Have a registration worked off; what was wrong with it can be mended in the form."""

        def tell(error: StanzaError | None) -> None:
            if error is None:
                self.finish(dialogue, self._user.text(done))
            elif dialogue.form is not None and dialogue.id in self._dialogues:
                self.give_form(dialogue, dialogue.form, error.text or str(error.condition))
            elif dialogue.request is not None:
                reply = error_reply(dialogue.request, error.condition, error.text, type=error.type)
                self._user.domain.link.answer(reply)

        self.actions.submit(Submission(values, tell))

    def _reply(self, dialogue: Dialogue, status: str, *children: Element) -> None:
        request, dialogue.request = dialogue.request, None
        if request is not None:
            self._answer(dialogue, request, status, *children)

    def _answer(self, dialogue: Dialogue, iq: Iq, status: str, *children: Element) -> None:
        attributes = {"node": dialogue.command.node, "sessionid": dialogue.id, "status": status}
        answer = Element("command", ns.COMMANDS, attributes, children)
        self._user.domain.link.answer(result_of(iq, answer))

    # --- the commands themselves ---

    def _register(self, dialogue: Dialogue) -> None:
        self.give_form(dialogue, registration.form(self._user))

    def _registered(self, dialogue: Dialogue, values: Mapping[str, str]) -> None:
        registration.check_allowed(self._user)
        done = texts.REGISTERED if self._user.account is None else texts.CHANGED
        self.submit(dialogue, registration.checked(values), done)

    def _unregister(self, dialogue: Dialogue) -> None:
        warning = self._user.text(texts.UNREGISTER_WARNING)
        title = dialogue.command.title_for(self._user)
        self.give_form(dialogue, forms.form(title, warning, "unregister", ()))

    def _unregistered(self, dialogue: Dialogue, values: Mapping[str, str]) -> None:
        self.submit(dialogue, None, texts.UNREGISTERED)

    def _log_in(self, dialogue: Dialogue) -> None:
        self.finish(dialogue, self.actions.log_in())

    def _log_out(self, dialogue: Dialogue) -> None:
        self.finish(dialogue, self.actions.log_out())

    def _status(self, dialogue: Dialogue) -> None:
        self.finish(dialogue, self.actions.describe())

    def _sync(self, dialogue: Dialogue) -> None:
        self.finish(dialogue, self.actions.offer_again())

    all = (
        Command(
            ns.REGISTER,
            "Register your {title} account",
            _register,
            _registered,
            changed_title="Change your {title} registration",
            for_registered=False,
        ),
        Command("status", "Show where your session stands", _status),
        Command("login", "Sign on to {title}", _log_in),
        Command("logout", "Sign off from {title}", _log_out),
        Command("sync", "Bring your {title} contacts into your contact list", _sync),
        Command("unregister", "Remove your {title} registration", _unregister, _unregistered),
    )


COMMANDS = {command.node: command for command in Commands.all}


# --- discovery --------------------------------------------------------------------------------


def items(user: User, iq: Iq) -> Iq:
    """Answer with the commands that are for the asker (CMD-01, DISCO-02)."""
    listed = tuple(
        Element(
            "item",
            ns.DISCO_ITEMS,
            {"jid": str(user.domain.jid), "node": one.node, "name": one.title_for(user)},
        )
        for one in COMMANDS.values()
        if one.is_for(user)
    )
    return result_of(iq, Element("query", ns.DISCO_ITEMS, {"node": ns.COMMANDS}, listed))


def named(user: User, node: str | None) -> str | None:
    """Return the name of the command `node`; None: there is none of that name for this user."""
    command = COMMANDS.get(node or "")
    return command.title_for(user) if command is not None and command.is_for(user) else None


def _note(type_: str, text: str) -> tuple[Element, ...]:
    return (Element("note", ns.COMMANDS, {"type": type_}, (text,)),) if text else ()


def _bad_request(what: str) -> StanzaError:
    return StanzaError(Condition.BAD_REQUEST, application=(Element(what, ns.COMMANDS),))
