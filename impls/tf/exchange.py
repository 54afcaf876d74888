"""The devices of this process: each takes the step on its own samples, gradients are averaged by `tf.distribute`.

Every device has variables of its own, the same in all but the running statistics. A step is made of updates, and each
of two pieces: to derive a loss, and to apply gradients. A piece is traced once, not once a device, and compiled as a
function where the variant compiles; between the two all devices reduce. Shapes: N elements of a vector.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import tensorflow as tf

from bench.spec import Request

from . import optimizers

Losses = dict[str, tf.Tensor]
Derive = Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]  # (net, *batch) -> the loss, gradients as the vectors lie
Update = Callable[..., tf.Tensor]  # (derive, net, training, *batch) -> the loss that it was derived from
Step = Callable[..., Losses]  # (net, update, *batch)

# Bytes that are reduced at once, so that copying into one vector goes on while another is reduced.
PACK = 32 * 2**20

TRACED: dict[Any, tf.types.experimental.ConcreteFunction] = {}  # pieces, by all that they depend on


class Compiled(NamedTuple):
    """A step of all devices."""

    nets: tuple[Any, ...]  # one a device, with its variables
    function: tf.types.experimental.PolymorphicFunction
    graph: tf.types.experimental.ConcreteFunction  # of the function; 0.1 ms faster to call
    pieces: tuple[tf.types.experimental.ConcreteFunction, ...] = ()  # that the graph calls for every device


class Pieces(NamedTuple):
    """The two of an update, of which every device has the same: of all variables of a net, or of a training."""

    derive: tf.types.experimental.ConcreteFunction
    apply: tf.types.experimental.ConcreteFunction


def devices() -> list[tf.config.LogicalDevice]:
    """Accelerators, or else processors."""
    return tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")


@lru_cache(maxsize=1)
def strategy() -> tf.distribute.Strategy:
    """All devices of this process: it reduces by NCCL between GPUs, by a ring between processors."""
    return tf.distribute.MirroredStrategy([device.name for device in devices()])


def spread(value: Callable[[int], tf.Tensor]) -> Any:
    """A value of each device, made there from the device's number."""

    def make(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
        number = context.replica_id_in_sync_group
        with tf.device(strategy().extended.worker_devices[number]):
            return tf.identity(value(number))

    return strategy().experimental_distribute_values_from_function(make)


def compiled(make_net: Callable[[], Any], step: Step, signature: Sequence[tf.TensorSpec], request: Request) -> Compiled:
    """The step of one device by itself, or of all devices together, each with a net of its own."""
    if request.cell.engine == "distributed":
        return together(make_net, step, signature, request)
    net = make_net()

    @tf.function(autograph=False, jit_compile=request.cell.variant == "xla", input_signature=signature)
    def function(*batch: tf.Tensor) -> Losses:
        return step(net, alone, *batch)

    return Compiled((net,), function, function.get_concrete_function())


def alone(derive: Derive, net: Any, training: optimizers.Training, *batch: tf.Tensor) -> tf.Tensor:
    """An update with this device's gradients."""
    loss, all_N = derive(net, *batch)
    optimizers.update(training, all_N)
    return loss


def together(make_net: Callable[[], Any], step: Step, signature: Sequence[tf.TensorSpec], request: Request) -> Compiled:
    """The step of all devices, which returns the means of their losses."""
    nets: list[Any] = []
    for device in strategy().extended.worker_devices:
        with tf.device(device):
            nets.append(make_net())
    pieces: dict[Derive, Pieces] = {}
    step(nets[0], partial(prepared, pieces, request.cell.variant == "xla"), *signature)
    update = partial(averaged, pieces, request.exchange)
    batch = [
        tf.type_spec_from_value(spread(lambda _, spec=spec: tf.zeros(spec.shape, spec.dtype))) for spec in signature
    ]

    def replica(*batch: tf.Tensor) -> Losses:
        number = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return step(nets[int(number)], update, *batch)

    @tf.function(autograph=False, input_signature=batch)
    def function(*batch: Any) -> Losses:
        losses = strategy().run(replica, batch)
        return {
            name: tf.reduce_mean(tf.stack(strategy().experimental_local_results(of_each)), 0)
            for name, of_each in losses.items()
        }

    graph = function.get_concrete_function()
    return Compiled(tuple(nets), function, graph, tuple(piece for of_update in pieces.values() for piece in of_update))


def prepared(
    pieces: dict[Derive, Pieces],
    jit: bool,
    derive: Derive,
    net: Any,
    training: optimizers.Training,
    *batch: tf.TensorSpec,
) -> tf.TensorSpec:
    """An update's pieces, traced on no device: an update is taken as one that makes them."""
    deriving = traced(derive, net, batch, jit)
    loss, all_N = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), deriving.structured_outputs)
    pieces[derive] = Pieces(deriving, traced(optimizers.update, training, (all_N,), jit))
    return loss


def traced(
    function: Callable[..., Any], owner: Any, inputs: Sequence[Any], jit: bool
) -> tf.types.experimental.ConcreteFunction:
    """`function(owner, *inputs)` as a graph that the owner's variables are inputs of too.

    It is kept: a step without exchange is made of the same pieces, and XLA compiles each again for every device.
    """
    frame = tf.nest.map_structure(
        lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype) if isinstance(leaf, tf.Variable) else leaf, owner
    )
    leaves = tf.nest.flatten(frame)
    key = (function, tuple(leaves), tuple(tf.nest.flatten(inputs)), jit)
    if key in TRACED:
        return TRACED[key]

    def run(variables: Sequence[tf.Variable], inputs: Sequence[Any]) -> Any:
        given = iter(variables)
        filled = [next(given) if isinstance(leaf, tf.TensorSpec) else leaf for leaf in leaves]
        return function(tf.nest.pack_sequence_as(frame, filled), *inputs)

    compiling = tf.function(run, autograph=False, jit_compile=jit)
    TRACED[key] = compiling.get_concrete_function(variables_of(owner), inputs)
    return TRACED[key]


def variables_of(owner: Any) -> list[tf.Variable]:
    return [leaf for leaf in tf.nest.flatten(owner) if isinstance(leaf, tf.Variable)]


def averaged(
    pieces: dict[Derive, Pieces],
    exchange: bool,
    derive: Derive,
    net: Any,
    training: optimizers.Training,
    *batch: tf.Tensor,
) -> tf.Tensor:
    """An update with the mean of the devices' gradients; without `exchange` with this device's."""
    loss, all_N = pieces[derive].derive(variables_of(net), batch)
    if exchange:
        all_N = mean(all_N)
    pieces[derive].apply(variables_of(training), (all_N,))
    return loss


def mean(all_N: Any) -> Any:
    """Over the devices; of a structure of tensors, in few reductions."""
    options = tf.distribute.experimental.CommunicationOptions(bytes_per_pack=PACK)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, all_N, options)
