import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.documents.profiles import ProfileError, active_profiles, matches, named_in


@pytest.mark.parametrize(
    ("expressions", "profiles", "expected"),
    [
        (["prod"], ["prod"], True),
        (["prod"], ["test"], False),
        (["prod", "test"], ["test"], True),
        (["!prod"], ["test"], True),
        (["!prod"], ["prod"], False),
        (["!!prod"], ["prod"], True),
        (["prod & eu"], ["prod"], False),
        (["prod&eu"], ["eu", "prod"], True),
        (["prod | eu"], ["eu"], True),
        (["a & b & !c"], ["a", "b"], True),
        (["a | b | c"], ["c"], True),
        (["(a & b) | c"], ["c"], True),
        (["a & (b | c)"], ["a", "c"], True),
        (["!(a | b)"], ["c"], True),
        (["((a))"], ["a"], True),
        (["default"], [], True),
        (["default"], ["a"], False),
        (["!default"], ["a"], True),
        (["Prod"], ["prod"], False),
        (["eu-1.a+b@c_d"], ["eu-1.a+b@c_d"], True),
    ],
)
def test_profile_expressions(expressions: list[str], profiles: list[str], expected: bool) -> None:
    assert matches(expressions, profiles) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "a &",
        "& a",
        "a b",
        "(a",
        "a)",
        "()",
        "!",
        "a | & b",
        "${X}",
        "a,b",
        "(" * 99,
        "a/b",
    ],
)
def test_what_is_no_profile_expression(expression: str) -> None:
    with pytest.raises(ProfileError, match="is no profile expression: expected profile names such"):
        matches(["good", expression], ["good"])


def test_mixed_operators_want_parentheses() -> None:
    with pytest.raises(ProfileError, match=r"'a & b \| c' mixes & and \|; expected parentheses"):
        matches(["a & b | c"], [])


def test_the_profiles_that_expressions_speak_of() -> None:
    assert named_in(["a & (!b | c)", "d"]) == {"a", "b", "c", "d"}


@given(st.text("ab()&|! ", max_size=12), st.lists(st.sampled_from("ab")))
def test_any_expression_is_read_as_python_would_or_refused(text: str, profiles: list[str]) -> None:
    try:
        result = matches([text], profiles)
    except ProfileError:
        return
    words = {"&": " and ", "|": " or ", "!": " not "}
    python = "".join(words.get(one, one) for one in text).strip()
    names = {name: name in profiles for name in named_in([text])}
    assert result is eval(python, {}, names)  # noqa: S307 - letters, brackets and operators


@pytest.mark.parametrize(
    ("active", "include", "default", "expected"),
    [
        ([], [], [], ()),
        (["a", "b"], [], [], ("a", "b")),
        (["a"], ["b"], ["c"], ("b", "a")),
        ([], ["b"], ["c"], ("b",)),
        ([], [], ["c"], ("c",)),
        (["a", "a"], ["a"], [], ("a",)),
        (["prod"], [], [], ("prod", "db", "mq", "rabbit")),
        (["loop"], [], [], ("loop", "pool")),
    ],
)
def test_which_profiles_are_active(
    active: list[str], include: list[str], default: list[str], expected: tuple[str, ...]
) -> None:
    groups = {"prod": ["db", "mq"], "mq": ["rabbit"], "loop": ["pool"], "pool": ["loop"]}
    assert active_profiles(active, include, default, groups) == expected


@pytest.mark.parametrize("name", ["a b", "a/b", "!a", "a,b", "${a}"])
def test_what_is_no_name_of_a_profile(name: str) -> None:
    with pytest.raises(ProfileError, match="is no name of a profile"):
        active_profiles([name], [], [], {})
