"""What scenarios say again and again, in literal stanzas."""

from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G

NURSE, MERCUTIO = f"nurse@{G}", f"mercutio@{G}"
BENVOLIO = f"benvolio@{SERVER}/street"  # served by the gateway, and not registered
STRANGER = "tybalt@elsewhere.lit/street"  # of a server the gateway does not serve
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
REGISTER = "jabber:iq:register"

REGISTRATION_REQUIRED = ("registration-required", "auth", "407")
NOT_ACCEPTABLE = ("not-acceptable", "modify", "406")
NOT_AUTHORIZED = ("not-authorized", "auth", "401")
FORBIDDEN = ("forbidden", "auth", "403")
CONFLICT = ("conflict", "cancel", "409")
BAD_REQUEST = ("bad-request", "modify", "400")
ITEM_NOT_FOUND = ("item-not-found", "cancel", "404")
UNAVAILABLE = ("service-unavailable", "cancel", "503")
TIMEOUT = ("remote-server-timeout", "wait", "504")
CONSTRAINT = ("resource-constraint", "wait", "500")


def error(condition: str, type_: str, code: str, *, text: bool = True) -> str:
    words = f"<text xmlns='{STANZAS}' xml:lang='en'>*</text>" if text else ""
    return f"<error type='{type_}' code='{code}'><{condition} xmlns='{STANZAS}'/>{words}</error>"


def iq(type_: str, payload: str, *, id_: str = "i1", from_: str = ORCHARD, to: str = G) -> str:
    return f"<iq type='{type_}' id='{id_}' from='{from_}' to='{to}'>{payload}</iq>"


def result(payload: str = "", *, id_: str = "i1", from_: str = G, to: str = ORCHARD) -> str:
    return f"<iq type='result' id='{id_}' from='{from_}' to='{to}'>{payload}</iq>"


def refused(
    fault: tuple[str, str, str],
    *,
    id_: str = "i1",
    from_: str = G,
    to: str = ORCHARD,
    text: bool = True,
) -> str:
    """Return the error that answers an iq."""
    return f"<iq type='error' id='{id_}' from='{from_}' to='{to}'>{error(*fault, text=text)}</iq>"


def presence(from_: str, to: str, type_: str = "", inside: str = "") -> str:
    kind = f" type='{type_}'" if type_ else ""
    return f"<presence{kind} from='{from_}' to='{to}'>{inside}</presence>"


def message(body: str, *, id_: str = "m1", from_: str = ORCHARD, to: str = JULIET) -> str:
    return f"<message type='chat' id='{id_}' from='{from_}' to='{to}'><body>{body}</body></message>"


def said(body: str, *, from_: str = JULIET, to: str = ROMEO, beside: str = "") -> str:
    """Return a message of the network's, whose id is the gateway's choice."""
    return (
        f"<message type='chat' id='*' from='{from_}' to='{to}'>"
        f"<body>{body}</body>{beside}</message>"
    )


def bounced(
    fault: tuple[str, str, str],
    body: str,
    *,
    id_: str = "m1",
    from_: str = JULIET,
    to: str = ORCHARD,
    text: bool = True,
) -> str:
    """Return the error that gives a message back to its sender."""
    return (
        f"<message type='error' id='{id_}' from='{from_}' to='{to}'><body>{body}</body>"
        f"{error(*fault, text=text)}</message>"
    )


def register(inside: str, *, id_: str = "r1", from_: str = ORCHARD, to: str = G) -> str:
    """Return a register set."""
    return iq("set", f"<query xmlns='{REGISTER}'>{inside}</query>", id_=id_, from_=from_, to=to)


def login(name: str, password: str) -> str:
    """Return the plain fields of a registration."""
    return f"<username>{name}</username><password>{password}</password>"


def form(*values: tuple[str, str], type_: str = "submit") -> str:
    """Return a data form of these fields."""
    fields = "".join(
        f"<field var='{name}'><value>{value}</value></field>" for name, value in values
    )
    return f"<x xmlns='jabber:x:data' type='{type_}'>{fields}</x>"
