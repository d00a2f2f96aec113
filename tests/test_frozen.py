"""Frozen dataclasses that are cheap to define behave as those of the standard library."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, cast

import pytest
from pydantic import TypeAdapter, ValidationError

from duologue.frozen import changed, frozen, maker


def _body() -> dict[str, Any]:
    return {
        "__doc__": "A value.",
        "__module__": __name__,
        "__annotations__": {"a": "int", "b": "str", "c": "list[int]", "d": "float", "made": "int"},
        "b": "x",
        "c": field(default_factory=list[int], compare=False),
        "d": field(default=1.5, repr=False),
        "made": field(default=7, init=False),
    }


def _classes() -> dict[str, tuple[type[Any], type[Any]]]:
    """The class by the standard library, and by frozen."""
    standard = dataclass(frozen=True, kw_only=True)
    return {
        "plain": (standard(type("Plain", (), _body())), frozen(type("Plain", (), _body()))),
        "slots": (
            dataclass(frozen=True, kw_only=True, slots=True)(type("Slots", (), _body())),
            frozen(slots=True)(type("Slots", (), _body())),
        ),
        "in order": (
            dataclass(frozen=True)(type("InOrder", (), _body())),
            frozen(kw_only=False)(type("InOrder", (), _body())),
        ),
    }


VARIANTS = _classes()
Use = Callable[[type[Any]], object]


def _state(value: Any) -> object:
    return repr(value), asdict(value)


USES: dict[str, Use] = {
    "fields": lambda cls: [(item.name, item.kw_only, item.init) for item in fields(cls)],
    "match_args": lambda cls: cls.__match_args__,
    "defaults": lambda cls: _state(cls(a=1)),
    "given in order": lambda cls: _state(cls(1, "y")),
    "too many": lambda cls: cls(1, "y", [1], 2.5, 3),
    "everything given": lambda cls: _state(cls(a=1, b="y", c=[1], d=2.5)),
    "factories give each its own": lambda cls: cls(a=1).c is cls(a=1).c,
    "equal": lambda cls: cls(a=1) == cls(a=1),
    "compare=False": lambda cls: cls(a=1, c=[1]) == cls(a=1, c=[2]),
    "not equal": lambda cls: cls(a=1) == cls(a=2),
    "another class": lambda cls: cls(a=1) == 1,
    "hash": lambda cls: len({cls(a=1), cls(a=1, c=[3]), cls(a=2)}),
    "replace": lambda cls: _state(replace(cls(a=1, c=[5]), b="z")),
    "copy": lambda cls: _state(copy.copy(cls(a=1, c=[5]))),
    "deepcopy": lambda cls: _state(copy.deepcopy(cls(a=1, c=[5]))),
    "missing": lambda cls: cls(b="y"),
    "unknown": lambda cls: cls(a=1, z=2),
    "by position": lambda cls: _state(cls(1)),
    "not in init": lambda cls: cls(a=1, made=2),
    "assign": lambda cls: setattr(cls(a=1), "a", 2),
    "assign something else": lambda cls: setattr(cls(a=1), "z", 2),
    "delete": lambda cls: delattr(cls(a=1), "a"),
    "validate": lambda cls: _state(TypeAdapter(cls).validate_python({"a": "1", "c": ("2",)})),
    "do not validate": lambda cls: TypeAdapter(cls).validate_python({"a": "one"}),
    "dump": lambda cls: TypeAdapter(cls).dump_json(cls(a=1)),
    "a dataclass that inherits": lambda cls: _state(dataclass(frozen=True)(_heir(cls))(a=1)),
    "one that is not frozen": lambda cls: dataclass(_heir(cls)),
    "a subclass that is no dataclass": lambda cls: _attribute(type("Sub", (cls,), {})),
}


def _heir(cls: type[Any]) -> type[Any]:
    return type("Heir", (cls,), {"__annotations__": {"more": "int"}, "more": field(default=3, kw_only=True)})


def _attribute(cls: type[Any]) -> object:
    value = cls(a=1)
    value.own = 2
    del value.own
    with pytest.raises(FrozenInstanceError):
        value.a = 2
    return _state(value)


def _outcome(use: Use, cls: type[Any]) -> object:
    try:
        return use(cls)
    except FrozenInstanceError as error:
        return type(error), str(error)
    except ValidationError as error:
        return error.errors(include_url=False)
    except TypeError as error:
        return TypeError, str(error).replace("Plain.", "").replace("Slots.", "")


_BROKEN_IN_THE_STANDARD_LIBRARY = {  # a class with slots is made twice there, and super() finds the first
    ("slots", "assign something else"),
    ("slots", "a dataclass that inherits"),
    ("slots", "a subclass that is no dataclass"),
}


CASES = [(name, use) for name in VARIANTS for use in USES if (name, use) not in _BROKEN_IN_THE_STANDARD_LIBRARY]


@pytest.mark.parametrize(("name", "use"), CASES)
def test_as_the_standard_library_does(name: str, use: str) -> None:
    standard, ours = VARIANTS[name]

    assert _outcome(USES[use], ours) == _outcome(USES[use], standard)


@frozen
class Point:
    """At module level, so that it can be pickled."""

    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@frozen
class Place(Point):
    """Inherits fields and what is checked."""

    name: str = "home"

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


@frozen(slots=True)
class Small:
    """Without a ``__dict__``."""

    x: int
    tags: list[str] = field(default_factory=list[str])


@pytest.mark.parametrize("value", [Point(x=1), Place(x=1, name="here"), Small(x=1, tags=["a"])])
def test_pickles(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_post_init_runs_also_for_heirs() -> None:
    for cls in (Point, Place):
        with pytest.raises(ValueError, match="negative"):
            cls(x=-1)


def test_methods_of_the_class_are_kept() -> None:
    assert repr(Place(x=1)) == "home"
    assert Place(x=1) == Place(x=2)
    assert hash(Place(x=1)) == hash(Place(x=2))


def test_the_first_object_and_later_ones_are_made_alike() -> None:
    @frozen
    class Fresh:
        a: int
        b: tuple[int, ...] = ()

    assert (Fresh(a=1), Fresh(a=1, b=(2,)).b) == (Fresh(a=1), (2,))


def test_slots_leave_no_dict() -> None:
    assert not hasattr(cast("Any", Small(x=1)), "__dict__")


def test_works_with_match() -> None:
    match Point(x=1, y=2):
        case Point(x=1, y=found):
            assert found == 2
        case _:
            raise AssertionError


@frozen(slots=True)
class Slotted:
    type: str = "slotted"
    name: str
    items: list[int] = field(default_factory=list[int])


def test_a_maker_makes_what_the_class_makes() -> None:
    made = maker(Slotted)(name="a")
    assert made == Slotted(name="a")
    assert type(made) is Slotted
    assert hash(maker(Slotted)(name="b", items=())) == hash(Slotted(name="b", items=()))  # pyright: ignore[reportArgumentType]
    assert maker(Slotted)(name="a").items is not made.items
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(FrozenInstanceError):
        made.name = "c"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        maker(Slotted)()  # pyright: ignore[reportCallIssue]


@frozen
class Plain:
    a: int
    b: list[int] = field(default_factory=list[int])

    @cached_property
    def twice(self) -> int:
        return 2 * self.a


@frozen(slots=True)
class Slots:
    a: int
    b: int = 2


@frozen
class Partial:
    a: int
    b: int = field(default=7, init=False)


@frozen
class Checked:
    a: int

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a")


@pytest.mark.parametrize("value", [Plain(a=1, b=[3]), Slots(a=1), Partial(a=1), Checked(a=1)])
@pytest.mark.parametrize("changes", [{}, {"a": 2}, {"a": -1}, {"b": 4}, {"c": 1}])
def test_changed_is_replace(value: Any, changes: dict[str, int]) -> None:
    if isinstance(value, Plain):
        assert value.twice == 2 * value.a  # kept by the object, and no field
    assert _changed_by(changed, value, changes) == _changed_by(replace, value, changes)
    made = changed(value, a=5)
    assert getattr(made, "twice", 10) == 10
    assert value.a == 1


def _changed_by(change: Callable[..., Any], value: Any, changes: dict[str, int]) -> Any:
    try:
        return change(value, **changes)
    except (TypeError, ValueError) as error:
        return type(error)


def test_an_heir_of_a_class_with_slots_is_made_and_changed() -> None:
    class Sub(Slots):
        own: int

    for _ in range(2):
        made = Sub(a=1)
        made.own = 4
        assert (made.a, made.b, made.own) == (1, 2, 4)
        assert type(changed(made, a=3)) is Sub
        with pytest.raises(FrozenInstanceError):
            made.a = 2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize("number", range(1, 6))
def test_any_number_of_fields(number: int, slots: bool) -> None:
    names = [f"f{place}" for place in range(number)]
    cls: Any = frozen(slots=slots)(type("Some", (), {"__annotations__": dict.fromkeys(names, "int")}))
    for values in ({name: place for place, name in enumerate(names)}, dict.fromkeys(names, 7)):
        made = cls(**values)
        assert asdict(made) == values
        assert asdict(changed(made, f0=9)) == {**values, "f0": 9}
        assert type(made) is cls
        with pytest.raises(FrozenInstanceError):
            made.f0 = 1
