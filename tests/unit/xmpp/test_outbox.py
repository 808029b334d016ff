from gateway.xmpp.outbox import MAX_WAITING_BYTES, Item, Kind, Outbox

ALL = 1 << 40


def value(data: bytes) -> Item:
    return Item(Kind.VALUE, data)


def state(key: str, data: bytes) -> Item:
    return Item(Kind.STATE, data, key)


def test_what_was_put_first_comes_first() -> None:
    outbox = Outbox()
    outbox.put(value(b"1"))
    outbox.put_state(state("a", b"2"))
    outbox.put(Item(Kind.TRACKED, b"3"))
    assert outbox.take(ALL) == b"123"
    assert (outbox.take(ALL), len(outbox), outbox.waiting_bytes) == (b"", 0, 0)


def test_state_is_replaced_in_its_place() -> None:
    outbox = Outbox()
    outbox.put_state(state("a", b"old"))
    outbox.put(value(b"1"))
    outbox.put_state(state("b", b"B"))
    outbox.put_state(state("a", b"new"))
    assert outbox.take(ALL) == b"new1B"
    outbox.put_state(state("a", b"again"))
    assert outbox.take(ALL) == b"again"


def test_a_batch_stays_together_and_takes_its_state_from_the_old_place() -> None:
    outbox = Outbox()
    outbox.put_state(state("a", b"old"))
    outbox.put(value(b"1"))
    outbox.put_batch([value(b"2"), state("a", b"A"), value(b"3")])
    outbox.put_state(state("a", b"later"))
    assert outbox.take(ALL) == b"12A3later"


def test_as_much_is_taken_as_fits_and_at_least_one() -> None:
    outbox = Outbox()
    for data in (b"1234", b"56", b"78", b"9"):
        outbox.put(value(data))
    assert [outbox.take(3), outbox.take(3), outbox.take(3)] == [b"1234", b"56", b"789"]


def test_value_that_finds_no_room_is_dropped_and_says_so() -> None:
    outbox = Outbox()
    assert outbox.put(value(b"x" * MAX_WAITING_BYTES))
    assert not outbox.put(value(b"y"))
    assert not outbox.put_batch([value(b"y"), state("a", b"z")])
    assert outbox.put(Item(Kind.TRACKED, b"t"))
    outbox.put_state(state("a", b"s"))
    assert outbox.take(ALL)[-2:] == b"ts"
    assert outbox.put(value(b"y"))


def test_a_lost_link_leaves_only_value() -> None:
    outbox = Outbox()
    outbox.put(value(b"1"))
    outbox.put_state(state("a", b"2"))
    outbox.put(Item(Kind.TRACKED, b"3"))
    outbox.put_batch([value(b"4"), state("a", b"5")])
    outbox.link_lost()
    assert outbox.waiting_bytes == 2
    assert outbox.take(ALL) == b"14"
