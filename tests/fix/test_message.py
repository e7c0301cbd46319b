import copy
import pickle
from decimal import Decimal

import pytest

from fix.message import FieldError, Message, MissingTag


def test_of_a_tag_that_repeats_the_first_is_got() -> None:
    assert Message("W", [(269, "0"), (270, "1"), (269, "1")]).get(269) == "0"


def test_a_missing_tag_is_named_with_its_message() -> None:
    message = Message("D", [(11, "a")])
    assert message.get(55) is None
    with pytest.raises(MissingTag, match=r"tag 55.*present in a message of type D"):
        message.require(55)


def test_a_message_does_not_change() -> None:
    message = Message("D", [(11, "a")])
    with pytest.raises(AttributeError):
        message.msg_type = "F"
    assert message == Message("D", ((11, "a"),))
    assert hash(message) == hash(Message("D", ((11, "a"),)))
    assert message != Message("D", [(11, "b")])


def test_a_message_can_be_copied_and_pickled() -> None:
    message = Message("D", [(11, "a")])
    assert copy.deepcopy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message


def test_no_password_is_ever_shown() -> None:
    message = Message("A", [(553, "desk"), (554, "hunter2"), (925, "hunter3"), (96, "hunter4")])
    assert "hunter" not in repr(message)
    assert "desk" in repr(message)
    assert "hunter" not in str(FieldError(554, "hunter2", "right"))


def test_a_field_error_says_field_value_and_what_is_right() -> None:
    assert str(FieldError(38, Decimal(0), "above 0")) == "tag 38 is Decimal('0'): it must be above 0"
