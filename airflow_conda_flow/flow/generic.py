"""``Generic`` for classes whose type parameters matter to a type checker alone.

At run time ``Generic[Value]`` is an ordinary base class. The real one would make every step process
import ``typing``, and gives classes another metaclass on Python 3.6.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic
else:

    class _Subscriptable:
        """Base of the classes that a type checker sees as generic: ``Inputs[MyFlow]`` is ``Inputs``."""

        def __class_getitem__(cls, parameters: object) -> "type":
            return cls

    class _Generic:
        def __getitem__(self, parameters: object) -> "type":
            return _Subscriptable

    Generic = _Generic()

__all__ = ["Generic"]
