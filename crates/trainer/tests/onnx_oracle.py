"""Checks an ONNX file and runs it: onnx_oracle.py MODEL INPUT SIDE OUTPUT. Input and output are raw
fp32; the output's shape, what the metadata say and the time of a run go to standard output."""

import ast
import json
import sys
import time

import numpy
import onnx
import onnxruntime

model, source, side, target = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
onnx.checker.check_model(onnx.load(model), full_check=True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
[given], [made] = session.get_inputs(), session.get_outputs()
images = numpy.fromfile(source, dtype="<f4").reshape(1, 3, side, side)
[output] = session.run([made.name], {given.name: images})
started = time.perf_counter()
session.run([made.name], {given.name: images})
seconds = time.perf_counter() - started
assert list(output.shape) == made.shape and output.dtype == numpy.float32
output.tofile(target)
metadata = session.get_modelmeta().custom_metadata_map
names = list(ast.literal_eval(metadata["names"]).items())
json.dump({"shape": output.shape, "names": names, "metadata": metadata, "ms": 1e3 * seconds}, sys.stdout)
