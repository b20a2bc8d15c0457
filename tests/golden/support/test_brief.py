from dataclasses import dataclass, field

import numpy as np

from golden.support.brief import brief


@dataclass
class Record:
    name: str
    weights: object
    parts: object = ()
    hidden: str = field(default="secret", repr=False)


def test_arrays_and_long_values_are_told_by_their_size():
    record = Record(name="a", weights=np.zeros((192, 768), np.int8), parts=b"x" * 1000)
    assert brief(record) == "Record(name='a', weights=int8[192, 768], parts=<bytes of 1000>)"
    record = Record(name="b" * 99, weights=3, parts=[{"some key": "some value"}] * 4)
    assert brief(record) == "Record(name=<str of 99>, weights=3, parts=<list of 4>)"
    assert (
        brief(Record(name="c", weights={"k": 8})) == "Record(name='c', weights={'k': 8}, parts=())"
    )
