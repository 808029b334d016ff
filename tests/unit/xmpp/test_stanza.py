import attrs
import pytest

from gateway.xmpp import namespaces as ns
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Fault,
    Iq,
    IqType,
    MalformedStanza,
    Message,
    MessageType,
    Presence,
    PresenceType,
    Stanza,
    StanzaError,
    describe,
    element_of,
    error_reply,
    refusal,
    result_of,
    stanza_from,
)
from gateway.xmpp.xml import Element

ROMEO = Jid("romeo", "montague.lit", "orchard")
JULIET = Jid("juliet", "aim.shakespeare.lit")
GATEWAY = Jid("", "aim.shakespeare.lit")
PING = Element("ping", ns.PING)


def element(name: str, *children: Element | str, **attributes: str) -> Element:
    given = {"from": str(ROMEO), "to": str(JULIET)}
    given |= {key.rstrip("_").replace("__", ":"): value for key, value in attributes.items()}
    return Element(name, ns.COMPONENT, given, children)


def inner(name: str, *children: Element | str, **attributes: str) -> Element:
    plain = {key.replace("__", ":"): value for key, value in attributes.items()}
    return Element(name, ns.COMPONENT, plain, children)


@pytest.mark.parametrize(
    "stanza",
    [
        Message(to=ROMEO, from_=JULIET),
        Message(to=ROMEO, from_=JULIET, body=""),
        Message(
            to=ROMEO.bare,
            from_=JULIET,
            type=MessageType.CHAT,
            id="1",
            body="hello",
            lang="it",
            payload=(Element("active", ns.CHAT_STATES), inner("thread", "t")),
        ),
        Message(
            to=ROMEO,
            from_=JULIET,
            type=MessageType.ERROR,
            id="é",
            body="hello",
            error=Fault(
                Condition.GONE,
                ErrorType.CANCEL,
                "why",
                by="aim.shakespeare.lit",
                lang="en",
                application=(Element("too-sad", "urn:x"),),
            ),
        ),
        Presence(to=ROMEO, from_=JULIET),
        Presence(
            to=ROMEO,
            from_=JULIET,
            show="xa",
            status="out",
            priority=-5,
            lang="en",
            payload=(Element("c", ns.CAPS, {"ver": "1"}),),
        ),
        Presence(to=ROMEO, from_=JULIET, type=PresenceType.SUBSCRIBE, id="2"),
        Iq(to=ROMEO, from_=JULIET, type=IqType.GET, id="3", payload=PING),
        Iq(to=ROMEO, from_=JULIET, type=IqType.RESULT, id=""),
        Iq(
            to=ROMEO,
            from_=JULIET,
            type=IqType.ERROR,
            id="4",
            payload=PING,
            error=Fault(Condition.CONFLICT, ErrorType.CANCEL),
        ),
    ],
)
def test_a_stanza_survives_the_way_to_an_element_and_back(stanza: Stanza) -> None:
    assert stanza_from(element_of(stanza)) == stanza


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        (Condition.BAD_REQUEST, "bad-request/modify/400"),
        (Condition.CONFLICT, "conflict/cancel/409"),
        (Condition.FEATURE_NOT_IMPLEMENTED, "feature-not-implemented/cancel/501"),
        (Condition.FORBIDDEN, "forbidden/auth/403"),
        (Condition.ITEM_NOT_FOUND, "item-not-found/cancel/404"),
        (Condition.JID_MALFORMED, "jid-malformed/modify/400"),
        (Condition.NOT_ACCEPTABLE, "not-acceptable/modify/406"),
        (Condition.NOT_ALLOWED, "not-allowed/cancel/405"),
        (Condition.NOT_AUTHORIZED, "not-authorized/auth/401"),
        (Condition.REGISTRATION_REQUIRED, "registration-required/auth/407"),
        (Condition.REMOTE_SERVER_TIMEOUT, "remote-server-timeout/wait/504"),
        (Condition.RESOURCE_CONSTRAINT, "resource-constraint/wait/500"),
        (Condition.SERVICE_UNAVAILABLE, "service-unavailable/cancel/503"),
        (Condition.UNEXPECTED_REQUEST, "unexpected-request/wait/400"),
    ],
)
@pytest.mark.conformance("AMB-04", "REG7-09")
def test_a_condition_has_its_usual_type_and_code(condition: Condition, written: str) -> None:
    iq = Iq(to=JULIET, from_=ROMEO, type=IqType.GET, id="1", payload=PING)
    reply = error_reply(iq, condition)
    assert reply is not None
    error = element_of(reply).child("error", ns.COMPONENT)
    assert error is not None
    assert "/".join(
        [error.elements[0].name, error.attributes["type"], error.attributes["code"]]
    ) == (written)
    assert error.elements[0].xmlns == ns.STANZA_ERRORS


