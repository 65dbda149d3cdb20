"""What a plan says about a changed message."""

from luigi_tasks.preview.forecast import differences


def test_only_the_fields_that_differ_are_named() -> None:
    before = '{"messageId":"a","timestamp":"t","type":"identify","traits":{"email":"a@b.c","n":1}}'
    now = '{"messageId":"b","timestamp":"u","type":"identify","traits":{"email":"d@b.c","n":1}}'
    assert differences(before, now) == [("traits.email", '"a@b.c"', '"d@b.c"')]


def test_fields_come_and_go() -> None:
    before = '{"traits":{"phone":"1","age":3}}'
    now = '{"traits":{"age":3,"city":"Ghent"}}'
    assert differences(before, now) == [
        ("traits.city", "", '"Ghent"'),
        ("traits.phone", '"1"', ""),
    ]


def test_lists_are_compared_by_position() -> None:
    before = '{"products":[{"sku":"1"},{"sku":"2"}]}'
    now = '{"products":[{"sku":"1"}]}'
    assert differences(before, now) == [("products[1].sku", '"2"', "")]


def test_a_difference_beyond_a_float_shows() -> None:
    assert differences('{"n":90071992547409.930001}', '{"n":90071992547409.930002}') != []


def test_an_emptied_list_is_a_value() -> None:
    assert differences('{"ids":["1"]}', '{"ids":[]}') == [("ids", "", "[]"), ("ids[0]", '"1"', "")]


def test_the_same_content_has_no_differences() -> None:
    text = '{"messageId":"a","a":[{"b":1.50}],"c":null}'
    assert differences(text, text.replace('"a"', '"b"', 1)) == []


def test_what_is_not_json_is_compared_as_a_text() -> None:
    assert differences('{"a":1}', '{"a":') == [("a", "1", ""), ("message", "", '"{\\"a\\":"')]
