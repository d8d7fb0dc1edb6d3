"""``Generic`` for classes whose type parameters only matter to a type checker.

At run time ``Generic[Value]`` is an ordinary base class. With ``typing.Generic``, every step process would
have to import ``typing``, and on Python 3.6 the classes would get a different metaclass.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic
else:

    class _Subscriptable:
        """Base of classes that type checkers see as generic; at run time ``Inputs[MyFlow]`` is ``Inputs``."""

        def __class_getitem__(cls, parameters: object) -> "type":
            return cls

    class _Generic:
        def __getitem__(self, parameters: object) -> "type":
            return _Subscriptable

    Generic = _Generic()

__all__ = ["Generic"]