@pytest.mark.conformance("CORE-02")
@pytest.mark.parametrize(
    "request_",
    [
        Message(to=JULIET, from_=ROMEO, id="m"),
        Presence(to=JULIET, from_=ROMEO, id="p"),
        Iq(to=Jid("", GATEWAY.domain, "x"), from_=ROMEO, type=IqType.SET, id=" i ", payload=PING),
    ],
)
def test_an_error_swaps_the_addresses_and_echoes_the_id(request_: Stanza) -> None:
    reply = error_reply(request_, Condition.FORBIDDEN, "no", type="cancel")
    assert reply is not None
    assert (reply.to, reply.from_, reply.id) == (request_.from_, request_.to, request_.id)
    assert reply.type == "error"
    assert reply.error == Fault(Condition.FORBIDDEN, ErrorType.CANCEL, "no", lang="en")


@pytest.mark.conformance("CORE-04")
@pytest.mark.parametrize(
    "answer",
    [
        Message(to=JULIET, from_=ROMEO, type=MessageType.ERROR),
        Presence(to=JULIET, from_=ROMEO, type=PresenceType.ERROR),
        Iq(to=JULIET, from_=ROMEO, type=IqType.ERROR, id="1"),
        Iq(to=JULIET, from_=ROMEO, type=IqType.RESULT, id="1"),
    ],
)
def test_an_answer_is_never_answered(answer: Stanza) -> None:
    assert error_reply(answer, Condition.BAD_REQUEST) is None
    attributes = element_of(answer).attributes
    name = element_of(answer).name
    assert refusal(name, attributes, Condition.BAD_REQUEST, "", GATEWAY) is None


@pytest.mark.conformance("AMB-02")
def test_a_message_error_returns_the_message_and_a_registration_error_nothing() -> None:
    chat_state = Element("active", ns.CHAT_STATES)
    message = Message(to=JULIET, from_=ROMEO, body="hi", payload=(chat_state, inner("error")))
    reply = error_reply(message, Condition.ITEM_NOT_FOUND)
    assert isinstance(reply, Message)
    assert (reply.body, reply.payload) == ("hi", (chat_state,))
    bare = error_reply(message, Condition.ITEM_NOT_FOUND, include_payload=False)
    assert isinstance(bare, Message)
    assert (bare.body, bare.payload) == (None, ())

    secret = Element("query", ns.REGISTER, {}, (Element("password", ns.REGISTER, {}, ("x",)),))
    request = Iq(to=GATEWAY, from_=ROMEO, type=IqType.SET, id="1", payload=secret)
    refused = error_reply(request, Condition.NOT_ACCEPTABLE, include_payload=True)
    assert isinstance(refused, Iq)
    assert refused.payload is None
    ping = attrs.evolve(request, payload=PING)
    for wanted, payload in ((True, PING), (None, None)):
        refused = error_reply(ping, Condition.NOT_ACCEPTABLE, include_payload=wanted)
        assert isinstance(refused, Iq)
        assert refused.payload == payload


def test_a_result_goes_back_where_the_request_came_from() -> None:
    iq = Iq(to=JULIET, from_=ROMEO, type=IqType.GET, id="1", payload=PING, lang="en")
    assert result_of(iq) == Iq(to=ROMEO, from_=JULIET, type=IqType.RESULT, id="1")


@pytest.mark.conformance("CORE-03", "CORE-08")
@pytest.mark.parametrize(
    ("bad", "condition", "from_"),
    [
        (element("iq", type="get", id="1"), Condition.BAD_REQUEST, JULIET),
        (element("iq", PING, PING, type="set", id="1"), Condition.BAD_REQUEST, JULIET),
        (element("iq", PING, type="get"), Condition.BAD_REQUEST, JULIET),
        (element("iq", PING, type="put", id="1"), Condition.BAD_REQUEST, JULIET),
        (element("iq", PING, id="1"), Condition.BAD_REQUEST, JULIET),
        (element("presence", type="visible", id="1"), Condition.BAD_REQUEST, JULIET),
        (element("iq", PING, type="get", id="1", to="a b@c"), Condition.JID_MALFORMED, GATEWAY),
        (element("message", to="", id="1"), Condition.JID_MALFORMED, GATEWAY),
        (element("iq", PING, type="get", id="i" * 1025), Condition.NOT_ACCEPTABLE, JULIET),
    ],
)
def test_a_malformed_stanza_knows_its_answer(
    bad: Element, condition: Condition, from_: Jid
) -> None:
    with pytest.raises(MalformedStanza) as caught:
        stanza_from(bad)
    answer = caught.value.answer(GATEWAY)
    assert answer is not None
    assert (answer.to, answer.from_, answer.type) == (ROMEO, from_, "error")
    assert answer.error is not None
    assert (answer.error.condition, answer.error.type) == (condition, ErrorType.MODIFY)
    id_ = bad.attributes.get("id", "")
    assert answer.id == (id_ if len(id_) <= 1024 else "")


