"""A node of a graph while it is built: what an operator's function reads its inputs and attributes from.

Whatever a function does not ask for is refused, so that nothing a file says is passed over in silence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn

from core.errors import UnknownOperatorError
from core.nets.graph import Attribute, Node


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A value that depends on the picture."""

    node: fx.Node
    """Where it is made."""
    example: Tensor
    """What it is for a batch of one black picture: its shape is what counts."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes, the first of which is the batch: 1."""
        return tuple(self.example.shape)


Value = Flow | Tensor
"""A value of a graph: it depends on the picture, or is constant."""


class Site:
    """One node with its inputs.

    Args:
        node: what the file says.
        inputs: its inputs; None where one is left out.
        emit: adds a module to the network being built: (module, its inputs) -> its answer.
    """

    def __init__(
        self, node: Node, inputs: Sequence[Value | None], emit: Callable[[nn.Module, Sequence[Flow]], Flow]
    ) -> None:
        self.node = node
        self.inputs = inputs
        self._emit = emit
        self._unread = dict(node.attributes)

    def apply(self, module: nn.Module, *flows: Flow) -> Flow:
        """Let a module work on values that depend on the picture."""
        return self._emit(module, flows)

    @property
    def what(self) -> str:
        """The operator and the node, as messages name them."""
        return f"{self.node.operator} (node {self.node.name!r})"

    def refuse(self, fact: str) -> UnknownOperatorError:
        """Make the error for what an operator's function does not cover."""
        return UnknownOperatorError(
            f"The network uses {self.what} {fact}, which the importer does not know. No model was made from it. "
            "Use another network, or teach the importer."
        )

    def finish(self) -> None:
        """Refuse attributes that were not asked for.

        Raises:
            UnknownOperatorError: there are some.
        """
        if self._unread:
            raise self.refuse(f"with {', '.join(f'{name}={value!r}' for name, value in sorted(self._unread.items()))}")

    def has(self, index: int) -> bool:
        """Whether an input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def flow(self, index: int = 0) -> Flow:
        """Return an input that must depend on the picture."""
        value = self.inputs[index] if self.has(index) else None
        if not isinstance(value, Flow):
            raise self.refuse(f"without a picture's value as its input {index}")
        return value

    def constant(self, index: int) -> Tensor:
        """Return an input that must be constant."""
        value = self.inputs[index] if self.has(index) else None
        if not isinstance(value, Tensor):
            raise self.refuse(f"without a constant as its input {index}")
        return value

    def constant_integers(self, index: int) -> tuple[int, ...]:
        """Return a constant input as integers."""
        return tuple(int(number) for number in self.constant(index).flatten().tolist())

    def constant_number(self, index: int) -> float:
        """Return a constant input that must be one number."""
        constant = self.constant(index)
        if constant.numel() != 1:
            raise self.refuse(f"with a constant of {constant.numel()} numbers as its input {index}")
        return float(constant.item())

    def text(self, name: str, default: str | None = None) -> str:
        """Return an attribute as text."""
        return str(self._take(name, default))

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return an attribute as integers, however many."""
        value = self._take(name, default)
        parts = value if isinstance(value, tuple) else str(value).split(",")
        try:
            return tuple(int(part) for part in parts)
        except ValueError:
            raise self.refuse(f"with {name}={value!r}") from None

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an attribute as one integer."""
        numbers = self.integers(name, None if default is None else (default,))
        if len(numbers) != 1:
            raise self.refuse(f"with {name}={numbers!r}")
        return numbers[0]

    def number(self, name: str, default: float | None = None) -> float:
        """Return an attribute as a number."""
        value = self._take(name, default)
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise self.refuse(f"with {name}={value!r}") from None

    def flag(self, name: str, default: bool) -> bool:
        """Return an attribute as yes or no; formats write 1, 0, true or false."""
        value = str(self._take(name, int(default))).lower()
        if value not in ("0", "1", "false", "true"):
            raise self.refuse(f"with {name}={value!r}")
        return value in ("1", "true")

    def stated(self, name: str) -> bool:
        """Whether the file gives an attribute."""
        return name in self.node.attributes

    def only(self, name: str, *allowed: str) -> None:
        """Accept an attribute that changes nothing as long as it has one of these values, or is not there."""
        value = str(self._unread.pop(name, allowed[0]))
        if value not in allowed:
            raise self.refuse(f"with {name}={value!r}")

    def ignore(self, *names: str) -> None:
        """Pass over attributes that mean nothing here."""
        for name in names:
            self._unread.pop(name, None)

    def _take(self, name: str, default: Attribute | None) -> Attribute:
        value = self._unread.pop(name, default)
        if value is None:
            raise self.refuse(f"without {name}")
        return value


Operator = Callable[[Site], Value]
"""What builds one node: reads its site and returns its first output."""
