"""What became of a guarded call."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, TypeVar

    from .finding import Twin
    from .leases.port import Seen

    Value = TypeVar("Value")

    class _Base(Generic[Value]): ...
else:  # `typing` costs a whole bare interpreter's start
    Value = None

    class _Base:
        def __class_getitem__(cls, item: object) -> type:
            return cls


class Outcome(_Base[Value]):
    """What became of a guarded call: `ran`, and the `value` of fn or who was in the way.

    That is the `twin` that runs on this host, or the `holder` of the lease. All are None if the
    lifeline is held by an operator.
    """

    __slots__ = ("holder", "ran", "twin", "value")

    def __init__(
        self,
        ran: bool,
        value: "Value | None" = None,
        twin: "Twin | None" = None,
        holder: "Seen | None" = None,
    ) -> None:
        self.ran = ran
        self.value = value
        self.twin = twin
        self.holder = holder

    def __bool__(self) -> bool:
        return self.ran

    def __repr__(self) -> str:
        kept = self.twin or self.holder
        return f"Outcome(ran={self.ran}, value={self.value!r}, in the way: {kept!r})"