@pytest.mark.parametrize(
    "attributes",
    [
        {"from": "", "to": str(JULIET)},
        {"from": "a b@c", "to": str(JULIET)},
        {"from": str(ROMEO), "to": "juliet@icq.shakespeare.lit", "type": "set"},
    ],
)
def test_what_has_no_sender_or_is_not_ours_is_not_answered(attributes: dict[str, str]) -> None:
    with pytest.raises(MalformedStanza) as caught:
        stanza_from(Element("iq", ns.COMPONENT, attributes))
    assert caught.value.answer(GATEWAY) is None


def test_an_element_that_is_no_stanza_is_malformed_and_not_answered() -> None:
    with pytest.raises(MalformedStanza) as caught:
        stanza_from(element("handshake"))
    assert caught.value.answer(GATEWAY) is None


@pytest.mark.conformance("AMB-28")
def test_the_body_in_the_language_of_the_stanza_is_taken() -> None:
    found = stanza_from(
        element(
            "message",
            inner("body", "hello", xml__lang="en"),
            inner("body", "ciao"),
            xml__lang="it",
            type="nonsense",
        )
    )
    assert isinstance(found, Message)
    assert (found.body, found.lang, found.type) == ("ciao", "it", MessageType.NORMAL)
    other = stanza_from(element("message", inner("body", "hello", xml__lang="en"), xml__lang="it"))
    assert isinstance(other, Message)
    assert (other.body, other.lang) == ("hello", "en")


@pytest.mark.parametrize(
    ("text", "priority"),
    [("5", 5), (" -128 ", -128), ("128", 0), ("x", 0), ("", 0), ("9" * 5000, 0)],
)
def test_an_impossible_priority_is_none(text: str, priority: int) -> None:
    found = stanza_from(element("presence", inner("priority", text), inner("show")))
    assert isinstance(found, Presence)
    assert (found.priority, found.show) == (priority, None)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ((), Fault(Condition.UNDEFINED_CONDITION, ErrorType.CANCEL)),
        (
            (inner("error", code="404"),),
            Fault(Condition.UNDEFINED_CONDITION, ErrorType.CANCEL),
        ),
        (
            (inner("error", Element("forbidden", ns.STANZA_ERRORS), type="strange"),),
            Fault(Condition.FORBIDDEN, ErrorType.AUTH),
        ),
        (
            (inner("error", Element("newer", ns.STANZA_ERRORS), type="wait"),),
            Fault(Condition.UNDEFINED_CONDITION, ErrorType.WAIT),
        ),
    ],
)
@pytest.mark.conformance("AMB-04")
def test_any_error_can_be_read(error: tuple[Element, ...], fault: Fault) -> None:
    for name in ("message", "presence", "iq"):
        assert stanza_from(element(name, *error, type="error", id="1")).error == fault


def test_a_stanza_error_takes_the_type_of_its_condition() -> None:
    assert StanzaError(Condition.FORBIDDEN, "no").type is ErrorType.AUTH
    assert StanzaError(Condition.INTERNAL_SERVER_ERROR, type="wait").type is ErrorType.WAIT
    assert str(StanzaError(Condition.FORBIDDEN, "no")) == "forbidden: no"


def test_neither_the_log_line_nor_the_repr_tell_what_was_said() -> None:
    secret = Element("password", ns.REGISTER, {}, ("s3cret",))
    said: list[Stanza] = [
        Message(to=JULIET, from_=ROMEO, body="s3cret", payload=(secret,)),
        Iq(to=JULIET, from_=ROMEO, type=IqType.SET, id="1", payload=secret),
    ]
    for stanza in said:
        assert "s3cret" not in describe(stanza) + repr(stanza)
        assert "password" in describe(stanza)
        assert "romeo@montague.lit/orchard" in describe(stanza)
