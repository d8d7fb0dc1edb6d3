"""``ConfigValue``: value of a ``Config``, an immutable dict whose keys are also attributes."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    _Dict = dict[str, Any]
else:
    _Dict = dict


class ConfigValue(_Dict):
    """Dict of JSON values, read as ``value["key"]`` or ``value.key``, including the dicts inside it.

    >>> ConfigValue({"a": [{"b": 1}]}).a[0].b
    1
    """

    def __init__(self, data: "Any") -> None:
        super().__init__((key, wrapped(value)) for key, value in dict(data).items())

    def __getattr__(self, name: str) -> "Any":
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                "The config has no key %r here. It has: %s."
                % (name, ", ".join(str(key) for key in self) or "none")
            ) from None

    def __dir__(self) -> "list[str]":
        return sorted(set(dir(dict)) | {key for key in self if isinstance(key, str) and key.isidentifier()})

    def to_dict(self) -> "dict[str, Any]":
        """Copy as a plain dict of plain values, which may be changed."""
        return {key: plain(value) for key, value in self.items()}

    _data = property(to_dict)
    """Metaflow's name for the plain dict, for libraries that accept only plain dicts."""

    def copy(self) -> "ConfigValue":
        """Equal ``ConfigValue``; ``dict.copy`` would return a plain dict."""
        return ConfigValue(self)

    def __copy__(self) -> "ConfigValue":
        return ConfigValue(self)

    def __deepcopy__(self, memo: "Any") -> "ConfigValue":
        return ConfigValue(self)

    def __reduce__(self) -> "Any":
        return (ConfigValue, (self.to_dict(),))

    def _refuse(self, *_arguments: "Any", **_keywords: "Any") -> "NoReturn":
        raise TypeError("A config does not change. Change a copy: config.to_dict().")

    __setattr__ = _refuse
    __delattr__ = _refuse
    __setitem__ = _refuse
    __delitem__ = _refuse
    __ior__ = _refuse
    clear = update = setdefault = pop = popitem = _refuse


def wrapped(value: "Any") -> "Any":
    """Value with every dict in it replaced by a ``ConfigValue``."""
    if isinstance(value, dict):
        return ConfigValue(value)
    if type(value) in (list, tuple):
        return type(value)(wrapped(each) for each in value)
    return value


def plain(value: "Any") -> "Any":
    """Value with every ``ConfigValue`` in it replaced by a dict."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(each) for each in value)
    return value
