"""What users are told, in one place: what happened and what to do next."""

from gateway.bridge.states import Phase
from gateway.networks.base import Reason, Refusal

LANG = "en"
REFUSALS = {
    Refusal.WRONG_CREDENTIALS: "{title} refused your name or password. Register again with this "
    "gateway to correct them.",
    Refusal.UNKNOWN_ACCOUNT: "{title} knows no account of that name. Register again with this "
    "gateway to correct it.",
    Refusal.SUSPENDED: "{title} has suspended your account. Ask the service's operators.",
    Refusal.FORBIDDEN: "{title} does not let you sign on. Ask the service's operators.",
    Refusal.ELSEWHERE: "You were signed off because your {title} account signed on somewhere else. "
    "Go offline and online again to return here.",
    Refusal.TOO_MANY_ATTEMPTS: "{title} says there were too many attempts. You will be signed on "
    "again later.",
    Refusal.BUSY: "{title} is too busy to sign you on. You will be signed on as soon as it is not.",
    Refusal.MISCONFIGURED: "{title} cannot be used at present because of this gateway's "
    "configuration. Ask the gateway's operator.",
}
LOST = "The connection to {title} is lost. You will be signed on again as soon as it returns."
STORE_FAULT = (
    "This gateway cannot use its database at present. You will be signed on to {title} as soon as "
    "it can; its operator finds the details in the log."
)
UNREACHABLE = "{title} cannot be reached."
CRASHED = (
    "Your {title} session ended by a fault of this gateway. It will be started again; "
    "its operator finds the details in the log."
)
CRASHED_FOR_GOOD = (
    "Your {title} session failed again and again by a fault of this gateway. "
    "Go offline and online again to try once more, or ask the operator."
)
FLOODED = (
    "More messages from {title} are waiting for you than this gateway can hold. "
    "You will be signed on again when they are through."
)
NOT_REGISTERED = "You are not registered with this gateway."
MAY_HAVE_ARRIVED = "It is not known whether this message arrived; it was not sent again."
NOT_IN_TIME = "{title} could not be reached in time; this message was not sent."
SIGNED_OUT = "You are not signed on to {title}; this message was not sent."
TOO_MUCH = "Too much is waiting for {title}; wait a little and send it again."
SHUTTING_DOWN = "This gateway is shutting down; this message was not sent."
SESSION_FAULT = (
    "This gateway failed while handling this; its operator finds the details in the log."
)
NO_SUCH_ADDRESS = "{title} has no such address."
OTHER_SPELLING = "The address of this contact is {jid}."
FAILED = {
    Reason.UNKNOWN_ADDRESS: NO_SUCH_ADDRESS,
    Reason.OFFLINE_NOT_STORED: "This contact is offline, and {title} stores no messages.",
    Reason.TOO_LONG: "This message is too long for {title}.",
    Reason.RATE_LIMITED: "{title} asks you to send less often; wait a little and send it again.",
    Reason.BLOCKED: "This contact does not accept messages from you.",
    Reason.NOT_AUTHORISED: "This contact does not accept messages from you.",
    Reason.REFUSED: "{title} refused this.",
    Reason.LIST_FULL: "Your contact list on {title} is full.",
    Reason.UNREACHABLE: UNREACHABLE,
    Reason.UNSUPPORTED: "{title} cannot do this.",
    Reason.UNKNOWN: "{title} could not do this.",
}
REGISTRATION_REFUSED = REFUSALS | {
    Refusal.WRONG_CREDENTIALS: "{title} refused this name or password.",
    Refusal.UNKNOWN_ACCOUNT: "{title} knows no account of this name.",
    Refusal.ELSEWHERE: "This {title} account is in use somewhere else.",
    Refusal.TOO_MANY_ATTEMPTS: "{title} says there were too many attempts; try again later.",
    Refusal.BUSY: "{title} is too busy to check this; try again later.",
}
TOO_MANY_CONTACTS = "This gateway keeps no more contacts for you; remove some first."
WELCOME = (
    "Welcome to {title}! You are registered with this gateway. Accept its request to be in your "
    "contact list: while it is there and you are online, you are signed on to {title}. "
    "To change your registration or to leave, register again, or use your client's commands."
)
REGISTERED = "You are registered with {title}."
CHANGED = "Your {title} registration is changed."
UNREGISTERED = "You are not registered with {title} any more."
UNREGISTER_WARNING = (
    "This removes your {title} registration and your password from this gateway, and your {title} "
    "contacts from your contact list. Your account on {title} itself stays as it is."
)
SIGNED_ON_ALREADY = "You are signed on to {title}."
SIGNING_ON = "You are being signed on to {title}."
COME_FIRST = (
    "Add this gateway to your contact list and go online: then you are signed on to {title}."
)
SIGNED_OFF = "You are signed off from {title}, until you sign on by command or go online anew."
NOT_SIGNED_ON = "You are not signed on to {title}."
OFFERING = "Your {title} contacts are being brought into your contact list, if it takes them."
STANDS = {
    Phase.OFFLINE: "You are registered as {{name}}, and not signed on.",
    Phase.SIGNING_ON: "You are registered as {{name}}, and being signed on.",
    Phase.ONLINE: "You are signed on as {{name}}.",
    Phase.LOST: "You are registered as {{name}}; {title} cannot be reached, and is tried again.",
    Phase.WAITING: "You are registered as {{name}}; {title} cannot be reached, and is tried again.",
    Phase.SIGNING_OFF: "You are registered as {{name}}, and being signed off.",
    Phase.REFUSED: "You are registered as {{name}}; {title} refused to sign you on.",
    Phase.CRASHED: "You are registered as {{name}}; a fault of this gateway ended your session.",
}
FIELDS_MISSING = "Please fill in: {fields}."
NO_SUCH_CHOICE = "For {field}, choose one of these: {choices}."
VERIFICATION_TIMEOUT = "{title} did not answer in time; nothing was changed. Try again later."
QUEUE_TIMEOUT = (
    "{title} takes only so many logins a minute from this gateway, and many are waiting; "
    "nothing was changed. Try again in a minute."
)
QUEUED = (
    "{title} takes only so many logins a minute from this gateway, and many users are waiting. "
    "You will be signed on when it is your turn."
)
TOO_MANY_PASSWORDS = (
    "Too many wrong passwords for {title}; nothing was changed. Try again in {{wait}}."
)
REGISTRATION_CANCELLED = "The registration was removed meanwhile."
UNREADABLE = "your stored password cannot be read any more"
NOT_STORED = "This gateway could not store this; nothing was changed. Try again later."
STARTING = "Signing on to {title}"
REGISTRATION_CLOSED = "Nobody can register here; ask this gateway's operator."
REGISTER_ELSEWHERE = "To register, go to {url}"
OWNED = "Somebody else has registered this {title} account with this gateway."
OPERATOR_POLICY = "This gateway does not serve your server; ask its operator."
