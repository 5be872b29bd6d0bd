"""Which rows the store holds already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accountsync.hr.known import PREFIX_BYTES, KnownContent

HASHES = st.binary(min_size=16, max_size=16) | st.sampled_from([b"\x00" * 16, b"\xff" * 16])


@given(st.lists(HASHES, max_size=40), st.lists(HASHES, max_size=5))
def test_known_is_what_was_told(told: list[bytes], others: list[bytes]) -> None:
    """Two hashes of one beginning are for the merge to tell apart."""
    beginnings = {one[:PREFIX_BYTES] for one in told}
    groups = [b"".join(sorted(b for b in beginnings if b[0] == first)) for first in range(256)]
    known = KnownContent(groups)
    assert all(one in known for one in told)
    for other in others:
        assert (other in known) == (other[:PREFIX_BYTES] in beginnings)


def test_nothing_is_known_of_an_empty_store() -> None:
    assert b"\x00" * 16 not in KnownContent([])
