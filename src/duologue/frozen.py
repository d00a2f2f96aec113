"""Frozen dataclasses, keyword-only unless they say otherwise, that cost little to define.

``dataclasses.dataclass`` writes and compiles six methods for each class, about a millisecond for a frozen one; a
process that imports two hundred of them and uses thirty has spent a quarter of its start on that. :func:`frozen` makes
the same classes (``fields``, ``replace``, ``asdict``, ``match`` and pydantic treat them as any other dataclass), but
all share one ``__repr__``, ``__eq__``, ``__hash__``, ``__setattr__`` and ``__delattr__``, and ``__init__`` is compiled
when the first object is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any, ParamSpec, Protocol, TypeVar, cast, dataclass_transform, overload

P = ParamSpec("P")
T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, slots: bool = ..., kw_only: bool = ...) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def frozen(
    cls: type[T] | None = None, /, *, slots: bool = False, kw_only: bool = True
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass. Methods that it has are kept.

    Args:
        cls: the class.
        slots: its objects have no ``__dict__``: for what there are millions of.
        kw_only: its fields are given by name. Without it they may be given in order as well: for classes of one or two
            fields that users make.
    """

    def made(cls: type[T]) -> type[T]:
        return _frozen(cls, slots=slots, kw_only=kw_only)

    return made if cls is None else made(cls)


def changed(value: T, **changes: Any) -> T:
    """``dataclasses.replace``, faster where a class has no slots and does not check what it is made of.

    Args:
        value: an object of a frozen dataclass.
        changes: new values of fields.
    """
    cls = type(value)
    names, open_ = _copied(cls)
    if open_ is not None and changes.keys() <= names:
        made: Any = object.__new__(open_)
        for name in names:
            setattr(made, name, changes[name] if name in changes else getattr(value, name))
        made.__class__ = cls
        return made
    if names and open_ is None and len(held := vars(value)) == len(names):
        made = object.__new__(cls)
        new = made.__dict__
        new.update(held, **changes)
        if len(new) == len(names):
            return made
    return replace(cast("Any", value), **changes)


@cache
def _copied(cls: type[Any]) -> tuple[frozenset[str], type[Any] | None]:
    """The fields that make up a copy, and for objects without ``__dict__`` the class that they can be changed as.

    There are none where a copy has to be made by ``__init__``.
    """
    every = fields(cls)
    if hasattr(cls, "__post_init__") or not all(item.init for item in every):
        return frozenset(), None
    names = frozenset(item.name for item in every)
    if not _has_slots(cls):
        return names, None
    return (names, _open_like(cls)) if cls.__bases__ == (object,) else (frozenset(), None)


def _has_slots(cls: type[Any]) -> bool:
    return any(vars(base).get("__slots__") for base in cls.__mro__)


def _frozen(cls: type[T], *, slots: bool, kw_only: bool) -> type[T]:
    own = vars(cls)
    methods = {name: method for name, method in _SHARED.items() if own.get(name) is None}
    cls.__doc__ = cls.__doc__ or cls.__name__  # else a signature is made for it, which takes longer than all the rest
    heir = any(is_dataclass(base) for base in cls.__bases__)  # it must be as frozen as its base: few have one
    made: Any = dataclass(kw_only=kw_only, init=False, repr=False, eq=False, frozen=heir, slots=slots)(cls)
    made.__dataclass_params__.frozen = True  # for dataclasses that inherit from this one
    for name, method in (methods | _STATE if slots else methods).items():
        setattr(made, name, method)
    if "__init__" not in own:
        made.__init__ = _first_init(made)
    return made


def _first_init(cls: type[Any]) -> Callable[..., None]:
    """An ``__init__`` that compiles the real one, and gives way to it."""

    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807
        made = _compiled_init(cls)
        cls.__init__ = made
        made(self, *args, **values)

    return __init__


class _MakerOf(Protocol):
    def __call__(self, cls: Callable[P, T], /) -> Callable[P, T]: ...


def _maker(frozen_class: type[Any]) -> Callable[..., Any]:
    assert frozen_class.__bases__ == (object,)
    assert not hasattr(frozen_class, "__post_init__")
    names: dict[str, Any] = {
        "_new": MISSING,
        "_object": object.__new__,
        "_open": _open_like(frozen_class),
        "_frozen": frozen_class,
    }
    parameters, values = _parameters(frozen_class, names)
    body = ["self = _object(_open)", *(f"self.{name} = {value}" for name, value in values)]
    return _compiled("make", parameters, [*body, "self.__class__ = _frozen", "return self"], names)


maker = cast("_MakerOf", cache(_maker))
"""A function that makes objects of a frozen class with slots, in a quarter of the time that the class takes.

For the few classes of which each turn of each conversation makes one. The fields are set while the object still belongs
to a class of the same layout that is not frozen.
"""


