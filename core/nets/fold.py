"""Merges constant arithmetic into the layer before or after it, exactly up to rounding.

Batch norm after a convolution, a bias that a file writes as an addition, scaling of the input: each is a pass over
memory less. Layers are changed in place; each is used at one place of the graph.
"""

from collections.abc import Callable

from torch import Tensor, fx, nn

from core.nets.layers import Affine, ReverseChannels

_Dense = nn.Conv2d | nn.Linear


def fold_constants(root: nn.Module, graph: fx.Graph) -> None:
    """Merge all that can be merged.

    Args:
        root: holds the modules that the graph calls, each called once.
        graph: changed in place.
    """
    merged = 1
    while merged:
        merged = sum(_fold_pair(root, graph, node) for node in list(graph.nodes))


def take_first_affine(network: fx.GraphModule) -> nn.Module:
    """Take the arithmetic out with which a network begins, if it does.

    Args:
        network: changed in place.

    Returns:
        What must be done to its input from now on; nothing, where it begins otherwise.
    """
    crops = next(node for node in network.graph.nodes if node.op == "placeholder")
    users = list(crops.users)
    module = network.get_submodule(str(users[0].target)) if users[0].op == "call_module" else None
    if len(users) != 1 or not isinstance(module, Affine):
        return nn.Identity()
    users[0].replace_all_uses_with(crops)
    network.graph.erase_node(users[0])
    network.delete_all_unused_submodules()
    network.recompile()
    return module


def _fold_pair(root: nn.Module, graph: fx.Graph, node: fx.Node) -> bool:
    """Merge a node with the one that feeds it, if there is a rule and nobody else is fed; say whether."""
    before = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
    if not (isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1):
        return False
    first, second = (root.get_submodule(str(one.target)) for one in (before, node))
    rule = next((rule for kinds, rule in _RULES if isinstance(first, kinds[0]) and isinstance(second, kinds[1])), None)
    merged = rule(first, second) if rule is not None else None
    if merged is None:
        return False
    if len(merged) == 2:
        root.set_submodule(str(before.target), merged[0])
        root.set_submodule(str(node.target), merged[1])
    elif merged[0] is first:
        node.replace_all_uses_with(before)
        graph.erase_node(node)
    else:
        root.set_submodule(str(node.target), merged[0])
        before.replace_all_uses_with(before.all_input_nodes[0])
        graph.erase_node(before)
    return True


def _affine_after_affine(first: Affine, second: Affine) -> list[nn.Module]:
    return [Affine(first.scale * second.scale, first.shift * second.scale + second.shift)]


def _affine_after_dense(dense: _Dense, affine: Affine) -> list[nn.Module] | None:
    """Scale the rows of the weights: s * (W x + b) + t = (s W) x + (s b + t)."""
    if not _is_per_channel(affine) or (isinstance(dense, nn.Linear) and affine.scale.ndim != 2):
        return None
    scale, shift = (_by_channel(part, len(dense.weight)) for part in (affine.scale, affine.shift))
    bias = dense.bias.double() if dense.bias is not None else 0.0
    _set(dense, dense.weight.double() * _as_rows(scale, dense.weight), bias * scale + shift)
    return [dense]


def _convolution_after_affine(affine: Affine, convolution: nn.Conv2d) -> list[nn.Module] | None:
    """Scale the columns of the weights; what is added can go into the bias only where no padding is in between."""
    padded = convolution.padding != (0, 0)
    if not _is_per_channel(affine) or convolution.groups != 1 or (padded and bool(affine.shift.any())):
        return None
    channels = convolution.in_channels
    scale, shift = (_by_channel(part, channels).reshape(1, -1, 1, 1) for part in (affine.scale, affine.shift))
    weight = convolution.weight.double()
    bias = convolution.bias.double() if convolution.bias is not None else 0.0
    _set(convolution, weight * scale, bias + (weight * shift).sum(dim=(1, 2, 3)))
    return [convolution]


def _convolution_after_reversal(_: ReverseChannels, convolution: nn.Conv2d) -> list[nn.Module] | None:
    if convolution.groups != 1:
        return None
    convolution.weight = nn.Parameter(convolution.weight.detach().flip(1).contiguous())
    return [convolution]


def _affine_after_reversal(reversal: ReverseChannels, affine: Affine) -> list[nn.Module] | None:
    """Let the reversal move on towards a convolution."""
    if not _is_per_channel(affine):
        return None
    return [Affine(affine.scale.flip(1), affine.shift.flip(1)), reversal]


def _is_per_channel(affine: Affine) -> bool:
    """Say whether the constants vary along axis 1 alone."""
    sides = [side for part in (affine.scale, affine.shift) for side in (part.shape[0], *part.shape[2:])]
    return set(sides) <= {1}


def _by_channel(constant: Tensor, channels: int) -> Tensor:
    return constant.double().flatten().expand(channels)


def _as_rows(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.reshape([-1] + [1] * (weight.ndim - 1))


def _set(layer: _Dense, weight: Tensor, bias: Tensor) -> None:
    layer.weight = nn.Parameter(weight.float())
    layer.bias = nn.Parameter(bias.float())


_RULES: tuple[tuple[tuple[type, type], Callable[..., list[nn.Module] | None]], ...] = (
    ((Affine, Affine), _affine_after_affine),
    ((nn.Conv2d, Affine), _affine_after_dense),
    ((nn.Linear, Affine), _affine_after_dense),
    ((Affine, nn.Conv2d), _convolution_after_affine),
    ((ReverseChannels, nn.Conv2d), _convolution_after_reversal),
    ((ReverseChannels, Affine), _affine_after_reversal),
)
"""(what comes first, what comes second) -> the modules to put in their place, or None to leave them."""
