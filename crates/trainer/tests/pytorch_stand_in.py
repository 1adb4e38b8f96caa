"""Stands in for PyTorch and Ultralytics: pytorch_stand_in.py STATE_DICT CHECKPOINT TRAP.

Reads a state dict with only those globals that torch.load(weights_only=True) allows for one, and
writes its tensors as a checkpoint of pickled modules in fp16, with calls that would create TRAP."""

import builtins
import collections
import os
import pickle
import sys
import types
import zipfile

import numpy


def module(name, **members):
    made = types.ModuleType(name)
    for key, value in members.items():
        value.__module__, value.__qualname__, value.__name__ = name, key, key
        setattr(made, key, value)
    sys.modules[name] = made
    while name := name.rpartition(".")[0]:
        sys.modules.setdefault(name, types.ModuleType(name))


class Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.parts = storage, offset, tuple(size), tuple(stride)

    def __reduce_ex__(self, protocol):
        return rebuild_tensor, (*self.parts, False, collections.OrderedDict())


class Parameter(Tensor):
    def __reduce_ex__(self, protocol):
        return rebuild_parameter, (Tensor(*self.parts), True, collections.OrderedDict())


def rebuild_tensor(storage, offset, size, stride, requires_grad, hooks):
    assert requires_grad is False and hooks == {} and type(hooks) is collections.OrderedDict
    flat = storage.array[offset:]
    return numpy.lib.stride_tricks.as_strided(
        flat, size, [step * flat.itemsize for step in stride]
    )


def rebuild_parameter(data, requires_grad, hooks): ...


FloatStorage, HalfStorage, LongStorage = (type(name, (), {}) for name in ("F", "H", "L"))
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class Module:
    def __init__(self):
        self.training = False
        self._parameters, self._buffers = {}, collections.OrderedDict()
        self._non_persistent_buffers_set = set()
        self._modules = collections.OrderedDict()


class DetectionModel(Module): ...


class Settings: ...


module("torch", FloatStorage=FloatStorage, HalfStorage=HalfStorage, LongStorage=LongStorage)
module("torch._utils", _rebuild_tensor_v2=rebuild_tensor, _rebuild_parameter=rebuild_parameter)
module("ultralytics.nn.modules.conv", Conv=Module)
module("ultralytics.nn.tasks", DetectionModel=DetectionModel)
module("ultralytics.utils", IterableSimpleNamespace=Settings)


class Reader(pickle.Unpickler):
    ALLOWED = {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch", "FloatStorage"),
        ("torch", "LongStorage"),
    }

    def __init__(self, archive):
        self.root = archive.namelist()[0].split("/")[0]
        self.archive = archive
        super().__init__(archive.open(f"{self.root}/data.pkl"))

    def find_class(self, module, name):
        assert (module, name) in self.ALLOWED, (module, name)
        return super().find_class(module, name)

    def persistent_load(self, identity):
        kind, storage, key, device, count = identity
        assert kind == "storage" and device == "cpu"
        data = self.archive.read(f"{self.root}/data/{key}")
        array = numpy.frombuffer(data, dtype=DTYPES[storage.__name__])
        assert len(array) == count
        return Storage(key, array)


class Writer(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        kind = LongStorage if value.array.dtype == numpy.int64 else HalfStorage
        return "storage", kind, value.key, "cuda:0", value.array.size


class Trap:
    def __init__(self, callee, argument):
        self.call = callee, (argument,)

    def __reduce__(self):
        return self.call


def stored(array, key):
    """Channels last where it has four dimensions, behind some elements of no use."""
    if array.dtype == numpy.float32:
        array = array.astype("<f2")
    order = (0, 2, 3, 1) if array.ndim == 4 else tuple(range(array.ndim))
    laid_out = numpy.ascontiguousarray(array.transpose(order))
    strides = [0] * array.ndim
    for place, axis in enumerate(order):
        strides[axis] = laid_out.strides[place] // laid_out.itemsize
    padded = numpy.concatenate([numpy.full(3, 7, array.dtype), laid_out.reshape(-1)])
    return Storage(key, padded), 3, array.shape, strides


def tree(state):
    root, storages = DetectionModel(), []
    for index, (name, array) in enumerate(state.items()):
        *path, last = name.split(".")
        at = root
        for part in path:
            at = at._modules.setdefault(part, Module())
        parts = stored(array, str(index))
        storages.append(parts[0])
        if "running" in last or "num_batches" in last:
            at._buffers[last] = Tensor(*parts)
        else:
            at._parameters[last] = Parameter(*parts)
    return root, storages


def main(source, target, trap):
    with zipfile.ZipFile(source) as archive:
        assert archive.testzip() is None
        root = archive.namelist()[0].split("/")[0]
        assert archive.read(f"{root}/version") == b"3\n"
        assert archive.read(f"{root}/byteorder") == b"little"
        state = Reader(archive).load()
    assert type(state) is collections.OrderedDict and len(state) > 100
    model, storages = tree(state)
    model.names, model.yaml, model.stride = {0: "a cat", 1: "été"}, {"nc": 2, "scale": "n"}, [8.0, 16.0]
    model.args = Settings()
    model.args.imgsz = 640
    checkpoint = {
        "epoch": 599,
        "best_fitness": 0.5,
        "model": None,
        "ema": model,
        "updates": 1 << 80,
        "optimizer": None,
        "train_args": {"imgsz": 416, "data": "x.yaml", "lr0": 0.01},
        "date": Trap(os.system, f"touch {trap}"),
        "version": Trap(builtins.eval, f"open({trap!r}, 'w')"),
    }
    with zipfile.ZipFile(target, "w") as archive:
        with archive.open("best/data.pkl", "w") as file:
            Writer(file, protocol=2).dump(checkpoint)
        for storage in storages:
            archive.writestr(f"best/data/{storage.key}", storage.array.tobytes())
        archive.writestr("best/version", "3\n")


main(*sys.argv[1:])