@cache
def _open_like(frozen_class: type[Any]) -> type[Any]:
    """A class of the same slots whose objects can be changed."""
    return type(frozen_class.__name__, (), {"__slots__": tuple(item.name for item in fields(frozen_class))})


_FEW = 3
"""Fields that are set one by one: preparing a faster way takes longer for fewer."""


def _compiled_init(cls: type[Any]) -> Callable[..., None]:
    names: dict[str, Any] = {"_set": object.__setattr__, "_new": MISSING, "_frozen": cls}
    parameters, values = _parameters(cls, names)
    if len(values) < _FEW or (_has_slots(cls) and cls.__bases__ != (object,)):
        body = [f"_set(self,{name!r},{value})" for name, value in values]
    elif not _has_slots(cls):
        body = ["_held = self.__dict__", *(f"_held[{name!r}] = {value}" for name, value in values)]
    else:
        names["_open"], names["_one_by_one"] = _open_like(cls), _set_one_by_one
        made = [f"{name} = {value}" for name, value in values if name != value]
        switched = ["_set(self, '__class__', _open)", *(f"self.{name} = {name}" for name, _ in values)]
        body = [*made, "if self.__class__ is _frozen:", *(f" {line}" for line in switched), " self.__class__ = _frozen"]
        body.append(f"else: _one_by_one(self, {{{','.join(f'{name!r}: {name}' for name, _ in values)}}})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    init = _compiled("__init__", parameters, body or ["pass"], names, first="self", kw_only=_by_name(cls))
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _set_one_by_one(made: object, values: dict[str, Any]) -> None:
    """For an object of a subclass, which need not have the same layout."""
    for name, value in values.items():
        object.__setattr__(made, name, value)


def _by_name(cls: type[Any]) -> bool:
    return any(item.kw_only for item in fields(cls) if item.init)


def _parameters(cls: type[Any], names: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """The parameters of what makes an object, and the fields with the code of their values; ``names`` are added to."""
    parameters: list[str] = []
    values: list[tuple[str, str]] = []
    for item in fields(cls):
        name, value, default = item.name, item.name, ""
        if item.default_factory is not MISSING:
            names[f"_make_{name}"] = item.default_factory
            value, default = f"_make_{name}() if {name} is _new else {name}", "=_new"
        elif item.default is not MISSING:
            names[f"_default_{name}"] = item.default
            default = f"=_default_{name}"
        if item.init:
            parameters.append(name + default)
        elif not default:
            continue  # set by __post_init__
        else:
            value = f"_make_{name}()" if default == "=_new" else f"_default_{name}"
        values.append((name, value))
    return parameters, values


def _compiled(
    name: str, parameters: list[str], body: list[str], names: dict[str, Any], first: str = "", kw_only: bool = True
) -> Any:
    keywords = ["*", *parameters] if parameters and kw_only else parameters
    head = f"def {name}({','.join([*([first] if first else []), *keywords])}):"
    exec("\n ".join([head, *body]), names)  # noqa: S102 - made of the names of fields
    return names[name]


def _repr(self: Any) -> str:
    shown = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.repr)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: object, other: object) -> bool:
    if type(other) is not type(self):
        return NotImplemented
    compared = _compared(type(self))
    return compared(self) == compared(other)


def _hash(self: object) -> int:
    return hash(_hashed(type(self))(self))


@cache
def _compared(cls: type[Any]) -> Callable[[Any], object]:
    return _values([item.name for item in fields(cls) if item.compare])


@cache
def _hashed(cls: type[Any]) -> Callable[[Any], object]:
    return _values([item.name for item in fields(cls) if (item.compare if item.hash is None else item.hash)])


def _values(names: list[str]) -> Callable[[Any], object]:
    return attrgetter(*names) if names else lambda _: ()


def _setattr(self: Any, name: str, value: object) -> None:
    _refuse(self, name, "assign to")
    object.__setattr__(self, name, value)


def _delattr(self: Any, name: str) -> None:
    _refuse(self, name, "delete")
    object.__delattr__(self, name)


def _refuse(self: Any, name: str, what: str) -> None:
    """As dataclasses do: a subclass that is no dataclass may have attributes of its own."""
    if "__dataclass_fields__" in type(self).__dict__ or name in self.__dataclass_fields__:
        raise FrozenInstanceError(f"cannot {what} field {name!r}")


@cache
def _slots(cls: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _slots(cast("type[Any]", type(self)))]


def _setstate(self: Any, state: list[Any]) -> None:
    for name, value in zip(_slots(cast("type[Any]", type(self))), state, strict=True):
        object.__setattr__(self, name, value)


_SHARED = {
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
_STATE = {"__getstate__": _getstate, "__setstate__": _setstate}
"""How objects without a ``__dict__`` are copied and pickled."""
